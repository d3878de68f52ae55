public import Report

/// What makes a server a standby, in the form its version reads: `recovery.conf` until 11, `standby.signal` and ordinary
/// settings from 12.
///
/// Pure: from the files as they are come the files as they shall be.
///
/// ```swift
/// let standby = StandbyConfiguration(primaryConninfo: "host=n1 user=repl passfile=/var/lib/postgresql/.pgpass", primarySlotName: "n4")
/// try standby.changes(for: ServerFeatures(.postgres(15)), from: files)
/// // standby.signal: made; postgresql.auto.conf: primary_conninfo, primary_slot_name; recovery.signal: removed
/// ```
public struct StandbyConfiguration: Sendable, Hashable {
    /// A file of the data directory that has to do with recovery, by its name.
    public enum File: String, Sendable, Hashable, CaseIterable {
        case standbySignal = "standby.signal"
        case recoverySignal = "recovery.signal"
        case recoveryConf = "recovery.conf"
        /// What `recovery.conf` is called after a promotion; read by nobody.
        case recoveryDone = "recovery.done"
        case autoConf = "postgresql.auto.conf"
    }

    /// A file as it shall be; `after` is `nil` for one that goes.
    public struct Change: Sendable, Hashable {
        public let file: File
        public let after: [UInt8]?
    }

    /// Something that is left from another time or another node, and what it would do.
    public struct Leftover: Sendable, Hashable, CustomStringConvertible {
        public let file: File
        /// `nil` for the file as a whole.
        public let setting: String?
        public let consequence: String

        public var description: String { "\(setting.map { "\($0) in " } ?? "")\(file.rawValue): \(consequence)" }
    }

    /// A libpq connection string, without a password: it refers to a `passfile`. `nil` leaves what is there.
    public var primaryConninfo: String?
    /// From 9.4. `nil` leaves what is there.
    public var primarySlotName: String?
    /// `nil` leaves what is there, such as what pgBackRest has written.
    public var restoreCommand: String?
    /// `nil` leaves what is there.
    public var archiveCleanupCommand: String?
    /// A file whose appearance promotes the standby, until 15. `nil` leaves what is there.
    public var triggerFile: String?

    public init(
        primaryConninfo: String? = nil, primarySlotName: String? = nil, restoreCommand: String? = nil, archiveCleanupCommand: String? = nil,
        triggerFile: String? = nil
    ) {
        (self.primaryConninfo, self.primarySlotName, self.restoreCommand) = (primaryConninfo, primarySlotName, restoreCommand)
        (self.archiveCleanupCommand, self.triggerFile) = (archiveCleanupCommand, triggerFile)
    }

    /// Settings with which recovery can end by itself.
    public static func endsRecovery(_ name: String) -> Bool { name.lowercased().hasPrefix("recovery_target") }

    /// The value with which such a setting does nothing: PostgreSQL's default from 12.
    public static func harmlessValue(of name: String) -> String {
        ["recovery_target_action": "pause", "recovery_target_inclusive": "on", "recovery_target_timeline": "latest"][name.lowercased()] ?? ""
    }

    /// The value with which a setting that is left from another time as a standby, or from a recovery, does nothing; `nil` for any other
    /// setting, and where this version has none of that name.
    ///
    /// `primary_conninfo` is none of them: a copy always has its own.
    public static func neutralValue(of name: String, for features: ServerFeatures) -> String? {
        if endsRecovery(name) { return harmlessValue(of: name) }
        guard let value = neutralValues[name.lowercased()] else { return nil }
        guard let history = SettingHistory.of(name) else { return value }
        return history.era(in: features.version).map { $0.place == .recoveryConf || !isSameSetting($0.name, name) } ?? true ? nil : value
    }

    private static let neutralValues = [
        // A slot that the primary does not have keeps it from streaming at all.
        "primary_slot_name": "", "restore_command": "", "recovery_min_apply_delay": "0",
        // Run by the copy as if it were the one that had written them.
        "recovery_end_command": "", "archive_cleanup_command": "", "promote_trigger_file": "",
        // Slots of the primary would come along.
        "sync_replication_slots": "off",
    ]

    private static func endsRecovery(_ setting: SettingsFile.Setting) -> Bool {
        endsRecovery(setting.name) && setting.value != harmlessValue(of: setting.name)
    }

    /// The settings to write, under the names this version has for them.
    /// - Throws: ``UnusableSetting`` for one that this version does not have, and for a connection string with a password.
    public func settings(for features: ServerFeatures) throws -> [(name: String, value: String)] {
        if let conninfo = primaryConninfo, holdsPassword(conninfo) {
            throw UnusableSetting(name: "primary_conninfo", value: "‹redacted›", why: "it holds a password; use a passfile")
        }
        return try [
            ("primary_conninfo", primaryConninfo), ("primary_slot_name", primarySlotName), ("restore_command", restoreCommand),
            ("archive_cleanup_command", archiveCleanupCommand), ("trigger_file", triggerFile),
        ].compactMap { name, value in
            guard let value else { return nil }
            guard let own = features.settingName(name) else {
                throw UnusableSetting(name: name, value: value, why: "PostgreSQL \(features.version) has no such setting")
            }
            return (own, value)
        }
    }

    /// The files to change, in the order in which they are changed: from the first one on, a server that starts is a standby.
    ///
    /// What another version's form or another time has left goes; see ``leftovers(for:in:)``.
    /// - Parameter files: what is there now; no entry, no file.
    /// - Throws: ``UnusableSetting``.
    public func changes(for features: ServerFeatures, from files: [File: [UInt8]]) throws -> [Change] {
        var after = files
        switch features.standbyMarker {
        case .signalFile:
            after[.standbySignal] = files[.standbySignal] ?? []
            var auto = SettingsFile(files[.autoConf] ?? [])
            for setting in auto.settings where Self.isLeftover(setting, features) { auto.remove(setting.name) }
            for (name, value) in try settings(for: features) { auto.set(name, to: value) }
            if auto != SettingsFile(files[.autoConf] ?? []) { after[.autoConf] = auto.render() }
        case .recoveryConf:
            var recovery = SettingsFile(files[.recoveryConf] ?? [])
            for setting in recovery.settings where Self.endsRecovery(setting) { recovery.remove(setting.name) }
            recovery.set("standby_mode", to: "on")
            recovery.set("recovery_target_timeline", to: "latest")
            for (name, value) in try settings(for: features) { recovery.set(name, to: value) }
            after[.recoveryConf] = recovery.render()
            if let content = files[.autoConf] {
                var auto = SettingsFile(content)
                for setting in auto.settings where Self.isLeftover(setting, features) { auto.remove(setting.name) }
                after[.autoConf] = auto.render()
            }
        }
        for leftover in Self.leftovers(for: features, in: files) where leftover.setting == nil { after[leftover.file] = nil }
        return Self.order.filter { after[$0] != files[$0] }.map { Change(file: $0, after: after[$0]) }
    }

    /// What makes an ordinary server of a standby again, or of a copy that shall not be one: everything about recovery goes.
    public static func removal(for features: ServerFeatures, from files: [File: [UInt8]]) -> [Change] {
        var after = files
        for file in [File.standbySignal, .recoverySignal, .recoveryConf] { after[file] = nil }
        if let content = files[.autoConf] {
            var auto = SettingsFile(content)
            for setting in auto.settings where isOfRecovery(setting.name) { auto.remove(setting.name) }
            after[.autoConf] = auto.render()
        }
        // The marks go last: until then it stays a standby, which changes nothing.
        return order.reversed().filter { after[$0] != files[$0] }.map { Change(file: $0, after: after[$0]) }
    }

    /// What must not be there in this version's form of a standby.
    public static func leftovers(for features: ServerFeatures, in files: [File: [UInt8]]) -> [Leftover] {
        var found: [Leftover] = []
        switch features.standbyMarker {
        case .signalFile:
            if files[.recoveryConf] != nil {
                found.append(.init(file: .recoveryConf, setting: nil, consequence: "PostgreSQL \(features.version) does not start while it is there"))
            }
            if files[.recoverySignal] != nil {
                found.append(.init(file: .recoverySignal, setting: nil, consequence: "asks for a recovery that ends, beside the standby's"))
            }
        case .recoveryConf:
            for file in [File.standbySignal, .recoverySignal] where files[file] != nil {
                found.append(.init(file: file, setting: nil, consequence: "means nothing to PostgreSQL \(features.version)"))
            }
        }
        if files[.recoveryDone] != nil {
            found.append(.init(file: .recoveryDone, setting: nil, consequence: "is from a promotion of the node this is a copy of"))
        }
        let holders: [File] = features.standbyMarker == .signalFile ? [.autoConf] : [.autoConf, .recoveryConf]
        for file in holders {
            for setting in SettingsFile(files[file] ?? []).settings {
                if endsRecovery(setting) {
                    found.append(.init(file: file, setting: setting.name, consequence: "would end recovery by itself"))
                } else if file == .autoConf, isLeftover(setting, features) {
                    found.append(.init(file: file, setting: setting.name, consequence: "PostgreSQL \(features.version) has no such setting there"))
                }
            }
        }
        return found
    }

    /// Whether `setting` must not stand in `postgresql.auto.conf`.
    private static func isLeftover(_ setting: SettingsFile.Setting, _ features: ServerFeatures) -> Bool {
        let name = setting.name
        if endsRecovery(setting) { return true }
        guard let history = SettingHistory.of(name), history.eras.contains(where: { $0.place == .recoveryConf }) else { return false }
        guard let era = history.era(in: features.version) else { return true }
        return era.place == .recoveryConf || !isSameSetting(era.name, name)
    }

    private static func isOfRecovery(_ name: String) -> Bool {
        endsRecovery(name) || (SettingHistory.of(name)?.eras.contains { $0.place == .recoveryConf } ?? false)
    }

    /// The marks first.
    private static let order: [File] = [.standbySignal, .recoveryConf, .autoConf, .recoverySignal, .recoveryDone]

    /// Whether a password stands in a connection string, as a keyword or in a URI. In doubt, yes.
    private func holdsPassword(_ conninfo: String) -> Bool {
        conninfo.contains(#/password\s*=/#) || conninfo.contains(#/^postgres(ql)?:\/\/[^\/@]*:[^\/@]*@/#)
    }
}

/// A setting that cannot be taken over, or does not exist where it is wanted.
public struct UnusableSetting: Explained, Hashable {
    public let name: String
    public let value: String
    public let why: String

    public init(name: String, value: String, why: String) {
        (self.name, self.value, self.why) = (name, value, why)
    }

    public var fact: String { "\(name) = '\(value)' cannot be used: \(why)" }
    public var hint: String? { "correct \(name) first" }
}
