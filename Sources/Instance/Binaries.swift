public import EventLoop
public import PostgresConfig
public import RemoteHost

/// The server programs of one installation.
public struct Binaries: Sendable, Hashable {
    public let directory: HostPath
    /// What each program says of its version: `postgres` → `15.18`.
    public let versions: [String: String]

    /// The programs without which an instance cannot be driven.
    static let needed = ["postgres", "pg_ctl", "pg_controldata"]

    public init(directory: HostPath, versions: [String: String]) {
        self.directory = directory
        self.versions = versions
    }

    /// The major version of the server; `nil` where the server is a PostgreSQL in disguise, such as Postgres-XC.
    public var version: MajorVersion? { versions["postgres"].flatMap { MajorVersion($0) } }

    /// Asks each needed program of each directory for its version. Values: the directories.
    static let survey = """
        for directory; do
          for program in postgres pg_ctl pg_controldata; do
            [ -x "$directory/$program" ] || continue
            answer=$("$directory/$program" --version 2>/dev/null </dev/null) && printf '%s\\t%s\\t%s\\n' "$directory" "$program" "$answer"
          done
        done
        """

    /// The first of the directories, in their order, that holds all needed programs.
    ///
    /// - Parameter version: a directory of another version does not count; `nil` takes any.
    static func choose(from output: String, in directories: [HostPath], version: MajorVersion?) -> Binaries? {
        var found: [String: [String: String]] = [:]
        for line in output.split(separator: "\n") {
            let fields = line.split(separator: "\t", maxSplits: 2).map(String.init)
            if fields.count == 3 { found[fields[0], default: [:]][fields[1]] = versionText(fields[2]) }
        }
        return directories.lazy
            .compactMap { directory in found[directory.path].map { Binaries(directory: directory, versions: $0) } }
            .first { binaries in
                needed.allSatisfy { binaries.versions[$0] != nil } && (version == nil || binaries.version == nil || binaries.version == version)
            }
    }

    /// `15.18` of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; empty for another product, whose numbers mean something else.
    static func versionText(_ answer: String) -> String {
        guard let product = answer.firstRange(of: "(PostgreSQL) ") else { return "" }
        return String(answer[product.upperBound...].prefix { !$0.isWhitespace })
    }
}

extension Instance {
    // $1 the server's program, then the settings. Of a data directory it reads nothing for these.
    private static let building = #"""
        postgres=$1; shift
        for name; do printf '%s\t%s\n' "$name" "$("$postgres" -D / --config_file=/dev/null -C "$name" 2>/dev/null)"; done
        """#

    /// With what its programs were built, by the names of settings, in their base units; what they do not say is left out.
    public func buildSettings(deadline: Deadline) async throws -> [String: String] {
        guard !features.buildSettings.isEmpty else { return [:] }
        let words = ["sh", "-c", Self.building, "sh", (binaries.directory / "postgres").path] + features.buildSettings
        let output = try await host.require(Command(words: words, user: user), deadline: deadline).text
        return lines(of: output).reduce(into: [:]) { values, line in
            let fields = line.split(separator: "\t").map(String.init)
            if fields.count == 2 { values[fields[0]] = fields[1] }
        }
    }
}
