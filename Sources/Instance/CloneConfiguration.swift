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
        /// What its own files say now, as far as they can be read.
        public var lines: [SourceSettings.FileLine]

        public init(
            files: ConfigurationFiles, port: UInt16, listenAddresses: String? = nil, content: [HostPath: [UInt8]], lines: [SourceSettings.FileLine] = []
        ) {
            (self.files, self.port, self.listenAddresses, self.content) = (files, port, listenAddresses, content)
            self.lines = lines
        }
    }

    public var source: SourceSettings
    public var features: ServerFeatures
    public var target: Target
    /// Libraries the copy must not load while it still carries the source's identity.
    public var withoutLibraries: [String]
    /// Whether it must not run the source's subscriptions of PostgreSQL's own logical replication: their workers begin with a promotion.
    public var withoutSubscriptions: Bool
    /// How the standby reaches its primary: with a `passfile`, never with a password. `nil` leaves what is there.
    public var primaryConninfo: Conninfo?
    /// `nil` leaves what is there, such as what pgBackRest has written.
    public var restoreCommand: String?
    /// What clears an archive of the copy's own; `nil` for none.
    public var archiveCleanupCommand: String?
    public var primarySlotName: String?
    /// Whether it archives once it is promoted.
    public var archiving: Archiving
    /// Whether its files are its own, those of a standby that runs with them, and no copies of the source's.
    public var keepsOwnFiles: Bool

    /// What becomes of archiving on the copy. Neither archives as long as it is a standby.
    public enum Archiving: Sendable, Hashable {
        /// None, also after a promotion: it becomes another node, and never writes into the source's archive.
        case off
        /// It takes the source's place: after a promotion it archives at once, where the source does, by a command of its own; `nil` for the source's.
        case afterPromotion(command: String?)
    }

    public init(
        source: SourceSettings, features: ServerFeatures, target: Target, withoutLibraries: [String], withoutSubscriptions: Bool = false,
        primaryConninfo: Conninfo?, restoreCommand: String? = nil, archiveCleanupCommand: String? = nil, primarySlotName: String? = nil,
        archiving: Archiving = .off, keepsOwnFiles: Bool = false
    ) {
        (self.source, self.features, self.target, self.withoutLibraries) = (source, features, target, withoutLibraries)
        self.withoutSubscriptions = withoutSubscriptions
        (self.primaryConninfo, self.restoreCommand, self.primarySlotName) = (primaryConninfo, restoreCommand, primarySlotName)
        (self.archiveCleanupCommand, self.archiving, self.keepsOwnFiles) = (archiveCleanupCommand, archiving, keepsOwnFiles)
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
    /// - Parameters:
    ///   - hba: the `pg_hba.conf` of the time until it has joined, such as ``HBAFile/init(only:comment:)``.
    ///   - ident: the `pg_ident.conf`; `nil` leaves what is there.
    /// - Throws: ``UnusableSetting``.
    public func edits(hba: HBAFile, ident: [UInt8]? = nil) throws -> [ConfigurationEdit] {
        var after: [(HostPath, [UInt8]?)] = [(target.files.hbaFile, hba.render())]
        if let ident { after.append((target.files.identFile, ident)) }
        let own = target.content[target.files.configFile], config = own.map { configFileTravels ? travelled($0) : $0 }
        // As the copy's files will be, but for what makes it a standby.
        var recovery: [StandbyConfiguration.File: [UInt8]] = [:]
        for file in StandbyConfiguration.File.allCases { recovery[file] = target.content[path(of: file)] }
        if features.readsAutoConf {
            // A server does not start without the file, whatever it says.
            after.append((target.files.configFile, config ?? Array("# All settings are in postgresql.auto.conf.\n".utf8)))
            recovery[.autoConf] = try overridingAutoConf()
        } else {
            after.append((target.files.configFile, try overridden(config ?? [])))
        }
        let changes = try standby().changes(for: features, from: recovery)
        after += changes.map { (path(of: $0.file), $0.after) }
        if features.readsAutoConf, !changes.contains(where: { $0.file == .autoConf }) { after.append((target.files.autoConfFile, recovery[.autoConf])) }
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

    // MARK: postgresql.auto.conf, or postgresql.conf before there was one

    /// Whether the copy's `postgresql.conf` is the source's.
    var configFileTravels: Bool {
        !keepsOwnFiles && sourceHolds(source.files.configFile) && target.content[target.files.configFile] != nil
            && target.files.configFile.path.hasPrefix(target.files.dataDirectory.path + "/")
    }

    private func sourceHolds(_ file: HostPath?) -> Bool { file?.path.hasPrefix(source.files.dataDirectory.path + "/") ?? false }

    private func overridingAutoConf() throws -> [UInt8] {
        let held = target.content[target.files.autoConfFile]
        var file = SettingsFile(held ?? Array("# Do not edit this file manually!\n# It will be overwritten by the ALTER SYSTEM command.\n".utf8))
        for name in Set(file.settings.map(\.name)) where Self.neverInAutoConf.contains(where: { isSameSetting($0, name) }) { file.remove(name) }
        file.remove("spock.readonly")
        try override(&file)
        return file.render()
    }

    /// `postgresql.conf` of a server that reads no `postgresql.auto.conf`. What must not be overridden by a file that it includes goes behind that.
    private func overridden(_ config: [UInt8]) throws -> [UInt8] {
        var file = SettingsFile(config)
        guard !file.includes.isEmpty else {
            try override(&file)
            return file.render()
        }
        var last = SettingsFile([])
        try override(&last)
        for setting in last.settings { file.remove(setting.name) }
        return file.render() + (file.render().last == UInt8(ascii: "\n") ? [] : [UInt8(ascii: "\n")]) + last.render()
    }

    private func override(_ file: inout SettingsFile) throws {
        for (name, value) in carried() { file.set(name, to: value) }
        for name in Set(file.settings.map(\.name)) where isLeftover(name, file.value(of: name)) { file.remove(name) }
        for (name, value) in neutralised() { file.set(name, to: value) }

        file.set("port", to: "\(target.port)")
        if let addresses = target.listenAddresses { file.set("listen_addresses", to: addresses) }
        var libraries = try sourceLibraries()
        for library in withoutLibraries { libraries = libraries.removing(library) }
        if libraries != (try sourceLibraries()) || file.value(of: "shared_preload_libraries") != nil {
            file.set("shared_preload_libraries", to: libraries.description)
        }
        for (name, value) in archivingSettings() { file.set(name, to: value) }
        // Inherited, it would hang the first write after the promotion.
        file.set("synchronous_standby_names", to: "")
        // So would these hang what is read from it: slots of the source's own standbys.
        for name in Self.waitingForSlots where !(source.value(of: name) ?? "").isEmpty { file.set(name, to: "") }
        if isOff(source.value(of: "hot_standby")) { file.set("hot_standby", to: "on") }
        if hasNoSubscriptions { file.set(Self.subscriptionWorkers, to: "0") }
    }

    private func archivingSettings() -> [(String, String)] {
        guard case .afterPromotion(let own) = archiving, own != nil || !isOff(source.value(of: "archive_mode") ?? "off") else { return [("archive_mode", "off")] }
        let library = source.value(of: "archive_library") ?? "", command = own ?? source.value(of: "archive_command") ?? ""
        // `always` would archive as a standby, too.
        return [("archive_mode", "on")] + (library.isEmpty || own != nil ? [("archive_command", command)] : [("archive_library", library)])
    }

    // MARK: Once it has joined

    /// What `postgresql.auto.conf` says of a setting once the copy has joined; `nil` for nothing.
    public struct PutBack: Sendable, Hashable, Codable {
        public let name: String
        public let value: String?

        public init(name: String, value: String?) { (self.name, self.value) = (name, value) }
    }

    /// The settings that the copy has of its own only until it has joined, but for its preload list and its way to the primary.
    ///
    /// What was left from a recovery stands in the files as it stood, where it does nothing to a primary.
    public func putBack() -> [PutBack] {
        var settings = neutralised().map { PutBack(name: $0.0, value: nil) }
        if isOff(source.value(of: "hot_standby")) { settings.append(PutBack(name: "hot_standby", value: joined("hot_standby"))) }
        if hasNoSubscriptions { settings.append(PutBack(name: Self.subscriptionWorkers, value: joined(Self.subscriptionWorkers))) }
        return settings
    }

    /// What `postgresql.auto.conf` would say of `name` without what is said for the time until then.
    private func joined(_ name: String) -> String? {
        let own = source.lines.last { isSameSetting($0.name, name) && $0.file == source.files.autoConfFile.path }?.value
        return own ?? carried().first { isSameSetting($0.0, name) }?.1
    }

    private static let subscriptionWorkers = "max_logical_replication_workers"
    private var hasNoSubscriptions: Bool { withoutSubscriptions && features.hasSubscriptions }

    /// The settings that reach the copy by no file: those of files that do not travel, and of the command line.
    private func carried() -> [(String, String)] {
        var values: [(name: String, value: String)] = []
        func carry(_ name: String, _ value: String) {
            guard !Self.belongsToTheHost(name), !isSaid(name, value), StandbyConfiguration.neutralValue(of: name, for: features) == nil else { return }
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
            for name in features.hotStandbyMinima + Self.ofMembers
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

    /// Whether the copy's own files decide over a setting: they say the same, or it is none of those that it must have as its source.
    private func isSaid(_ name: String, _ value: String) -> Bool {
        guard keepsOwnFiles, let own = target.lines.last(where: { isSameSetting($0.name, name) }) else { return false }
        let asSource = features.hotStandbyMinima + Self.ofMembers + [Self.subscriptionWorkers]
        return own.value == value || !(name.lowercased().hasPrefix("spock.") || asSource.contains { isSameSetting($0, name) })
    }

    /// What a node needs as its source has it, to do what that does.
    private static let ofMembers = ["wal_level", "track_commit_timestamp", "max_replication_slots"]

    /// The files of the source that the copy's server reads too.
    var travellingFiles: Set<String> {
        if keepsOwnFiles { return [] }
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

    /// What files of the copy say and it must not do: overridden with PostgreSQL's defaults.
    private func neutralised() -> [(String, String)] {
        let travelling = source.lines.filter { $0.file != source.files.autoConfFile.path && travellingFiles.contains($0.file) }
        let own = target.lines.filter { $0.file != target.files.autoConfFile.path }
        return (travelling + own).reduce(into: [(String, String)]()) { values, line in
            guard !values.contains(where: { isSameSetting($0.0, line.name) }) else { return }
            if isSameSetting(line.name, "spock.readonly") { values.append((line.name, "off")) }
            if isLeftover(line.name, line.value), let value = StandbyConfiguration.neutralValue(of: line.name, for: features) { values.append((line.name, value)) }
        }
    }

    /// Whether a setting is left from another time as a standby, or from a recovery. A way to the archive is the copy's own where it has one.
    private func isLeftover(_ name: String, _ value: String?) -> Bool {
        if isSameSetting(name, "primary_slot_name"), primarySlotName != nil { return false }
        if isSameSetting(name, "archive_cleanup_command"), archiveCleanupCommand != nil { return false }
        if isSameSetting(name, "restore_command"), restoreCommand != nil || hasOwnRestoreCommand { return false }
        return StandbyConfiguration.neutralValue(of: name, for: features).map { $0 != value } ?? false
    }

    /// What pgBackRest has written.
    private var hasOwnRestoreCommand: Bool {
        !(target.content[target.files.autoConfFile].flatMap { SettingsFile($0).value(of: "restore_command") } ?? "").isEmpty
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
            primaryConninfo: primaryConninfo?.connectionString, primarySlotName: primarySlotName, restoreCommand: restoreCommand,
            archiveCleanupCommand: archiveCleanupCommand)
    }

    private func path(of file: StandbyConfiguration.File) -> HostPath { target.files.dataDirectory / file.rawValue }

    // MARK: Which settings are whose

    /// The server reads these before it knows `postgresql.auto.conf`, or they are told to it in another way.
    static let neverInAutoConf = ["data_directory", "config_file", "hba_file", "ident_file", "external_pid_file"]

    /// Whoever reads changes waits for the physical slots that these name.
    public static let waitingForSlots = ["synchronized_standby_slots", "spock.pg_standby_slot_names", "pg_failover_slots.standby_slot_names"]

    /// Settings that name a place, an address or a role of their own host or node: another one needs its own.
    static func belongsToTheHost(_ name: String) -> Bool {
        let name = name.lowercased()
        let exact: Set<String> = [
            "data_directory", "config_file", "hba_file", "ident_file", "external_pid_file", "port", "listen_addresses",
            "unix_socket_directories", "unix_socket_directory", "unix_socket_group", "unix_socket_permissions", "cluster_name",
            "restore_command", "stats_temp_directory", "synchronous_standby_names", "spock.readonly", "log_directory", "log_filename",
            "log_destination", "logging_collector", "log_file_mode", "log_rotation_age", "log_rotation_size",
            "log_truncate_on_rotation", "trigger_file", "bonjour", "bonjour_name", "krb_server_keyfile",
            "dynamic_library_path", "shared_preload_libraries", "hot_standby", "ssl_passphrase_command", "ssl_crl_dir", "ssl_library",
            "event_source", "standby_mode", "transaction_read_only",
        ]
        return waitingForSlots.contains(name) || exact.contains(name) || ["archive_", "primary_", "recovery_", "syslog_"].contains { name.hasPrefix($0) }
            || (name.hasPrefix("ssl_") && name.hasSuffix("_file"))
    }
}
