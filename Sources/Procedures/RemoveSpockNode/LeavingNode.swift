import EventLoop
import PostgresClient
import ProcedureKit
import Report
public import Run
import Server
import Spock

extension Consent {
    /// A node that gives no answer is gone for good, and will not come back and write.
    public static let nodeIsGone = Consent(rawValue: "node-is-gone")
    /// What was written on a node and not every other one has read is given up.
    public static let giveUpWrites = Consent(rawValue: "give-up-writes")
}

/// A node that leaves its Spock cluster, and the members, which stay.
struct LeavingNode: SpockNodes {
    /// What the run knows of who reads what, which the catalogs do not say any more once it is dropped.
    static let ties = Fact<Ties>("ties of the node")
    /// How many rows `spock.exception_log` had, by member.
    static let exceptionsBefore = Fact<[String: Int]>("exceptions before")

    let access: ClusterAccess
    let database: String
    let name: String
    let members: [String]
    /// Whether the playbook says where it is.
    let hasPlace: Bool
    private let consents: [Consent]
    private let silent = SilentNodes()

    init(_ name: String, members: [String], hasPlace: Bool, database: String, consents: [Consent], _ access: ClusterAccess) {
        (self.name, self.members, self.hasPlace, self.database) = (name, members, hasPlace, database)
        (self.consents, self.access) = (consents, access)
    }

    struct Ties: Sendable, Codable, Equatable {
        /// By member: the slots there that it reads.
        var read: [String: Set<SlotName>] = [:]
        /// By member: the slots on it that the member reads; the origins there are called alike.
        var provided: [String: Set<SlotName>] = [:]
        /// Whether it was a Spock node of its own, whose clients may have written.
        var wasNode = false
    }

    /// What the operator has said.
    func isGone(_ memory: Memory) throws -> Bool { try consents.contains(.nodeIsGone) || memory.consented(to: .nodeIsGone) }
    func givesUpWrites(_ memory: Memory) throws -> Bool { try consents.contains(.giveUpWrites) || memory.consented(to: .giveUpWrites) }

    // MARK: What it is

    /// What is found where it should be.
    enum State: Sendable {
        /// A Spock node of that name.
        case node(SpockNodeState)
        /// A server that is not it, or not it any more: nothing there is touched. The text says what it is.
        case stranger(String)
        /// Nothing is known of it.
        /// - Parameter answers: whether there is a server, which cannot be asked.
        case silent(Problem, answers: Bool)

        var node: SpockNodeState? { if case .node(let state) = self { state } else { nil } }
    }

    /// Looks at it. One that gave no answer is not waited for as long again.
    func state() async throws -> State {
        guard hasPlace else { return .silent(Problem("the playbook does not say where \(name) is"), answers: false) }
        do {
            let session = SpockSession(try await access.server(name, deadline: silent.deadline(for: name, .seconds(20))))
            let state = try await session.state(deadline: .after(.seconds(60)))
            silent.remove(name)
            guard let local = state.local else { return .stranger("database \(state.database) is no Spock node") }
            guard local.name.rawValue == name else {
                return .stranger("\(state.isInRecovery ? "is a standby, and says" : "says") that it is \(local.name): a copy that has the identity of its source, or another node")
            }
            if state.isInRecovery { return .silent(Problem("what the playbook calls \(name) is a standby", hint: "name the primary"), answers: true) }
            guard state.isLoaded else { return .silent(Problem("Spock is not loaded there", hint: "put it into shared_preload_libraries and restart"), answers: true) }
            return .node(state)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            silent.add(name)
            let problem = Problem(explaining: error), prefix = "\(name): "
            return .silent(
                Problem(problem.fact.hasPrefix(prefix) ? String(problem.fact.dropFirst(prefix.count)) : problem.fact, hint: problem.hint),
                answers: (error as? PostgresError)?.code != nil)
        }
    }

    // MARK: What there is of it

    /// The members, the node, and what each member has of it.
    struct Look: Sendable {
        var leaving: State
        var states: [String: SpockNodeState]
        var traces: [String: NodeTraces]
        var progress: [String: NodeProgress]
        /// Its own subscriptions, where it can be asked.
        var own: [Subscription]
        /// The slots on it that the members read, have read, or would read if their subscriptions were named as the mesh names them.
        var provided: Set<SlotName>
        /// By member: the slots there that subscriptions of the others which stay read.
        var staying: [String: Set<SlotName>]

        /// The members that read it.
        var readers: [String] { traces.filter { !$0.value.subscriptions.isEmpty }.map(\.key).sorted() }
    }

    /// Looks at the members and at the node.
    func look(_ memory: Memory) async throws -> Look {
        async let leaving = state()
        let states = try await onEach(members) { try await spock($0).state(deadline: .after(.seconds(60))) }
        return try await look(states, leaving: try await leaving, memory)
    }

    /// - Parameter states: of the members.
    func look(_ states: [String: SpockNodeState], leaving: State, _ memory: Memory) async throws -> Look {
        let node = try name(name), kept = try memory.recall(Self.ties) ?? Ties()
        let own = leaving.node?.subscriptions.filter { $0.subscriber == node } ?? []
        let known = states.values.flatMap { state in state.subscriptions.filter { $0.subscriber == state.local?.name } }
        let pattern = SubscriptionPattern(of: (known + own).sorted { $0.name < $1.name })
        let staying = Dictionary(grouping: known, by: \.provider.rawValue).mapValues { Set($0.map(\.slot)) }
        let found = try await onEach(members) { member -> (traces: NodeTraces, progress: NodeProgress, provided: [SlotName])? in
            guard let state = states[member] else { return nil }
            let session = try await spock(member), deadline = Deadline.after(.seconds(20)), me = try name(member)
            async let progress = session.progress(of: node, deadline: deadline)
            let reading = pattern?.name(provider: me, subscriber: node), provided = pattern?.name(provider: node, subscriber: me)
            // Of the mesh's names, what the server makes of them.
            let expected = try await generated(session, provider: me, reading, deadline), origin = try await generated(session, provider: node, provided, deadline)
            let read = own.filter { $0.provider == me }.map(\.slot) + (kept.read[member] ?? [])
            let called = [origin].compactMap(\.self) + (kept.provided[member] ?? [])
            let traces = NodeTraces(
                of: node, in: state, staying: staying[member] ?? [], read: Set(read), expected: expected, origins: Set(called.map { OriginName($0) }))
            return (traces, try await progress, called + traces.subscriptions.map(\.slot))
        }
        return Look(
            leaving: leaving, states: states, traces: found.compactMapValues { $0?.traces }, progress: found.compactMapValues { $0?.progress }, own: own,
            provided: Set(found.values.flatMap { $0?.provided ?? [] }), staying: staying)
    }

    private func generated(_ session: SpockSession, provider: NodeName, _ subscription: SubscriptionName?, _ deadline: Deadline) async throws -> SlotName? {
        guard let subscription else { return nil }
        return try await session.generateSlotName(database: database, provider: provider, subscription: subscription, deadline: deadline)
    }

    /// Keeps what `look` says of who reads what, with what the run knows already.
    func remember(_ look: Look, _ run: StepRun) throws {
        let before = try run.memory.recall(Self.ties)
        var ties = before ?? Ties()
        for (member, traces) in look.traces {
            ties.read[member, default: []].formUnion(traces.slots.map(\.name))
            ties.provided[member, default: []].formUnion(traces.subscriptions.map(\.slot))
        }
        if look.leaving.node != nil { ties.wasNode = true }
        if ties != before { try run.remember(Self.ties, ties) }
    }

    /// Keeps how many changes were discarded on the members before anything was done.
    func rememberExceptions(of nodes: [String], _ run: StepRun) async throws {
        guard try run.memory.recall(Self.exceptionsBefore) == nil else { return }
        try run.remember(Self.exceptionsBefore, try await exceptionCounts(nodes))
    }
}

extension LeavingNode.Look {
    /// How far the members that read it have applied it, where they differ: those that are behind the furthest one, with the bytes.
    var behind: [(member: String, bytes: Int64)] {
        let positions = traces.compactMapValues { traces in traces.subscriptions.isEmpty ? nil : traces.applied.values.max() ?? .zero }
        guard let most = positions.values.max() else { return [] }
        return positions.filter { $0.value < most }.map { ($0.key, most.bytes(since: $0.value)) }.sorted { $0.member < $1.member }
    }

    /// What the members that are behind have not got, as a sentence without an end; `nil` where all are alike.
    func missing(of name: String) -> String? {
        let behind = behind
        guard !behind.isEmpty else { return nil }
        return "of what \(name) wrote last, " + behind.map { "\($0.member) lacks \(UInt64(max(0, $0.bytes)).inBytes) that another member has" }.joined(separator: ", ")
    }
}
