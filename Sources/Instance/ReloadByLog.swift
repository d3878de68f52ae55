public import EventLoop
import PostgresConfig
import RemoteHost
import Report

extension Instance {
    /// Has the server read its configuration files again, and judges by what it writes about that in its log: where it has no
    /// views for them (before 9.5, and before 10 for `pg_hba.conf`), or nobody can connect to it.
    ///
    /// It says nothing of a setting that has the new value already.
    /// - Throws: ``InstanceError/configurationRefused(node:problems:)`` after which the server may run with a part of the
    ///   new settings; ``InstanceError/noLog(node:host:reason:)``; ``InstanceError/noWordInLog(node:host:log:)``.
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
                // It says so in an instant, or not at all.
                said = try await wait(for: "\(node) to reload its configuration", until: deadline.orAfter(.seconds(30)), every: .milliseconds(50)) {
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
    /// - Parameter changes: what the files shall say of some settings.
    /// - Throws: ``InstanceError/noLog(node:host:reason:)``.
    public func checkLog(with changes: [String: String] = [:], deadline: Deadline) async throws { _ = try await messagesLog(with: changes, deadline: deadline) }

    /// The file the server's messages go to now.
    /// - Throws: ``InstanceError/noLog(node:host:reason:)`` where they go to no file, or are not what is read here.
    func messagesLog(with changes: [String: String] = [:], deadline: Deadline) async throws -> HostPath {
        let postmaster = try await postmaster(deadline: deadline)
        let configuration = try await settingsTree(deadline: deadline), arguments = try await arguments(deadline: deadline).arguments
        if let reason = ReloadLog.whyUnreadable({ name in
            [changes.first { isSameSetting($0.key, name) }?.value, arguments?.value(of: name) ?? configuration.deciding(name)?.value].compactMap(\.self)
        }) {
            throw InstanceError.noLog(node: node, host: host.name, reason: reason)
        }
        if let log = try await currentLog(of: postmaster, deadline: deadline) { return log }
        let directory = configuration.deciding("log_directory")?.value ?? (version >= .postgres(10) ? "log" : "pg_log")
        let answer = try await host.require(.script(ReloadLog.find, dataDirectory.path, directory).as(user), deadline: deadline)
        guard let path = HostPath(answer.text) else { throw InstanceError.noLog(node: node, host: host.name, reason: "it writes its messages to no file") }
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

    /// Why nothing could be read in the log of a server with such settings; `nil` where it can.
    /// - Parameter values: what a setting is, and what it will be; none for the default.
    static func whyUnreadable(_ values: (String) -> [String]) -> String? {
        func trimmed(_ text: String) -> String { text.trimmed.lowercased() }
        for value in values("log_destination") where !value.split(separator: ",").contains(where: { trimmed(String($0)) == "stderr" }) {
            return "it writes its messages to \(value), which is not read here (log_destination)"
        }
        for value in values("log_min_messages") where ["fatal", "panic"].contains(trimmed(value)) {
            return "it does not write down what it makes of its files (log_min_messages = \(value))"
        }
        for value in values("lc_messages") where !value.isEmpty && !["c", "posix", "en"].contains(trimmed(String(value.prefix { !"_.@".contains($0) }))) {
            return "its messages are not in English (lc_messages = \(value))"
        }
        return nil
    }

    init(_ lines: [String]) {
        var details: [String] = [], isRefused = false, isDetail = false
        for line in lines {
            let start = line.firstRange(of: ":  ")
            let message = start.map { String(line[$0.upperBound...]) } ?? line
            let severity = start.map { line[..<$0.lowerBound].split(separator: " ").last.map(String.init) ?? "" } ?? ""
            // What belongs to the message before it: of one that matters, where it stands.
            guard !["CONTEXT", "HINT", "DETAIL", "STATEMENT", "LOCATION"].contains(severity) else {
                if isDetail, severity == "CONTEXT" { details.append(message) }
                continue
            }
            isDetail = false
            // A file that may be missing, and a line that matches nothing while the server is as it is: it takes both.
            if message.contains("skipping missing configuration file") || message.contains("record cannot match because") { continue }
            if let match = message.firstMatch(of: #/^parameter "([^"]+)" (?:changed to|removed from configuration file)/#) {
                changed.append(String(match.1))
            } else if let match = message.firstMatch(of: #/^parameter "([^"]+)" cannot be changed without restarting the server/#) {
                pendingRestart.append(String(match.1))
            } else if message.contains("contains errors") || message.contains("not reloaded") {
                // A change that waits for a restart is such an error too.
                isRefused = isRefused || message.contains("not reloaded") || message.contains("no changes were applied") || pendingRestart.isEmpty
                isDetail = true
                details.append(message)
            } else if message.contains(
                #/syntax error in file|unrecognized configuration parameter|invalid value for parameter|is outside the valid range|requires a |could not open |configuration file/#)
            {
                isRefused = true
                isDetail = true
                details.append(message)
            } else if severity == "LOG",
                message.contains(#/invalid |end-of-line|multiple |missing |must be |cannot be used|not supported|authentication (?:method|option)|unrecognized/#)
            {
                // It may be of a file that is not taken over, which is said behind it; of the server's daily work it is not.
                isDetail = true
                details.append(message)
            }
        }
        if isRefused { problems = details }
    }
}
