public import PostgresClient
public import RemoteHost

/// A call of pgBackRest as a setting of a server has it: the program, and what it is told beside its files.
///
/// Of `archive_command`. <https://pgbackrest.org/configuration.html>: an option of the command line outweighs the environment, and
/// that the files.
public struct BackRestInvocation: Sendable, Hashable {
    /// `archive-push`.
    public let command: String
    public let program: String
    /// Options by their names without dashes; `nil` for one without a value that is on, `n` for one that is off.
    public let options: [String: String]
    /// `PGBACKREST_…`, set before the program's name.
    public let variables: [String: Secret]

    /// `nil` where `setting` does not call pgBackRest.
    public init?(_ setting: String) {
        let words = setting.replacing("%%", with: "%").split(whereSeparator: \.isWhitespace).map { $0.filter { $0 != "'" && $0 != "\"" } }
        guard let program = words.firstIndex(where: { $0.split(separator: "/").last == "pgbackrest" }) else { return nil }
        var options: [String: String] = [:], commands: [String] = [], rest = words[(program + 1)...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else {
                commands.append(word)
                continue
            }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if parts.count == 2 {
                options[parts[0]] = parts[1]
            } else if parts[0].hasPrefix("no-") {
                options[String(parts[0].dropFirst(3))] = "n"
            } else if let next = rest.first, !next.hasPrefix("--"), !next.hasPrefix("archive-") {
                options[parts[0]] = rest.removeFirst()
            } else {
                options[parts[0]] = "y"
            }
        }
        guard let command = commands.first else { return nil }
        (self.command, self.program, self.options) = (command, words[program], options)
        variables = words[..<program].reduce(into: [:]) { variables, word in
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if parts.count == 2, parts[0].hasPrefix(BackRestOption.variablePrefix) { variables[parts[0]] = Secret(parts[1]) }
        }
    }

    public var stanza: String? { options["stanza"] }
    public var configuration: HostPath? { options["config"].flatMap { HostPath($0) } }

    /// What other commands of pgBackRest must be told to find the same; as variables, because an option that a command does not know is
    /// an error of its line.
    public var environment: [String: Secret] {
        options.filter { !["stanza", "config"].contains($0.key) && !$0.key.hasPrefix("log-") }
            .reduce(into: variables) { $0[BackRestOption.variable($1.key)] = Secret($1.value) }
    }
}
