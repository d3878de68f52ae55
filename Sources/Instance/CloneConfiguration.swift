public import PostgresClient
public import PostgresConfig
public import RemoteHost

/// What the configuration files of a copy must say so that it is a standby of its source and nothing else: not the
/// source itself, not a second archiver, not a server that promotes itself.
///
/// Pure: from what the source runs with and what the copy holds come the edits that a plan shows and a step does.
public struct CloneConfiguration: Sendable {
    public struct Target: Sendable, Hashable {
        public var files: ConfigurationFiles
        public var port: UInt16
        /// `nil` keeps what the copy brings or its own file says.
        public var listenAddresses: String?
        /// What stands at the paths of ``CloneConfiguration/paths`` now; no entry, no file.
        public var content: [HostPath: [UInt8]]

        public init(files: ConfigurationFiles, port: UInt16, listenAddresses: String? = nil, content: [HostPath: [UInt8]]) {
            (self.files, self.port, self.listenAddresses, self.content) = (files, port, listenAddresses, content)
        }
    }

    public var source: SourceSettings
    public var features: ServerFeatures
    public var target: Target
    /// Libraries the copy must not load while it still carries the source's identity.
    public var withoutLibraries: [String]
    /// How the standby reaches its primary: with a `passfile`, never with a password. `nil` leaves what is there.
    public var primaryConninfo: Conninfo?
    /// `nil` leaves what is there, such as what pgBackRest has written.
    public var restoreCommand: String?
    public var primarySlotName: String?

    public init(
        source: SourceSettings, features: ServerFeatures, target: Target, withoutLibraries: [String], primaryConninfo: Conninfo?,
        restoreCommand: String? = nil, primarySlotName: String? = nil
    ) {
        (self.source, self.features, self.target, self.withoutLibraries) = (source, features, target, withoutLibraries)
        (self.primaryConninfo, self.restoreCommand, self.primarySlotName) = (primaryConninfo, restoreCommand, primarySlotName)
    }

    /// The files that ``edits(hba:)`` looks at: read them for ``Target/content``.
    public static func paths(of files: ConfigurationFiles) -> [HostPath] {
        [files.configFile, files.hbaFile, files.identFile] + StandbyConfiguration.File.allCases.map { files.dataDirectory / $0.rawValue }
    }

    /// The preload list of the source, which the copy gets back when it has an identity of its own.
    /// - Throws: ``UnusableSetting`` for a list the server cannot read either.
    public func sourceLibraries() throws -> LibraryList {
        let value = source.value(of: "shared_preload_libraries") ?? ""
        guard let list = LibraryList(value) else {
            throw UnusableSetting(name: "shared_preload_libraries", value: value, why: "the list is not valid")
        }
        return list
    }

    /// The edits that make a standby of the copy, in the order in which they are done; those without an effect are left out.
    ///
    /// - Parameter hba: the `pg_hba.conf` of the time until it has joined, such as ``HBAFile/init(only:comment:)``.
    /// - Throws: ``UnusableSetting``.
    public func edits(hba: HBAFile) throws -> [ConfigurationEdit] {
        var after: [(HostPath, [UInt8]?)] = [(target.files.hbaFile, hba.render())]
        switch target.content[target.files.configFile] {
        case let content? where configFileTravels: after.append((target.files.configFile, travelled(content)))
        case .some: break
        // A server does not start without the file, whatever it says.
        case nil: after.append((target.files.configFile, Array("# All settings are in postgresql.auto.conf.\n".utf8)))
        }
        // As the copy's files will be, but for what makes it a standby.
        var recovery: [StandbyConfiguration.File: [UInt8]] = [:]
        for file in StandbyConfiguration.File.allCases { recovery[file] = target.content[path(of: file)] }
        recovery[.autoConf] = try overrides()
        let changes = try standby().changes(for: features, from: recovery)
        after += changes.map { (path(of: $0.file), $0.after) }
        if !changes.contains(where: { $0.file == .autoConf }) { after.append((target.files.autoConfFile, recovery[.autoConf])) }
        return after.map { ConfigurationEdit(path: $0, before: target.content[$0], after: $1) }.filter { !$0.isEmpty }
    }

    /// The edits that open the copy to clients: the source's rules, with `rules` seen to on top of them, and its user maps.
    ///
    /// - Parameters:
    ///   - sourceHBA: content of the source's `pg_hba.conf`.
    ///   - sourceIdent: content of the source's `pg_ident.conf`.
    ///   - current: what the copy's two files hold now; no entry, no file.
    public func opening(
        sourceHBA: [UInt8], sourceIdent: [UInt8]?, ensuring rules: [HBARule] = [], current: [HostPath: [UInt8]]
    ) -> [ConfigurationEdit] {
        var file = HBAFile(sourceHBA, for: HBAServer(features.version))
        for rule in rules { file.ensure(rule) }
        let (hba, ident) = (target.files.hbaFile, target.files.identFile)
        return [
            ConfigurationEdit(path: ident, before: current[ident], after: sourceIdent ?? current[ident]),
            ConfigurationEdit(path: hba, before: current[hba], after: file.render()),
        ].filter { !$0.isEmpty }
    }

    // MARK: postgresql.auto.conf

    /// Whether the copy's `postgresql.conf` is the source's.
    var configFileTravels: Bool {
        sourceHolds(source.files.configFile) && target.content[target.files.configFile] != nil
            && target.files.configFile.path.hasPrefix(target.files.dataDirectory.path + "/")
    }

    private func sourceHolds(_ file: HostPath?) -> Bool { file?.path.hasPrefix(source.files.dataDirectory.path + "/") ?? false }

    private func overrides() throws -> [UInt8] {
        let held = target.content[target.files.autoConfFile]
        var file = SettingsFile(held ?? Array("# Do not edit this file manually!\n# It will be overwritten by the ALTER SYSTEM command.\n".utf8))
        for name in Set(file.settings.map(\.name)) where Self.neverInAutoConf.contains(where: { isSameSetting($0, name) }) { file.remove(name) }
        file.remove("spock.readonly")

        for (name, value) in carried() { file.set(name, to: value) }
        for (name, value) in neutralised() { file.set(name, to: value) }

        file.set("port", to: "\(target.port)")
        if let addresses = target.listenAddresses { file.set("listen_addresses", to: addresses) }
        var libraries = try sourceLibraries()
        for library in withoutLibraries { libraries = libraries.removing(library) }
        if libraries != (try sourceLibraries()) || file.value(of: "shared_preload_libraries") != nil {
            file.set("shared_preload_libraries", to: libraries.description)
        }
        file.set("archive_mode", to: "off")
        // Inherited, it would hang the first write after the promotion.
        file.set("synchronous_standby_names", to: "")
        if isOff(source.value(of: "hot_standby")) { file.set("hot_standby", to: "on") }
        return file.render()
    }

    /// The settings that reach the copy by no file: those of files that do not travel, and of the command line.
    private func carried() -> [(String, String)] {
        var values: [(name: String, value: String)] = []
        func carry(_ name: String, _ value: String) {
            guard !Self.belongsToTheHost(name), !StandbyConfiguration.endsRecovery(name) else { return }
            // A certificate outside of the data directory is not in the copy, and without one the server does not start.
            if isSameSetting(name, "ssl"), source.value(of: "ssl_cert_file")?.hasPrefix("/") ?? false { return }
            values.removeAll { isSameSetting($0.name, name) }
            values.append((name, value))
        }
        func inForce(_ name: String) -> SourceSettings.InForce? { source.inForce.first { isSameSetting($0.name, name) } }

        let travelling = travellingFiles
        for line in source.lines where !travelling.contains(line.file) {
            // A later line of a file that does travel says it already.
            if source.lines.last(where: { isSameSetting($0.name, line.name) })?.file != line.file { continue }
            if line.isApplied {
                carry(line.name, line.value)
            } else if let setting = inForce(line.name), setting.source == "configuration file" {
                carry(setting.name, setting.value)
            }
        }
        for setting in source.inForce where ["command line", "environment variable"].contains(setting.source) {
            carry(setting.name, setting.value)
        }
        // The copy's own file knows nothing of the source's defaults, and a standby needs as much as its primary.
        if !configFileTravels {
            for name in features.hotStandbyMinima + ["wal_level", "track_commit_timestamp", "max_replication_slots"]
            where !values.contains(where: { isSameSetting($0.name, name) }) {
                if let setting = inForce(name) { carry(name, setting.value) }
            }
        }
        // Changed in the files and waiting for a restart: a standby must match what the primary runs with.
        if features.hasFileSettingsView {
            for name in features.hotStandbyMinima {
                if let setting = inForce(name), let last = source.lines.last(where: { isSameSetting($0.name, name) }), !last.isApplied {
                    carry(name, setting.value)
                }
            }
        }
        return values.map { ($0.name, $0.value) }
    }

    /// The files of the source that the copy's server reads too.
    var travellingFiles: Set<String> {
        var files: Set<String> = [source.files.autoConfFile.path]
        guard configFileTravels else { return files }
        files.insert(source.files.configFile.path)
        for line in source.lines where sourceHolds(HostPath(line.file)) { files.insert(line.file) }
        // An include that is taken out takes its files along.
        if let content = target.content[target.files.configFile] {
            for include in SettingsFile(content).includes where !travels(include) {
                files = files.filter { $0 != include.path && !$0.hasPrefix(include.path + "/") }
            }
        }
        return files
    }

    /// What files that travel say and the copy must not do: overridden with PostgreSQL's defaults.
    private func neutralised() -> [(String, String)] {
        source.lines.reduce(into: [(String, String)]()) { values, line in
            guard line.file != source.files.autoConfFile.path, travellingFiles.contains(line.file),
                !values.contains(where: { isSameSetting($0.0, line.name) })
            else { return }
            if isSameSetting(line.name, "spock.readonly") { values.append((line.name, "off")) }
            let harmless = StandbyConfiguration.harmlessValue(of: line.name)
            if StandbyConfiguration.endsRecovery(line.name), line.value != harmless { values.append((line.name, harmless)) }
        }
    }

    private func isOff(_ value: String?) -> Bool { value.map { ["off", "false", "no", "0"].contains($0.lowercased()) } ?? false }

    // MARK: postgresql.conf that came with the copy

    /// The source's file without what names the source's own places. Nothing is deleted: lines become comments.
    private func travelled(_ content: [UInt8]) -> [UInt8] {
        var file = SettingsFile(content)
        for setting in file.settings where ["data_directory", "hba_file", "ident_file", "external_pid_file"].contains(setting.name.lowercased()) {
            file.commentOut(line: setting.line, because: "names a place of the node this is a copy of")
        }
        for include in file.includes where !travels(include) {
            file.commentOut(line: include.line, because: "not in the copy; its settings are in postgresql.auto.conf")
        }
        return file.render()
    }

    /// Whether what is included came with the copy, and is found there by the same name.
    private func travels(_ include: SettingsFile.Include) -> Bool {
        if include.path.hasPrefix("/") {
            return sourceHolds(HostPath(include.path)) && source.files.dataDirectory == target.files.dataDirectory
        }
        var depth = 0
        for part in include.path.split(separator: "/") where part != "." {
            depth += part == ".." ? -1 : 1
            if depth < 0 { return false }
        }
        return true
    }

    // MARK: Recovery

    private func standby() throws -> StandbyConfiguration {
        // libpq's words, not the text: a password may be written in many ways.
        if let conninfo = primaryConninfo, conninfo["password"] != nil {
            throw UnusableSetting(name: "primary_conninfo", value: "\(conninfo)", why: "it holds a password; use a passfile")
        }
        return StandbyConfiguration(
            primaryConninfo: primaryConninfo?.connectionString, primarySlotName: primarySlotName, restoreCommand: restoreCommand)
    }

    private func path(of file: StandbyConfiguration.File) -> HostPath { target.files.dataDirectory / file.rawValue }

    // MARK: Which settings are whose

    /// The server reads these before it knows `postgresql.auto.conf`, or they are told to it in another way.
    static let neverInAutoConf = ["data_directory", "config_file", "hba_file", "ident_file", "external_pid_file"]

    /// Settings that name a place, an address or a role of their own host or node: another one needs its own.
    static func belongsToTheHost(_ name: String) -> Bool {
        let name = name.lowercased()
        let exact: Set<String> = [
            "data_directory", "config_file", "hba_file", "ident_file", "external_pid_file", "port", "listen_addresses",
            "unix_socket_directories", "unix_socket_directory", "unix_socket_group", "unix_socket_permissions", "cluster_name",
            "restore_command", "stats_temp_directory", "synchronous_standby_names", "spock.readonly", "log_directory", "log_filename",
            "log_destination", "logging_collector", "log_file_mode", "log_rotation_age", "log_rotation_size",
            "log_truncate_on_rotation", "promote_trigger_file", "trigger_file", "bonjour", "bonjour_name", "krb_server_keyfile",
            "dynamic_library_path", "shared_preload_libraries", "hot_standby", "ssl_passphrase_command", "ssl_crl_dir", "ssl_library",
            "event_source", "recovery_end_command", "standby_mode", "transaction_read_only",
        ]
        return exact.contains(name) || ["archive_", "primary_", "recovery_", "syslog_"].contains { name.hasPrefix($0) }
            || (name.hasPrefix("ssl_") && name.hasSuffix("_file"))
    }
}
