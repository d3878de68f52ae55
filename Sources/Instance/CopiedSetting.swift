import PostgresConfig
import RemoteHost

extension CloneConfiguration {
    /// What the files of the copy will say of a setting that no step of ours touches; `nil` where they leave it to the server.
    public func fileValue(of name: String) -> String? {
        if let value = target.content[target.files.autoConfFile].flatMap({ SettingsFile($0).value(of: name) }) { return value }
        guard configFileTravels else { return target.content[target.files.configFile].flatMap { SettingsFile($0).value(of: name) } }
        let files = travellingFiles.subtracting([source.files.autoConfFile.path])
        return source.lines.last { files.contains($0.file) && isSameSetting($0.name, name) }?.value
    }
}
