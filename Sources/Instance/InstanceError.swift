public import PostgresConfig
public import RemoteHost
public import Report

/// What an instance refused, or was found in.
public enum InstanceError: Explained {
    case nothingOnPort(node: String, host: String, port: UInt16)
    case unknownVersion(node: String, host: String, dataDirectory: HostPath)
    case noBinaries(node: String, host: String, version: MajorVersion?, lookedIn: [String])
    case wrongBinaries(node: String, host: String, directory: HostPath, found: MajorVersion, needed: MajorVersion)
    case noCluster(node: String, host: String, dataDirectory: HostPath, state: DataDirectoryState)
    case noDebianCluster(node: String, host: String, dataDirectory: HostPath)
    case notRunning(node: String, host: String, dataDirectory: HostPath)
    /// `log` holds the last lines the server wrote in this attempt.
    case cannotStart(node: String, host: String, output: String, log: String)
    case cannotStop(node: String, host: String, output: String)
    case cannotReload(node: String, host: String, output: String)
    case cannotPromote(node: String, host: String, output: String)
    case noLog(node: String, host: String, reason: String)
    case noWordInLog(node: String, host: String, log: HostPath)
    case configurationRefused(node: String, problems: [ConfigurationProblem])
    case notInForce(node: String, settings: [SettingNotInForce])
    case changedSinceRead(host: String, path: HostPath)
    case unreadable(node: String, host: String, what: String)

    public var fact: String {
        switch self {
        case .nothingOnPort(let node, let host, let port): "\(node): no PostgreSQL instance with port \(port) on \(host)"
        case .unknownVersion(let node, let host, let directory):
            "\(node): no PostgreSQL version known for \(directory) on \(host), which holds no cluster yet"
        case .noBinaries(let node, let host, let version, let places):
            "\(node): no PostgreSQL \(version.map { "\($0) " } ?? "")programs on \(host) (looked in \(places.joined(separator: ", ")))"
        case .wrongBinaries(let node, let host, let directory, let found, let needed):
            "\(node): the programs in \(directory) on \(host) are of version \(found), the data directory of version \(needed)"
        case .noCluster(let node, let host, let directory, let state): "\(node): \(directory) on \(host) is no database cluster: \(state)"
        case .noDebianCluster(let node, let host, let directory): "\(node): pg_lsclusters on \(host) knows no cluster in \(directory), and service says pg_ctlcluster"
        case .notRunning(let node, let host, let directory): "\(node): no server is running in \(directory) on \(host)"
        case .cannotStart(let node, let host, let output, let log):
            "\(node): the server on \(host) did not start: \(fatalLine(of: log) ?? lastLine(of: output))" + indented(log)
        case .cannotStop(let node, let host, let output): "\(node): the server on \(host) did not stop and may still be running: \(lastLine(of: output))"
        case .cannotReload(let node, let host, let output): "\(node): the server on \(host) did not reload its configuration: \(lastLine(of: output))"
        case .cannotPromote(let node, let host, let output): "\(node): the standby on \(host) was not promoted: \(lastLine(of: output))"
        case .noLog(let node, let host, let reason): "\(node): the log of the server on \(host) cannot be judged by: \(reason)"
        case .noWordInLog(let node, let host, let log):
            "\(node): the server on \(host) was told to reload its configuration and has said nothing of it in \(log)"
        case .configurationRefused(let node, let problems):
            "\(node): the server refuses the configuration files" + problems.map { "\n  \($0)" }.joined()
        case .notInForce(let node, let settings): "\(node): settings did not come into force" + settings.map { "\n  \($0)" }.joined()
        case .changedSinceRead(let host, let path): "\(host): \(path) was changed by someone else after it was read, nothing was written"
        case .unreadable(let node, let host, let what): "\(node): cannot read \(what) on \(host)"
        }
    }

    public var hint: String? {
        switch self {
        case .nothingOnPort: "give the node's data_directory, or correct its port"
        case .unknownVersion: "give the node's version"
        case .noBinaries: "install the server package of that version, or give the node's bin_directory"
        case .wrongBinaries(_, _, _, _, let needed): "give the bin_directory of PostgreSQL \(needed)"
        case .noCluster: "check the node's data_directory"
        case .noDebianCluster: "make it with pg_createcluster, correct the node's data_directory, or say service: pg_ctl"
        case .notRunning: "start it, or correct the node's data_directory"
        case .cannotStart(_, _, _, let log) where log.contains("resource manager with ID "): RecoveryLog.foreignRecord
        case .cannotStart: "the lines above are the server's own; what they name must be put right before the next attempt"
        case .cannotStop: "look for sessions that do not end in pg_stat_activity, and for an archive_command that hangs"
        case .cannotReload: "the old settings are still in force; the server's log says why"
        case .cannotPromote: "it goes on as it was; the server's log says why"
        case .noLog: "give a role that can connect, or have the server write to a file in English (logging_collector, log_destination = stderr)"
        case .noWordInLog: "what it runs with now is not known; look into its log, and give a role that can connect"
        case .configurationRefused: "correct these lines; until then what was in force stays so"
        case .notInForce: "remove what overrides them, or set them there"
        case .changedSinceRead: "run again, so that the plan is made from the new content"
        case .unreadable: "this is a form of output that is not known here; compare the versions of the programs"
        }
    }

    private func lastLine(of text: String) -> String {
        text.split(separator: "\n").last { !$0.allSatisfy(\.isWhitespace) }.map(String.init) ?? "no reason given"
    }

    /// The server's own last word, which says more than the program that started it.
    private func fatalLine(of log: String) -> String? {
        for line in lines(of: log).reversed() {
            for severity in ["FATAL:  ", "PANIC:  "] {
                if let found = line.firstRange(of: severity) { return String(line[found.upperBound...]) }
            }
        }
        return nil
    }

    private func indented(_ log: String) -> String {
        log.split(separator: "\n").map { "\n  \($0)" }.joined()
    }
}
