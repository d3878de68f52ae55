public import RemoteHost

/// A cluster in the layout of Debian and Ubuntu, as `pg_lsclusters` shows it.
public struct DebianCluster: Sendable, Hashable {
    /// `15`.
    public let version: String
    /// `main`.
    public let name: String
    public let port: UInt16
    public let owner: String
    public let dataDirectory: HostPath
    public let logFile: HostPath?

    /// Where `postgresql.conf` and `pg_hba.conf` are: not in the data directory.
    public var configDirectory: HostPath? { HostPath("/etc/postgresql").map { $0 / version / name } }

    /// The service that systemd runs it as, where there is systemd.
    var unit: String { "postgresql@\(version)-\(name).service" }

    /// Reads what `pg_lsclusters --no-header` writes; lines of another form are left out.
    static func parse(_ output: String) -> [DebianCluster] {
        output.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard fields.count == 6, let port = UInt16(fields[2]) else { return nil }
            // The directory may hold spaces, the log file's name is the last word.
            let paths = fields[5].split(separator: " ", omittingEmptySubsequences: true)
            let directory = paths.dropLast().joined(separator: " ")
            guard paths.count > 1, let dataDirectory = HostPath(directory) else { return nil }
            return DebianCluster(
                version: String(fields[0]), name: String(fields[1]), port: port, owner: String(fields[4]), dataDirectory: dataDirectory,
                logFile: paths.last.flatMap { HostPath(String($0)) })
        }
    }
}
