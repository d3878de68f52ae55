public import EventLoop
public import PostgresClient
import PostgresConfig
public import RemoteHost

/// Where an instance's configuration files are.
public struct ConfigurationFiles: Sendable, Hashable {
    public let dataDirectory: HostPath
    public let configFile: HostPath
    public let hbaFile: HostPath
    public let identFile: HostPath

    /// Always in the data directory, and read last: what it says wins.
    public var autoConfFile: HostPath { dataDirectory / "postgresql.auto.conf" }

    public init(dataDirectory: HostPath, configFile: HostPath, hbaFile: HostPath, identFile: HostPath) {
        (self.dataDirectory, self.configFile) = (dataDirectory, configFile)
        (self.hbaFile, self.identFile) = (hbaFile, identFile)
    }

    /// The files as a server reads them that nobody can ask: where its command line or its settings say, or beside `configFile`.
    init(dataDirectory: HostPath, configFile: HostPath, arguments: ServerArguments?, settings: SettingsTree) {
        // A relative path starts at the data directory, a default lies beside postgresql.conf.
        func file(_ setting: String, _ name: String) -> HostPath {
            guard let value = arguments?.value(of: setting) ?? settings.deciding(setting)?.value, !value.isEmpty else { return configFile.directory / name }
            return HostPath(value) ?? dataDirectory / value
        }
        self.init(
            dataDirectory: dataDirectory, configFile: configFile, hbaFile: file("hba_file", "pg_hba.conf"),
            identFile: file("ident_file", "pg_ident.conf"))
    }
}

extension Instance {
    /// Where the running server says its files are.
    /// - Throws: `UnexpectedAnswer` where the connection may not see them.
    public func configurationFiles(through connection: PostgresConnection, deadline: Deadline) async throws -> ConfigurationFiles {
        let row = try await connection.look(ConfigurationFiles.query, deadline: deadline).one()
        func path(_ name: String) throws -> HostPath {
            let text: String = try row.get(name)
            guard let path = HostPath(text) else { throw UnexpectedAnswer(node: node, text: "\(name) = \(text) is no absolute path") }
            return path
        }
        return ConfigurationFiles(
            dataDirectory: try path("data_directory"), configFile: try path("config_file"), hbaFile: try path("hba_file"),
            identFile: try path("ident_file"))
    }

    /// Where the files are of a server that nobody asks, because it does not run or lets nobody in: `postgresql.conf` where the
    /// process was told, or where the last one was (`postmaster.opts`), or in the Debian cluster's directory, or in the data
    /// directory; the others where it says, or beside it.
    ///
    /// Where there is no `postgresql.conf` yet, the places it will have.
    public func configurationFiles(deadline: Deadline) async throws -> ConfigurationFiles {
        let usual = (debianCluster?.configDirectory ?? dataDirectory) / "postgresql.conf"
        // Read meanwhile, for it is seldom another.
        async let reading = looks(at: [usual, dataDirectory / "postgresql.auto.conf"].map { .file($0.path) }, deadline: deadline)
        let arguments = try await arguments(deadline: deadline).arguments
        var configFile = usual
        if let told = arguments?.value(of: "config_file") {
            configFile = HostPath(told) ?? dataDirectory / told
        } else if let directory = (arguments?.value(of: "data_directory")).flatMap({ HostPath($0) }), directory != dataDirectory,
            try await host.stat(directory / "postgresql.conf", as: user, deadline: deadline) != nil
        {
            // `-D` may name the directory of the configuration.
            configFile = directory / "postgresql.conf"
        }
        if configFile != usual, try await host.stat(configFile, as: user, deadline: deadline) == nil { configFile = usual }
        let known = try await reading.reduce(into: FileSnapshot()) { $0[$1.0] = $1.1 }
        let whole = try await settings(in: configFile, known: known, deadline: deadline).tree
        return ConfigurationFiles(dataDirectory: dataDirectory, configFile: configFile, arguments: arguments, settings: whole)
    }
}

extension ConfigurationFiles {
    static let query: SQL = """
        SELECT current_setting('data_directory') AS data_directory, current_setting('config_file') AS config_file,
               current_setting('hba_file') AS hba_file, current_setting('ident_file') AS ident_file
        """
}
