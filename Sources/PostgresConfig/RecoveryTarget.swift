/// A setting of the files with which the recovery of a standby ends, or goes another way, by itself: left from a recovery to a point in time.
///
/// Only from 12 on: before, they stand in `recovery.conf`.
public struct RecoveryTarget: Sendable, Hashable, CustomStringConvertible {
    public let entry: SettingsTree.Entry

    /// In lower case.
    public var name: String { entry.name.lowercased() }
    /// The value with which it does nothing.
    public var harmlessValue: String { StandbyConfiguration.harmlessValue(of: name) }
    /// Whether a recovery ends there; the others say which way it goes, and what becomes of it then.
    public var endsRecovery: Bool { Self.ends.contains(name) }
    public var description: String { "\(entry.name) = '\(entry.value)' (\(entry.file):\(entry.line))" }

    private static let ends: Set<String> = ["recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"]

    /// Those by which the server goes.
    public static func inForce(_ tree: SettingsTree) -> [RecoveryTarget] { last(of: tree.entries) }

    /// Those that would be in force if `postgresql.auto.conf` said nothing of them.
    public static func underAutoConf(_ tree: SettingsTree) -> [RecoveryTarget] { last(of: tree.entries.filter { $0.file != tree.autoConfFile }) }

    private static func last(of entries: [SettingsTree.Entry]) -> [RecoveryTarget] {
        entries.reduce(into: [String: SettingsTree.Entry]()) { last, entry in
            if StandbyConfiguration.endsRecovery(entry.name) { last[entry.name.lowercased()] = entry }
        }.values.map(RecoveryTarget.init).filter { $0.entry.value != $0.harmlessValue }.sorted { $0.name < $1.name }
    }
}
