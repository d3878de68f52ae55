import EventLoop
import Instance
import PgBackRest
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// What a standby needs of the settings of the node that it streams from; the rest stays as it is.
struct SenderSettings: Sendable {
    /// The values in force, as `pg_settings` has them.
    var values: [String: String]
    var features: ServerFeatures
    /// By which the standby reaches it.
    var address: String
    /// Whether the standby was refused by its port there.
    var isUnreached: Bool
    /// Who it sends to already, but for the standby, and slots that are there.
    var others: [String]
    var slots: Int
    /// How many senders more are needed, and whether a slot is.
    var moreSenders: Int
    var needsSlot: Bool
    /// `nil` where nothing is said of the archive.
    var archiveCommand: String?
    /// Whether a later step sets a command of its own: that of the repository that the copy comes from.
    var archivesLater = false

    static let names = [
        "listen_addresses", "wal_level", "max_wal_senders", "max_replication_slots", "archive_mode", "archive_command", "archive_library", "max_slot_wal_keep_size",
    ]

    /// Those that are insufficient, with what suffices.
    var needed: [(name: String, value: String)] {
        var needed: [(name: String, value: String)] = []
        let listens = (values["listen_addresses"] ?? "").split { $0 == "," || $0.isWhitespace }.map(String.init)
        if isUnreached, !listens.contains(where: { ["*", "0.0.0.0", address].contains($0) }) {
            needed.append(("listen_addresses", (listens + [address]).joined(separator: ",")))
        }
        if ["minimal", "archive"].contains(values["wal_level"] ?? "") { needed.append(("wal_level", features.standbyWALLevel)) }
        func atLeast(_ name: String, _ count: Int) {
            guard let now = values[name].flatMap({ Int($0) }), now < count else { return }
            // Some more, so that the next standby needs no restart.
            needed.append((name, "\(max(10, count))"))
        }
        atLeast("max_wal_senders", others.count + moreSenders)
        if needsSlot { atLeast("max_replication_slots", slots + 1) }
        if values["archive_mode"] == "off", archiveCommand != nil || archivesLater { needed.append(("archive_mode", "on")) }
        if let archiveCommand {
            if archiveProblem == nil, values["archive_command"] != archiveCommand { needed.append(("archive_command", archiveCommand)) }
        }
        return needed
    }

    /// Why its WAL cannot be archived where the playbook says: somebody has decided otherwise.
    var archiveProblem: String? {
        guard let archiveCommand else { return nil }
        if let library = values["archive_library"], !library.isEmpty { return "archive_library is \(library)" }
        let command = values["archive_command"] ?? ""
        // So the server shows one while the archive is off.
        return ["", "(disabled)", "/bin/true", "true", archiveCommand].contains(command) ? nil : "archive_command is '\(Redaction.redacted(command))'"
    }

    /// Why what is needed cannot be written here: standbys that are there need at least as much first, or their recovery ends.
    func standbysFirst(on sender: String) -> Problem? {
        guard let raised = needed.first(where: { features.hotStandbyMinima.contains($0.name) }), !others.isEmpty else { return nil }
        return Problem(
            "\(sender): \(raised.name) has to be \(raised.value), and \(list(others)) \(others.count == 1 ? "streams" : "stream") from there with what it is now: recovery would end there",
            hint: "set \(raised.name) = \(raised.value) on \(list(others)) and restart \(others.count == 1 ? "it" : "them"), then on \(sender) and restart that")
    }

    static func anotherArchive(on sender: String, _ problem: String) -> Problem {
        Problem("\(sender): \(problem), and what the playbook says would be another archive", hint: "say `archive: none`, or empty archive_command first")
    }

    var summary: String {
        let senders = "wal_level \(values["wal_level"] ?? "?"), \(others.count) of \(values["max_wal_senders"] ?? "?") senders"
        return (features.slots.exist ? "\(senders) and \(slots) of \(values["max_replication_slots"] ?? "?") slots" : senders) + " in use"
    }
}

extension StandbyPair {
    func senderSettings() async throws -> SenderSettings {
        let deadline = Deadline.after(.seconds(30)), server = try await access.server(sender), slot = standby.slot
        async let values = server.settings(SenderSettings.names, deadline: deadline)
        async let walsenders = server.standbys(deadline: deadline), slots = server.slots(deadline: deadline)
        let isThere = try await slots.contains { $0.name == slot }, others = try await walsenders.filter { $0.application != standby.name }
        let refused = try await tryLogin().errorText.contains("onnection refused")
        return SenderSettings(
            values: try await values, features: server.features, address: try access.roster.entry(sender).address, isUnreached: refused, others: others.map(\.application),
            slots: try await slots.count, moreSenders: copiesByStream ? 2 : 1, needsSlot: slot != nil && !isThere, archiveCommand: isCascading ? nil : archiveCommand,
            archivesLater: !copiesByStream)
    }
}

/// Configure the node that the standby streams from for replication.
struct ConfigurePrimary: Step {
    static let name = "configure-primary"

    let pair: StandbyPair
    let node: ConfiguredNode
    var title: String { "Configure \(pair.sender) for replication" }

    private func writer(_ needed: [(name: String, value: String)]) -> WriteConfiguration {
        WriteConfiguration(node: node, request: ConfigurationRequest(.settings(needed.map { .init($0.name, .set, $0.value) })))
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let settings = try await pair.senderSettings()
        if let problem = settings.archiveProblem { return .blocked([SenderSettings.anotherArchive(on: pair.sender, problem)]) }
        if let problem = settings.standbysFirst(on: pair.sender) { return .blocked([problem]) }
        let needed = settings.needed
        guard !needed.isEmpty else { return .done(settings.summary) }
        // Written, and waiting for the next step.
        if case .done(let seen) = try await writer(needed).inspect(memory) { return .done(seen) }
        let inspection = try await writer(needed).inspect(memory)
        guard case .needed(let changes) = inspection else { return inspection }
        // Whether it is restarted is the next step's to say.
        return .needed(changes.filter { !$0.text.hasSuffix("which is not done without --restart") })
    }

    func perform(_ run: StepRun) async throws -> String {
        let needed = try await pair.senderSettings().needed
        let said = try await writer(needed).perform(run)
        return needed.map { $0.name == "archive_command" ? $0.name : "\($0.name) = \($0.value)" }.joined(separator: ", ") + "; \(said)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try !run.created.isEmpty else { return .undone([]) }
        let outcome = try await writer([]).undo(run)
        guard outcome.lines.contains(where: { $0.contains("waits for a restart") && $0.contains("archive_mode") }) else { return outcome }
        return outcome.and(.undone(["\(pair.sender) keeps its WAL until it is restarted: archive_mode is on until then, and archive_command is what it was"]))
    }
}

/// Restart the database to apply the changes that need it.
struct RestartPrimary: LeavesNothing {
    static let name = "restart-primary"

    let pair: StandbyPair
    let node: ConfiguredNode
    let lock: ClusterLock
    var title: String { "Restart the database on \(pair.sender), where a setting needs that" }
    var leavesNothing: String { "what the settings were is put back at the step that changed them" }

    /// The settings that wait, or will, with the values that the files give or will give.
    private func waiting() async throws -> [(name: String, value: String)] {
        let deadline = Deadline.after(.seconds(30)), instance = try await pair.access.instance(pair.sender)
        async let settings = pair.senderSettings()
        let connection = try await pair.access.server(pair.sender).connection
        let configuration = try await instance.configuration(through: connection, deadline: deadline)
        return try await settings.needed.compactMap { name, value in
            guard configuration.inForce?.row(name)?.context == "postmaster" else { return nil }
            if case .waitsForRestart(let written?) = configuration.report(name).state { return (name, written) }
            return (name, value)
        }
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let waiting = try await waiting()
        guard !waiting.isEmpty else { return .done("nothing waits for a restart") }
        let server = try await pair.access.server(pair.sender), names = list(waiting.map(\.name)), sessions = try await server.clientSessions(deadline: .after(.seconds(20)))
        guard pair.restarts else { return .blocked([Self.problem(on: pair.sender, names)]) }
        let need = "\(names) \(waiting.count == 1 ? "needs" : "need") it"
        return .needed([Change("\(pair.sender): restart, fast: \(need); \(sessions) sessions of clients are ended, and can begin anew in a moment")])
    }

    static func problem(on sender: String, _ names: String) -> Problem {
        Problem(
            "\(sender) must be restarted: \(names) can be changed at a start only", hint: "say `restart: yes` in the playbook, or set that and restart \(sender) when it suits you")
    }

    func perform(_ run: StepRun) async throws -> String {
        let waiting = try await waiting(), sender = pair.sender
        let sessions = try await pair.access.server(sender).clientSessions(deadline: .after(.seconds(20)))
        run.note("\(sender) is restarted: \(sessions) sessions of clients are ended")
        await pair.access.forgetServer(sender)
        let request = ConfigurationRequest(.settings(waiting.map { .init($0.name, .set, $0.value) }), restarts: true)
        let said: String
        do {
            said = try await WriteConfiguration(node: node, request: request).perform(run)
        } catch {
            await pair.access.forgetServer(sender)
            throw error
        }
        await pair.access.forgetServer(sender)
        try await lock.keep()
        return "\(said): \(waiting.map { "\($0.name) = \($0.value)" }.joined(separator: ", ")); \(sessions) sessions of clients were ended"
    }
}
