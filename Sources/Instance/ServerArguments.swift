import PostgresConfig

/// The settings that a server was given on its command line, which no configuration file overrides.
/// <https://www.postgresql.org/docs/current/app-postgres.html>
public struct ServerArguments: Sendable, Hashable {
    public struct Setting: Sendable, Hashable {
        public let name: String
        public let value: String
    }

    /// In the order of the command line: the last one of a name decides.
    public let settings: [Setting]

    /// - Parameter words: without the program's own name.
    public init(_ words: [String]) {
        var settings: [Setting] = [], rest = words[...]
        func add(_ assignment: Substring) {
            let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return }
            settings.append(Setting(name: String(parts[0]).replacing("-", with: "_"), value: String(parts[1])))
        }
        while let word = rest.popFirst() {
            if word == "--" { break }
            if word.hasPrefix("--") {
                let name = word.dropFirst(2)
                if name.contains("=") { add(name[...]) }
                continue
            }
            guard word.hasPrefix("-"), let letter = word.dropFirst().first else { continue }
            if let (name, value) = Self.switches[letter] {
                settings.append(Setting(name: name, value: value))
            } else if Self.taking.contains(letter) {
                // A letter's value follows it, in the same word or the next.
                let value = word.count > 2 ? word.dropFirst(2) : (rest.popFirst() ?? "")[...]
                if letter == "c" { add(value) } else if let name = Self.named[letter] { settings.append(Setting(name: name, value: String(value))) }
            }
        }
        self.settings = settings
    }

    /// Reads `postmaster.opts`, which keeps the command line of the last start; `nil` where it is not one.
    public init?(optsFile text: String) {
        guard let line = text.split(separator: "\n").first, let first = line.firstRange(of: " \"") else { return nil }
        // The server writes each word in quotes and escapes nothing.
        var words = line[first.upperBound...].split(separator: "\" \"", omittingEmptySubsequences: false).map(String.init)
        guard let last = words.popLast(), last.hasSuffix("\"") else { return nil }
        words.append(String(last.dropLast()))
        self.init(words)
    }

    /// Reads `/proc/PID/cmdline`.
    init(processCommandLine bytes: [UInt8]) {
        self.init(bytes.split(separator: 0, omittingEmptySubsequences: false).dropFirst().dropLast().map { String(decoding: $0, as: UTF8.self) })
    }

    public func value(of name: String) -> String? { settings.last { isSameSetting($0.name, name) }?.value }

    private static let switches: [Character: (String, String)] = [
        "F": ("fsync", "off"), "i": ("listen_addresses", "*"), "l": ("ssl", "on"),
    ]
    private static let named: [Character: String] = [
        "B": "shared_buffers", "D": "data_directory", "h": "listen_addresses", "k": "unix_socket_directories", "N": "max_connections", "p": "port", "S": "work_mem",
    ]
    private static let taking: Set<Character> = ["B", "c", "C", "d", "D", "f", "h", "k", "N", "o", "p", "r", "S", "t", "v", "W"]
}
