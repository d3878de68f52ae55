import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Copy structure and data of the source by Spock itself, and follow the source from there on.
///
/// The subscription forwards what the source applies from its peers, too: the new node gets everything in the order in which the source has it. With the
/// source's own changes alone, one that touches a row of a peer would come before that row, and be lost.
struct CopyData: Step {
    static let name = "copy"
    /// When the servers were started that the copy goes from and to.
    static let started = Fact<[String: ServerMoment]>("starts of the servers")

    let node: LogicalNode
    let patience: Patience
    /// Whether an undo may remove what was copied.
    let purgesData: Bool
    private var mesh: SpockMesh { node.mesh }
    var title: String { "Copy \(mesh.source) to \(node.name): structure and data, by Spock" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await node.state(memory)
        if state > .standby { return .done("\(node.name) has what \(mesh.source) has") }
        if state == .standby, try await mesh.spock(node.name).progress(of: node.copyName, deadline: .after(.seconds(30))).phase == .ready {
            return .done("\(node.name) has the copy, and follows \(mesh.source)")
        }
        let skipped = try memory.recall(CreateNewNode.before)?.schemas ?? []
        return .needed([
            Change(
                "\(node.name): subscription \(node.copyName) to \(mesh.source), with structure and data, and with what \(mesh.source) applies from its peers (forward_origins all)"
                    + (skipped.isEmpty ? "" : "; without the schemas that \(node.name) has: \(skipped.joined(separator: ", "))"))
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(60)), session = try await mesh.spock(node.name), began = ContinuousClock.Instant.now
        let state = try await node.state(run.memory)
        if state == .standby, try await !goesOn(session) {
            run.note("an earlier attempt of the copy was cut off, which Spock cannot take up again: begun anew")
            try await removeCopy(run.memory, deadline: .after(.seconds(3600)))
        }
        if try await !session.subscriptions(deadline: deadline).contains(where: { $0.name == node.copyName }) {
            let before = try run.recall(CreateNewNode.before), models = try run.recall(Subscribe.models)
            async let nodes = mesh.spock(mesh.source).nodes(deadline: deadline), slot = node.copySlot(deadline: deadline)
            async let started = onEach([mesh.source, node.name]) { try await mesh.access.server($0).started(deadline: deadline) }
            try run.creating(Created("replication slot", on: mesh.source, try await slot.rawValue))
            try run.creating(Created("copy", on: node.name, "\(node.copyName)"))
            try run.remember(Self.started, try await started)
            try await session.begin(
                DataCopy(
                    name: node.copyName, providerDSN: try mesh.dsn(of: mesh.source, among: try await nodes),
                    replicationSets: try mesh.settings(from: mesh.source, to: node.name, in: models).replicationSets, skippedSchemas: before.schemas), deadline: deadline)
        }
        await node.reached(.standby)
        let bytes = try await awaitCopy(run)
        return "\(bytes.inBytes) in \(began.duration(to: .now).inSeconds)"
    }

    /// Whether the copy that is there is at work, or through.
    private func goesOn(_ session: SpockSession) async throws -> Bool {
        let deadline = Deadline.after(.seconds(30)), phase = try await session.progress(of: node.copyName, deadline: deadline).phase
        guard phase.cannotBeTakenUp else { return true }
        return try await session.subscriptionStatuses(deadline: deadline)[node.copyName] == .initializing
    }

    /// - Returns: of the database then.
    private func awaitCopy(_ run: StepRun) async throws -> UInt64 {
        let expected = try await mesh.access.server(mesh.source).databaseSizes(deadline: .after(.seconds(60)))[mesh.database] ?? 0
        return try await wait(
            for: "Spock to copy \(mesh.source) to \(node.name)", with: patience, every: .milliseconds(300), why: { try await obstacle() }, tell: { run.note($0) }
        ) { () -> MovingLook<UInt64, DataCopyProgress?> in
            let progress: DataCopyProgress
            do {
                progress = try await mesh.spock(node.name).progress(of: node.copyName, deadline: .after(.seconds(20)))
            } catch let error as PostgresError where error.isServerAway {
                return .notYet(Problem(explaining: error).fact, nil)
            }
            if progress.phase == .ready { return .found(progress.bytes) }
            let tables = progress.tables.map { "\($0.relation) \($0.bytes.inBytes)" }.joined(separator: ", ")
            run.progress(
                "Spock \(progress.phase)\(tables.isEmpty ? "" : ": \(tables)"), \(progress.bytes.inBytes) of about \(expected.inBytes)",
                fraction: expected == 0 ? nil : min(1, Double(progress.bytes) / Double(expected)))
            return .notYet("it \(progress.phase)", progress)
        }
    }

    /// Why it does not get on.
    private func obstacle() async throws -> Obstacle? {
        let deadline = Deadline.after(.seconds(20)), session = try await mesh.spock(node.name)
        async let statuses = session.subscriptionStatuses(deadline: deadline), slot = mesh.access.server(mesh.source).slot(node.copySlot(deadline: deadline), deadline: deadline)
        let phase = try await session.progress(of: node.copyName, deadline: deadline).phase, status = try await statuses[node.copyName]
        if phase.cannotBeTakenUp, status != .initializing {
            let errors = try await mesh.access.instance(node.name).lastErrors(deadline: deadline)
            let why = errors.isEmpty ? "the log of \(node.name)'s server says why" : "its log has: \(errors.joined(separator: "; "))"
            return Obstacle(
                "Spock has given it up while it \(phase) (\(status.map(\.description) ?? "no status")): \(why). Resume when that is mended, and it is begun anew", isFinal: true)
        }
        if phase == .waiting, try await slot?.confirmedFlushLSN == nil {
            let open = try await mesh.longTransactions([mesh.source]).map { "\($0.transaction)" }
            return Obstacle(open.isEmpty ? "its slot on \(mesh.source) is not there yet" : "its slot on \(mesh.source) waits for \(list(open))")
        }
        return Obstacle("it \(phase), and is \(status.map(\.description) ?? "not known")")
    }

    /// Takes the subscription away, and everything that came by it.
    private func removeCopy(_ memory: Memory, deadline: Deadline) async throws {
        let session = try await mesh.spock(node.name)
        try await session.dropSubscription(node.copyName, deadline: deadline)
        _ = try await mesh.access.server(mesh.source).dropSlotOfStoppedReader(try await node.copySlot(deadline: deadline))
        guard let before = try memory.recall(CreateNewNode.before) else { return }
        try await session.server.removeContents(except: before.schemas + [SpockSession.schema], keeping: before.extensions + [SpockSession.schema], deadline: deadline)
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        await takeBack(try run.created) { [mesh, node] thing in
            if let problem = try node.obstacle(to: "\(thing)", run.memory) { return .left(problem) }
            let deadline = Deadline.after(.seconds(60))
            if thing.kind == "replication slot" {
                guard let slot = SlotName(rawValue: thing.name) else { return .absent }
                return try await mesh.access.server(thing.place).dropSlotOfStoppedReader(slot) ? .gone("\(thing) is dropped") : .absent
            }
            let session = try await mesh.spock(node.name)
            if try await session.subscriptions(deadline: deadline).contains(where: { $0.name == node.copyName }) {
                try await session.dropSubscription(node.copyName, deadline: .after(.seconds(180)))
            }
            guard let before = try run.memory.recall(CreateNewNode.before) else { return .absent }
            let tables = try await session.server.ownContents(deadline: deadline).tables(outside: before.schemas)
            guard !tables.isEmpty else { return .absent }
            guard purgesData else {
                return .left(Problem("\(node.name): \(tables.count) tables that were copied are left as they are", hint: "pggraft undo RUN --purge-data removes them"))
            }
            try await session.server.removeContents(
                except: before.schemas + [SpockSession.schema], keeping: before.extensions + [SpockSession.schema], deadline: .after(.seconds(3600)))
            return .gone("\(node.name): what was copied is removed")
        }
    }
}
