/// Settings that a server takes one by one and does not start with together: its own words, before 15 found by a start only.
public struct StartConflict: Sendable, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }

    /// The settings that decide.
    public static func names(in version: MajorVersion) -> [String] {
        ["max_connections", "superuser_reserved_connections", "max_wal_senders", "wal_level", "archive_mode"]
            + (version >= .postgres(16) ? ["reserved_connections"] : []) + (version >= .postgres(17) ? ["summarize_wal"] : [])
    }

    /// What is wrong with these values, of a server that starts.
    /// - Parameter values: in the server's own words; what is not known is missing.
    public static func all(in version: MajorVersion, _ values: [String: String]) -> [StartConflict] {
        func value(_ name: String) -> String? { values[name] }
        func number(_ name: String) -> Int? { value(name).flatMap { Int($0) } }
        let senders = number("max_wal_senders") ?? 0, isMinimal = value("wal_level") == "minimal", connections = number("max_connections") ?? Int.max
        let reserved = (number("superuser_reserved_connections") ?? 0) + (number("reserved_connections") ?? 0)
        var found: [String] = []
        if version < .postgres(12), version.number >= 905, reserved + senders >= connections {
            found.append("superuser_reserved_connections (\(reserved)) plus max_wal_senders (\(senders)) must be less than max_connections (\(connections))")
        } else if reserved >= connections {
            found.append("the reserved connections (\(reserved)) must be less than max_connections (\(connections))")
        } else if version.number < 905, senders >= connections {
            found.append("max_wal_senders (\(senders)) must be less than max_connections (\(connections))")
        }
        if isMinimal, let mode = value("archive_mode"), mode != "off" { found.append("WAL archival cannot be enabled when wal_level is \"minimal\"") }
        if isMinimal, senders > 0 { found.append("WAL streaming (max_wal_senders > 0) requires wal_level \"replica\" or \"logical\"") }
        if isMinimal, value("summarize_wal") == "on" { found.append("WAL cannot be summarized when wal_level is \"minimal\"") }
        return found.map(StartConflict.init)
    }

    /// What a server holds, and must have room for when it starts.
    public struct Held: Sendable, Hashable {
        public var slots: Int, logicalSlots: Int, preparedTransactions: Int

        public init(slots: Int, logicalSlots: Int, preparedTransactions: Int) {
            (self.slots, self.logicalSlots, self.preparedTransactions) = (slots, logicalSlots, preparedTransactions)
        }

        /// The settings that decide.
        public static let names = ["wal_level", "max_replication_slots", "max_prepared_transactions"]
    }

    /// What a server that holds this would not start with.
    public static func all(of held: Held, _ values: [String: String]) -> [StartConflict] {
        func room(_ name: String) -> Int { values[name].flatMap { Int($0) } ?? Int.max }
        var found: [String] = []
        if held.logicalSlots > 0, let level = values["wal_level"], level != "logical" {
            found.append("wal_level < logical, and there are logical replication slots (\(held.logicalSlots))")
        }
        if held.slots > held.logicalSlots, values["wal_level"] == "minimal" {
            found.append("wal_level < replica, and there are physical replication slots (\(held.slots - held.logicalSlots))")
        }
        if held.slots > room("max_replication_slots") {
            found.append("max_replication_slots = \(room("max_replication_slots")), and there are more replication slots (\(held.slots))")
        }
        if held.preparedTransactions > room("max_prepared_transactions") {
            found.append("max_prepared_transactions = \(room("max_prepared_transactions")), and there are more prepared transactions (\(held.preparedTransactions))")
        }
        return found.map(StartConflict.init)
    }
}
