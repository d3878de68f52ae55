public import EventLoop
import PostgresConfig
import RemoteHost

extension Instance {
    /// Has the server read its configuration files again, and judges by what it writes about that in its log: where it has no
    /// views for them (before 9.5, and before 10 for `pg_hba.conf`), or nobody can connect to it.
    ///
    /// It says nothing of a setting that has the new value already.
    /// - Throws: ``InstanceError/configurationRefused(node:problems:)`` after which the server may run with a part of the
    ///   new settings; ``InstanceError/noWordInLog(node:host:log:)``.
    @discardableResult
    public func reloadByLog(deadline: Deadline) async throws -> ReloadReport {
        let log = try await messagesLog(deadline: deadline)
        let size = try await host.stat(log, as: user, deadline: deadline)?.size ?? 0
        // The second word that it reloads comes after everything that it had to say about the first one.
        var said: [String] = []
        for turn in 1...2 {
            let result = try await host.run(program("pg_ctl", ["reload", "-D", dataDirectory.path]), deadline: deadline)
            guard result.succeeded else {
                throw InstanceError.cannotReload(node: node, host: host.name, output: result.errorText.isEmpty ? result.text : result.errorText)
            }
            do {
                said = try await wait(for: "\(node) to reload its configuration", until: deadline, every: .milliseconds(50)) {
                    let text = try await host.require(Command(words: ["tail", "-c", "+\(size + 1)", "--", log.path], user: user), deadline: deadline).text
                    let turns = ReloadLog.turns(in: text)
                    return turns.count > turn ? .found(turns[1]) : .notYet("nothing about it in \(log)")
                }
            } catch is DeadlineExceeded {
                throw InstanceError.noWordInLog(node: node, host: host.name, log: log)
            }
        }
        let verdict = ReloadLog(said)
        guard verdict.problems.isEmpty else {
            throw InstanceError.configurationRefused(
                node: node,
                problems: verdict.problems.map {
                    ConfigurationProblem(file: log.path, line: nil, error: $0, name: nil)
                })
        }
        return ReloadReport(pendingRestart: verdict.pendingRestart.sorted())
    }

    /// Sees to it that there is a log to judge by.
    /// - Throws: ``InstanceError/noLog(node:host:)``.
    public func checkLog(deadline: Deadline) async throws { _ = try await messagesLog(deadline: deadline) }

    /// The file the server's messages go to now.
    /// - Throws: ``InstanceError/noLog(node:host:)`` where they go to no file.
    func messagesLog(deadline: Deadline) async throws -> HostPath {
        let postmaster = try await postmaster(deadline: deadline)
        if let log = try await currentLog(of: postmaster, deadline: deadline) { return log }
        let configuration = try await settingsTree(deadline: deadline)
        let directory = configuration.deciding("log_directory")?.value ?? (version >= .postgres(10) ? "log" : "pg_log")
        let answer = try await host.require(.script(ReloadLog.find, dataDirectory.path, directory).as(user), deadline: deadline)
        guard let path = HostPath(answer.text) else { throw InstanceError.noLog(node: node, host: host.name) }
        return path
    }
}

/// What a server says in its log when it reloads: between the line that it does and the next one of its kind.
struct ReloadLog: Sendable, Hashable {
    static let begins = "received SIGHUP, reloading configuration files"

    /// What was said after each time that the server began to reload; before the first one comes what does not belong here.
    ///
    /// Where lines name their process (`log_line_prefix`), those of other processes than the reloading one are left out.
    static func turns(in text: String) -> [[String]] {
        let lines = text.split(separator: "\n").map(String.init)
        let process = lines.lazy.compactMap { line in line.contains(begins) ? line.firstMatch(of: #/\[\d+\]/#).map { String($0.0) } : nil }.first
        return lines.filter { line in process.map { line.contains($0) } ?? true }
            .split(omittingEmptySubsequences: false) { $0.contains(begins) }.map(Array.init)
    }

    /// The newest of the files that the server's collector writes: `current_logfiles` names it from 10.
    static let find = """
        cd -- "$1" || exit 1
        if [ -r current_logfiles ]; then
          # A form of its own, such as CSV, says the same in another way, which is not read here.
          file=$(sed -n 's/^stderr //p' current_logfiles)
        elif [ -d "$2" ]; then
          file=$2/$(ls -t -- "$2" | head -n 1)
        fi
        case ${file:-} in
          '') ;;
          /*) printf '%s\\n' "$file" ;;
          *) printf '%s\\n' "$PWD/$file" ;;
        esac
        """

    private(set) var changed: [String] = []
    private(set) var pendingRestart: [String] = []
    /// Why it did not take the files, or not everything in them.
    private(set) var problems: [String] = []

    init(_ lines: [String]) {
        var details: [String] = [], isRefused = false
        for line in lines {
            let message = line.firstRange(of: ":  ").map { String(line[$0.upperBound...]) } ?? line
            if let match = message.firstMatch(of: #/^parameter "([^"]+)" (?:changed to|removed from configuration file)/#) {
                changed.append(String(match.1))
            } else if let match = message.firstMatch(of: #/^parameter "([^"]+)" cannot be changed without restarting the server/#) {
                pendingRestart.append(String(match.1))
            } else if message.contains("contains errors") || message.contains("not reloaded") {
                // A change that waits for a restart is such an error too.
                isRefused = isRefused || message.contains("not reloaded") || message.contains("no changes were applied") || pendingRestart.isEmpty
                details.append(message)
            } else if message.contains(
                #/syntax error in file|unrecognized configuration parameter|invalid value for parameter|is outside the valid range|requires a |could not open |configuration file/#)
            {
                isRefused = true
                details.append(message)
            }
        }
        if isRefused { problems = details }
    }
}
