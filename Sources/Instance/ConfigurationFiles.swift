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

    /// The files of a stopped server: as `configFile` says, or beside it.
    init(dataDirectory: HostPath, configFile: HostPath, settings: SettingsFile) {
        // A relative path starts at the data directory, a default lies beside postgresql.conf.
        func file(_ setting: String, _ name: String) -> HostPath {
            guard let value = settings.value(of: setting), !value.isEmpty else { return configFile.directory / name }
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
        let row = try await connection.query(ConfigurationFiles.query, deadline: deadline).one()
        func path(_ name: String) throws -> HostPath {
            let text: String = try row.get(name)
            guard let path = HostPath(text) else { throw UnexpectedAnswer(node: node, text: "\(name) = \(text) is no absolute path") }
            return path
        }
        return ConfigurationFiles(
            dataDirectory: try path("data_directory"), configFile: try path("config_file"), hbaFile: try path("hba_file"),
            identFile: try path("ident_file"))
    }

    /// Where the files of a stopped server are: in the Debian cluster's directory, or in the data directory, or where
    /// `postgresql.conf` says.
    ///
    /// Where there is no `postgresql.conf` yet, the places it will have.
    public func configurationFiles(deadline: Deadline) async throws -> ConfigurationFiles {
        let configFile = (debianCluster?.configDirectory ?? dataDirectory) / "postgresql.conf"
        let content = try await host.read(configFile, as: user, deadline: deadline)
        return ConfigurationFiles(dataDirectory: dataDirectory, configFile: configFile, settings: SettingsFile(content ?? []))
    }
}

extension ConfigurationFiles {
    static let query: SQL = """
        SELECT current_setting('data_directory') AS data_directory, current_setting('config_file') AS config_file,
               current_setting('hba_file') AS hba_file, current_setting('ident_file') AS ident_file
        """
}
