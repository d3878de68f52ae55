import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// The new node's slots on the existing nodes, which keep for it what it has not read.
///
/// They come before the promotion. Whatever happens afterwards, everything that is written from here on is kept for the
/// new node, so that the rest can be taken up again without a second copy.
struct CreateSlots: Step {
    static let name = "slots"
    /// Which subscriptions of the new node read which slots.
    static let directions = Fact<[SpockMesh.Direction]>("slots of subscriptions")
    /// The LSN at which the new node's slot on each node begins.
    static let positions = Fact<[String: LSN]>("slot positions")

    /// How many rows `spock.exception_log` had before the handover, by node.
    static let exceptionsBefore = Fact<[String: Int]>("exceptions before")
    /// Since when the source runs that the copy is to leave.
    static let sourceStarted = Fact<ServerMoment>("start of the source")

    let mesh: SpockMesh
    let node: any MeshJoiner
    /// In which nobody writes, or how long the slots may wait for those who do.
    let pause: Pause
    let sessions: HandoverSessions
    var title: String { "Create the slots of \(node.name) on \(list(mesh.members))" }

    enum Pause: Sendable {
        case window(ClosedWindow)
        case none(slotWait: Duration)
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted { return .done("they were made before \(node.name) was promoted") }
        var changes = [Change("\(list(mesh.members)): pg_create_logical_replication_slot, one for the subscription of \(node.name)")]
        if case .none(let slotWait) = pause {
            changes.append(Change("writes paused: none; each slot waits until the transactions that are open now have ended, for \(slotWait.inSeconds) at most"))
        }
        return .needed(changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        let positions: [String: LSN]
        switch pause {
        case .window(let window):
            positions = try await create(run, deadline: try await window.deadline())
            await window.book("slots")
        case .none(let slotWait):
            try await Self.prepare(run, on: mesh, sessions, deadline: .after(.seconds(60)))
            try await tellWhoIsWaitedFor(run)
            positions = try await create(run, deadline: .after(slotWait))
        }
        return positions.sorted { $0.key < $1.key }.map { "\($0.key) at \($0.value)" }.joined(separator: ", ")
    }

    /// Names the transactions that have been open for a while: no slot is there before they have ended.
    private func tellWhoIsWaitedFor(_ run: StepRun) async throws {
        for (member, transaction) in try await mesh.longTransactions(mesh.members) { run.note("\(member): the slot waits for \(transaction)") }
    }

    /// Everything that is asked and connected before the slots are made; before a window, and so in another step's name.
    /// - Throws: `Problem` where there is a slot of their names which this run did not make.
    static func prepare(_ run: StepRun, on mesh: SpockMesh, _ sessions: HandoverSessions, deadline: Deadline) async throws {
        async let exceptions = mesh.exceptionCounts(mesh.members), models = mesh.models()
        async let connected: Void = sessions.prepare(mesh.members, deadline: deadline)
        async let started = mesh.access.server(mesh.source).started(deadline: deadline)
        async let prepared: Void = mesh.prepareDrain(deadline: deadline)
        // Made in this step, whoever calls it.
        let directions = try await mesh.inwardDirections(), ours = Set(try run.memory.created(by: name))
        try run.remember(Self.directions, directions)
        _ = try await onEach(directions) { direction in
            let thing = thing(direction)
            guard !ours.contains(thing), try await mesh.access.server(direction.provider).slot(direction.slot, deadline: deadline) != nil else { return }
            throw Problem("\(thing) is there already, and this run did not make it", hint: "find out whose it is; drop it if nobody needs it")
        }
        if try run.memory.recall(exceptionsBefore) == nil { try run.remember(exceptionsBefore, try await exceptions) }
        try run.remember(Subscribe.models, try await models)
        try run.remember(sourceStarted, try await started)
        _ = try await (connected, prepared)
    }

    private static func thing(_ direction: SpockMesh.Direction) -> Created { Created("replication slot", on: direction.provider, direction.slot.rawValue) }

    /// Makes the new node's slots on every existing node, and a sync event behind each: who has applied that has what was written before
    /// the slot begins.
    ///
    /// Those of an earlier attempt are kept: a slot that begins earlier is as good, and if a promotion that was cut off goes
    /// through after all, only those that were there before it have everything.
    private func create(_ run: StepRun, deadline: Deadline) async throws -> [String: LSN] {
        let directions = try run.recall(Self.directions), ours = Set(try run.created)
        let made = try await onEach(directions) { direction -> (begin: LSN, event: LSN?) in
            let thing = Self.thing(direction), session = try await mesh.spock(direction.provider)
            if ours.contains(thing), let found = try await session.server.finishedSlot(direction.slot, deadline: deadline) {
                if found.walStatus != "lost", let position = found.confirmedFlushLSN { return (position, nil) }
                try await session.server.dropSlot(direction.slot, deadline: deadline)
            }
            if !ours.contains(thing) { try run.creating(thing) }
            let watcher = try await sessions.session(direction.provider, deadline: deadline)
            let (begin, event) = try await session.createSlotWithEvent(direction.slot, watcher: watcher, deadline: deadline)
            return (begin, event)
        }
        await sessions.expect(Dictionary(made.compactMap { direction, slot in slot.event.map { (direction.provider, $0) } }) { first, _ in first })
        let positions = Dictionary(made.map { ($0.key.provider, $0.value.begin) }) { first, _ in first }
        try run.remember(Self.positions, positions)
        return positions
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let begins = try run.memory.recall(Self.positions) ?? [:], directions = try run.memory.recall(Self.directions) ?? []
        let subscribed = run.memory.began(Subscribe.self), memory = run.memory
        return await takeBack(try run.created) { thing in
            guard let slot = SlotName(rawValue: thing.name) else { return .absent }
            let server = try await mesh.access.server(thing.place), deadline = Deadline.after(.seconds(20))
            guard let found = try await server.slot(slot, deadline: deadline) else { return .absent }
            var reader: String?
            if let pid = found.activePID { reader = try await server.applicationName(of: pid, deadline: deadline) }
            let mine = MadeSlot(
                database: mesh.database, begin: begins[thing.place], mayHaveBeenRead: subscribed,
                readers: Set([ClusterAccess.applicationName, slot.rawValue] + directions.filter { $0.slot == slot }.map(\.subscription.rawValue)))
            if let change = mine.change(in: found, reader: reader) {
                return .left(
                    Problem(
                        "\(thing) is not the one that this run made (\(change)): left alone",
                        hint: "find out whose it is; if nobody needs it, on \(thing.place): SELECT pg_drop_replication_slot('\(slot)'); then undo again"))
            }
            if let problem = try node.obstacle(to: "\(thing)", memory) { return .left(problem) }
            return try await server.dropSlotOfStoppedReader(slot) ? .gone("\(thing) is dropped") : .absent
        }
    }
}

/// What tells a slot of the new node from another one of its name. A slot has no number and no birthday.
struct MadeSlot: Sendable {
    var database: String
    /// Where it began; `nil` when the run was cut off before it knew.
    var begin: LSN?
    /// Until the new node subscribes, nobody moves it.
    var mayHaveBeenRead: Bool
    /// The `application_name` of whoever may read it: the new node's worker, which Spock names for the slot and pglogical for
    /// the subscription, or the session that makes it.
    var readers: Set<String>

    /// What shows that `found` is another one; `nil` where nothing does. `reader` is the `application_name` of who reads it.
    func change(in found: ReplicationSlot, reader: String?) -> String? {
        guard let plugin = found.plugin else { return "it is a physical slot" }
        if plugin != ReplicationSlot.spockPlugin { return "its plugin is \(plugin)" }
        if let other = found.database, other != database { return "it is of database \(other)" }
        if let begin, let now = found.confirmedFlushLSN {
            if now < begin { return "it stands at \(now), before \(begin) where this run's began" }
            if now > begin, !mayHaveBeenRead { return "it stands at \(now), and this run's was left at \(begin)" }
        }
        if let reader, !readers.contains(reader) { return "it is read by '\(reader)'" }
        return nil
    }
}
