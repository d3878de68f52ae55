public import PostgresClient
public import RemoteHost
public import Report

/// One option we want a configuration to have.
public struct BackRestOption: Sendable, Hashable, CustomStringConvertible {
    /// How much we insist.
    public enum Weight: Sendable, Hashable {
        /// The copy goes wrong with another value.
        case required
        /// Added where nothing is said; what is said already stays.
        case preferred
    }

    public let key: String
    public let value: String
    public let weight: Weight

    public init(_ key: String, _ value: String, _ weight: Weight = .required) {
        self.key = key
        self.value = value
        self.weight = weight
    }

    /// As it stands in a file; the value of a secret is left out.
    public var description: String { "\(key)=\(isSecret ? Redaction.mark : value)" }

    /// Whether only hosts may see the value: a passphrase, the key of an object store.
    public var isSecret: Bool { BackRestOption.isSecret(key) }

    static func isSecret(_ key: String) -> Bool { Redaction.isSecret(key) }

    /// The variable of the environment that says the same: `PGBACKREST_REPO1_PATH`.
    static func variable(_ key: String) -> String { variablePrefix + key.uppercased().map { $0 == "-" ? "_" : "\($0)" }.joined() }

    /// The option that a variable of the environment stands for.
    static func key(ofVariable name: String) -> String { name.dropFirst(variablePrefix.count).lowercased().map { $0 == "_" ? "-" : "\($0)" }.joined() }

    static let variablePrefix = "PGBACKREST_"
}

/// What pgBackRest reads on one host: the file we may edit, and the files included besides it.
///
/// Our options go into the section of the stanza, never into `[global]`: what other stanzas see does not change.
public struct BackRestConfiguration: Sendable, Hashable {
    /// The file that is edited.
    public private(set) var file: IniFile
    /// Files of the include directory; read, never edited.
    public let included: [IniFile]
    /// What outweighs the files: the environment and the command line, as variables of the environment.
    public let environment: [String: Secret]

    public init(_ file: IniFile, included: [IniFile] = [], environment: [String: Secret] = [:]) {
        self.file = file
        self.included = included
        self.environment = environment
    }

    /// The value that holds for `command` of `stanza`, wherever it is said; `nil` where pgBackRest's own default does.
    public func value(_ key: String, stanza: StanzaName, command: String? = nil) -> String? {
        environment[BackRestOption.variable(key)]?.reveal() ?? setting(key, stanza: stanza, command: command)?.value
    }

    /// The options that are said for the stanza, wherever, by their current names and in order.
    public func keys(of stanza: StanzaName) -> [String] {
        let ofFiles = all.map(\.setting).filter { $0.section.isSection(of: stanza.name) || $0.section.isSection(of: "global") }.map(\.key.current)
        return Set(ofFiles + environment.keys.map(BackRestOption.key(ofVariable:))).sorted()
    }

    /// The setting that holds for `command` of `stanza`, by pgBackRest's order of sections.
    public func setting(_ key: String, stanza: StanzaName, command: String? = nil) -> IniFile.Setting? {
        let sections = [command.map { "\(stanza):\($0)" }, stanza.name, command.map { "global:\($0)" }, "global"].compactMap { $0 }
        for section in sections {
            if let found = all.first(where: { $0.setting.section == section && $0.setting.key.current == key }) { return found.setting }
        }
        return nil
    }

    /// The stanzas that have a section of their own.
    public var stanzas: [String] {
        ([file] + included).flatMap(\.sections).reduce(into: []) { names, section in
            let name = section.split(separator: ":").first.map(String.init) ?? section
            if name != "global", !names.contains(name) { names.append(name) }
        }
    }

    /// The configuration with `options` in force for `stanza`, and the options that had to be added for that.
    ///
    /// What already holds is not written again. A value in `[global]` is overridden in the stanza's section.
    /// - Throws: ``BackRestConfigurationConflict`` where the stanza itself says otherwise, or `[global]` says what a
    ///   stanza cannot take back.
    public func adding(
        _ options: [BackRestOption], to stanza: StanzaName
    ) throws(BackRestConfigurationConflict) -> (configuration: BackRestConfiguration, added: [BackRestOption]) {
        var result = self, added: [BackRestOption] = []
        for option in options {
            switch option.weight {
            case .preferred:
                guard setting(option.key, stanza: stanza) == nil else { continue }
            case .required:
                let own = all.filter { $0.setting.key == option.key && $0.setting.section.isSection(of: stanza.name) }
                if let other = own.first(where: { $0.setting.value != option.value }) {
                    throw BackRestConfigurationConflict(file: other.file, setting: other.setting, wanted: option.value, stanza: stanza)
                }
                guard own.first(where: { $0.setting.section == stanza.name }) == nil else { continue }
                let global = all.filter { $0.setting.key == option.key && $0.setting.section.isSection(of: "global") }
                guard global.isEmpty || global.contains(where: { $0.setting.value != option.value }) else { continue }
            }
            result.file.add(option.key, option.value, to: stanza.name)
            added.append(option)
        }
        if let foreign = all.first(where: { $0.setting.contradicts(options, of: stanza) }) {
            throw BackRestConfigurationConflict(file: foreign.file, setting: foreign.setting, wanted: nil, stanza: stanza)
        }
        return (result, added)
    }

    /// The configuration without `options` in the stanza's section: takes back what ``adding(_:to:)`` added. An option without a value
    /// goes whatever its value is.
    public func removing(_ options: [(key: String, value: String?)], from stanza: StanzaName) -> BackRestConfiguration {
        var result = self
        for option in options.reversed() { result.file.remove(option.key, option.value, from: stanza.name) }
        return result
    }

    private var all: [(file: HostPath, setting: IniFile.Setting)] {
        ([file] + included).flatMap { file in file.settings.map { (file.path, $0) } }
    }
}

/// An existing configuration says something else about the stanza than the copy needs. Nothing was written.
public struct BackRestConfigurationConflict: Explained, Hashable {
    public let file: HostPath
    public let setting: IniFile.Setting
    /// The value that is needed; `nil` when the option must not be there at all.
    public let wanted: String?
    public let stanza: StanzaName

    public var fact: String {
        "\(file) line \(setting.line): [\(setting.section)] has \(BackRestOption(setting.key, setting.value)), but stanza '\(stanza)' needs "
            + (wanted.map { "\(BackRestOption(setting.key, $0))" } ?? "it without \(setting.key)")
    }

    public var hint: String? {
        "name the repository that this stanza already uses, choose another stanza name, or give pggraft a configuration file of its own."
    }
}

extension String {
    /// An option of before 2.0x under its current name: `repo-path` is `repo1-path`, `db-path` is `pg1-path`.
    fileprivate var current: String {
        for (old, new) in [("repo-", "repo1-"), ("db-", "pg1-"), ("pg-", "pg1-")] where hasPrefix(old) && !["db-timeout", "db-include", "db-exclude"].contains(self) {
            return new + dropFirst(old.count)
        }
        return self
    }

    /// Whether this section is `name` or belongs to a command of it: `name:backup`.
    fileprivate func isSection(of name: String) -> Bool { self == name || hasPrefix(name + ":") }
}

extension IniFile.Setting {
    /// Whether this setting moves the repository that `options` describe, and no option of theirs overrides it.
    fileprivate func contradicts(_ options: [BackRestOption], of stanza: StanzaName) -> Bool {
        guard section.isSection(of: stanza.name) || section.isSection(of: "global"),
            options.contains(where: { $0.key.hasPrefix("repo1-") && $0.weight == .required }),
            !options.contains(where: { $0.key == key })
        else { return false }
        return switch key {
        case "repo1-host": true
        case "repo1-host-type": value != "ssh"
        case "repo1-type": value != "posix"
        default: false
        }
    }
}
