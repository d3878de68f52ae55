public import EventLoop
import PostgresClient
import PostgresConfig

/// What a setting is on a server, and what `ALTER SYSTEM` has it be: enough to put it back.
public struct AlteredSetting: Sendable, Hashable, Codable {
    /// The value in force, as `SHOW` says it.
    public var inForce: String
    /// The value in `postgresql.auto.conf`; `nil` where it says nothing.
    public var altered: String?

    public init(inForce: String, altered: String?) {
        self.inForce = inForce
        self.altered = altered
    }

    /// The value that sessions get: one that ours set for themselves does not show it.
    fileprivate static func inForce(_ name: String) -> SQL {
        SessionSetting.own.contains { isSameSetting($0.name, name) }
            ? "(SELECT reset_val FROM pg_settings WHERE lower(name) = lower(\(name)))" : "current_setting(\(name))"
    }

    static func read(_ name: String) -> SQL {
        """
        SELECT \(inForce(name)) AS in_force, (SELECT setting FROM pg_file_settings WHERE lower(name) = lower(\(name)) \
        AND sourcefile = current_setting('data_directory') || '/postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1) AS altered
        """
    }

    /// The statement that makes `postgresql.auto.conf` say `value`; `nil` makes it say nothing.
    static func alter(_ name: String, to value: String?) -> SQL {
        let name = SQL.joined(name.split(separator: ".", omittingEmptySubsequences: false).map { "\(identifier: String($0))" }, separator: ".")
        return if let value { "ALTER SYSTEM SET \(name) = \(literal: value)" } else { "ALTER SYSTEM RESET \(name)" }
    }

    /// The time at which the asking session has read the files is still that before the signal.
    static func reload() -> SQL { "SELECT pg_reload_conf() AS reloaded, \(loaded) AS loaded" }

    /// A backend reads the files again before its next statement, so each look shows what a client would meet.
    static func look(_ name: String) -> SQL {
        "SELECT \(inForce(name)) AS in_force, \(loaded) AS loaded, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"
    }

    private static let loaded: SQL = "(extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint"

    /// Settings whose elements the server puts into double quotes one by one (`GUC_LIST_QUOTE`), a single string included.
    static func isQuotedList(_ name: String, _ features: ServerFeatures) -> Bool {
        switch ListSetting.of(name, in: features.version) {
        case .list(.paths): true
        case .list: ["search_path", "temp_tablespaces"].contains(name.lowercased())
        case .standbyNames, nil: false
        }
    }
}

extension ServerSession {
    /// What setting `name` is, to be kept before it is changed.
    /// - Throws: ``ServerError/cannotAlterSystem(node:setting:version:)`` before 9.5.
    public func alteredSetting(_ name: String, deadline: Deadline) async throws -> AlteredSetting {
        try requireAlterSystem(name)
        let row = try await look(AlteredSetting.read(name), deadline).one()
        return AlteredSetting(inForce: try row.get("in_force"), altered: try row.optional("altered"))
    }

    /// Has `postgresql.auto.conf` say `value` for setting `name`, or nothing where it is `nil`, and the server read it; waits until that is in force.
    ///
    /// For settings that a reload is enough for, and that neither the session nor its role or database overrides.
    /// - Parameter expecting: what is in force then, as `SHOW` says it; `value` unless given. Without either, the files need only have been read.
    /// - Returns: a moment at which it was in force.
    /// - Throws: ``ServerError``, `DeadlineExceeded`.
    @discardableResult
    public func alterSystem(_ name: String, to value: String?, expecting: String? = nil, deadline: Deadline) async throws -> ServerMoment {
        try requireAlterSystem(name)
        if AlteredSetting.isQuotedList(name, features) { throw ServerError.listSetting(node: self.name, setting: name) }
        let alter = AlteredSetting.alter(name, to: value)
        guard let wanted = expecting ?? value else {
            try await query(alter, deadline)
            return try await reload(until: name, is: nil, deadline: deadline)
        }
        // Where the first fails the second does no harm.
        let pauses = SQL.pauses(until: "\(AlteredSetting.inForce(name)) = \(wanted)")
        let answers = try await connection.query(together: [alter, AlteredSetting.reload()] + pauses + [AlteredSetting.look(name)], deadline: deadline)
        guard try answers[1].one().get("reloaded") else { throw ServerError.reloadFailed(node: self.name) }
        var seen = answers[answers.count - 1]
        return try await wait(for: "\(name) = \(wanted) to be in force on \(self.name)", until: deadline, every: .milliseconds(5)) {
            let row = try seen.one(), inForce: String = try row.get("in_force")
            if inForce == wanted { return .found(ServerMoment(microseconds: try row.get("now"))) }
            seen = try await look(AlteredSetting.look(name), deadline.forLook)
            return .notYet("\(name) = \(inForce)")
        }
    }

    /// Has the server read its files again, and waits until setting `name` is `value`; where that is `nil`, until the files were read.
    /// - Returns: a moment at which it was so.
    /// - Throws: ``ServerError/reloadFailed(node:)``, `DeadlineExceeded`.
    @discardableResult
    public func reload(until name: String, is value: String?, deadline: Deadline) async throws -> ServerMoment {
        let before: Int64 = try await signalReload(deadline: deadline).get("loaded")
        let what = value.map { "\(name) = \($0) to be in force on \(self.name)" } ?? "\(self.name) to read its configuration files"
        return try await wait(for: what, until: deadline, every: .milliseconds(5)) {
            let row = try await look(AlteredSetting.look(name), deadline.forLook).one()
            let inForce: String = try row.get("in_force")
            let isSo = if let value { inForce == value } else { try row.get("loaded", as: Int64.self) > before }
            return isSo ? .found(ServerMoment(microseconds: try row.get("now"))) : .notYet("\(name) = \(inForce)")
        }
    }

    /// Has the server read its files again, and waits for nothing.
    /// - Throws: ``ServerError/reloadFailed(node:)``.
    public func reload(deadline: Deadline) async throws { _ = try await signalReload(deadline: deadline) }

    private func signalReload(deadline: Deadline) async throws -> Row {
        let row = try await query(AlteredSetting.reload(), deadline).one()
        guard try row.get("reloaded") else { throw ServerError.reloadFailed(node: name) }
        return row
    }

    private func requireAlterSystem(_ name: String) throws {
        guard features.hasFileSettingsView else {
            throw ServerError.cannotAlterSystem(node: self.name, setting: name, version: features.version)
        }
    }
}
