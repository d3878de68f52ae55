public import EventLoop
public import PostgresClient
import PostgresConfig

/// The settings of a running server, as its files give them and as they are in force.
public struct SourceSettings: Sendable, Hashable {
    /// A line of a configuration file, as `pg_file_settings` shows it.
    public struct FileLine: Sendable, Hashable {
        public let file: String
        public let name: String
        public let value: String
        /// `false` for a line that a later one overrides, that waits for a restart, or that is wrong.
        public let isApplied: Bool

        public init(file: String, name: String, value: String, isApplied: Bool) {
            (self.file, self.name, self.value, self.isApplied) = (file, name, value, isApplied)
        }
    }

    /// A row of `pg_settings`; `value` is in the setting's base unit, which a file takes as well.
    public struct InForce: Sendable, Hashable {
        public let name: String
        public let value: String
        /// `default`, `configuration file`, `command line` …
        public let source: String

        public init(name: String, value: String, source: String) {
            (self.name, self.value, self.source) = (name, value, source)
        }
    }

    public let files: ConfigurationFiles
    /// In the order the server reads them: `postgresql.auto.conf` last.
    public let lines: [FileLine]
    public let inForce: [InForce]

    public init(files: ConfigurationFiles, lines: [FileLine], inForce: [InForce]) {
        (self.files, self.lines, self.inForce) = (files, lines, inForce)
    }

    /// The value in force.
    public func value(of name: String) -> String? { inForce.first { isSameSetting($0.name, name) }?.value }

    static let linesQuery: SQL = """
        SELECT sourcefile, name, setting, applied FROM pg_file_settings WHERE name IS NOT NULL AND setting IS NOT NULL ORDER BY seqno
        """
    /// Before 9.5: the lines that decide, with their values in base units.
    static let linesInForceQuery: SQL = """
        SELECT sourcefile, name, setting, true AS applied FROM pg_settings WHERE sourcefile IS NOT NULL ORDER BY sourcefile, sourceline
        """
    static let inForceQuery: SQL = "SELECT name, setting, source FROM pg_settings WHERE setting IS NOT NULL ORDER BY name"
}

extension Instance {
    /// Reads the settings of the running server. Before 9.5, where no view shows the files, only the lines in force.
    ///
    /// - Parameter connection: to this instance, as a superuser.
    public func settings(through connection: PostgresConnection, deadline: Deadline) async throws -> SourceSettings {
        let query = features.hasFileSettingsView ? SourceSettings.linesQuery : SourceSettings.linesInForceQuery
        async let files = configurationFiles(through: connection, deadline: deadline)
        async let written = connection.look(query, deadline: deadline), decided = connection.look(SourceSettings.inForceQuery, deadline: deadline)
        let lines = try await written.map { row in
            SourceSettings.FileLine(
                file: try row.get("sourcefile"), name: try row.get("name"), value: try row.get("setting"), isApplied: try row.get("applied"))
        }
        let inForce = try await decided.map { row in
            SourceSettings.InForce(name: try row.get("name"), value: try row.get("setting"), source: try row.get("source"))
        }
        return SourceSettings(files: try await files, lines: lines, inForce: inForce)
    }
}
