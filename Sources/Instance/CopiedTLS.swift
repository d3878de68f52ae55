import PostgresConfig
import RemoteHost

/// What of TLS the server of a copy will run with, as its files will say it.
public struct CopiedTLS: Sendable, Hashable {
    /// The setting `ssl`.
    public var isOn: Bool
    /// As the settings name them: relative ones are in the data directory.
    public var certificateFile: String
    public var keyFile: String
    /// By which it knows its clients' certificates; empty where it knows none.
    public var authorityFile: String

    public init(isOn: Bool, certificateFile: String = "server.crt", keyFile: String = "server.key", authorityFile: String = "") {
        (self.isOn, self.certificateFile, self.keyFile, self.authorityFile) = (isOn, certificateFile, keyFile, authorityFile)
    }
}

extension CloneConfiguration {
    /// What of TLS the copy's server will run with, after ``edits(hba:)``.
    /// - Throws: ``UnusableSetting``.
    public func tls() throws -> CopiedTLS {
        let edits = try edits(hba: HBAFile(for: HBAServer(features.version)))
        func after(_ path: HostPath) -> SettingsFile {
            SettingsFile((edits.first { $0.path == path }.map(\.after) ?? target.content[path]) ?? [])
        }
        let auto = after(target.files.autoConfFile), config = after(target.files.configFile)
        func value(_ name: String) -> String? {
            if let value = auto.value(of: name) ?? config.value(of: name) { return value }
            guard configFileTravels else { return nil }
            let travelling = travellingFiles
            return source.lines.last { travelling.contains($0.file) && isSameSetting($0.name, name) }?.value
        }
        let isOn = SettingValue(value("ssl") ?? "off", kind: SettingKind(.bool, version: features.version)) == .bool(true)
        var tls = CopiedTLS(isOn: isOn)
        tls.certificateFile = value("ssl_cert_file") ?? tls.certificateFile
        tls.keyFile = value("ssl_key_file") ?? tls.keyFile
        tls.authorityFile = value("ssl_ca_file") ?? tls.authorityFile
        return tls
    }
}
