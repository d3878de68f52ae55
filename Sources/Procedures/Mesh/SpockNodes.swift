import EventLoop
import Instance
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Nodes of one Spock cluster, and what is asked of several of them at once.
protocol SpockNodes: Sendable {
    var access: ClusterAccess { get }
    /// The database that is replicated.
    var database: String { get }
}

extension SpockNodes {
    func spock(_ node: String) async throws -> SpockSession { SpockSession(try await access.server(node)) }

    func name(_ node: String) throws -> NodeName {
        guard let name = NodeName(rawValue: node) else { throw Problem("\(node) is no name for a node") }
        return name
    }

    func directions(among nodes: [String], deadline: Deadline) async throws -> [Spock.Direction] {
        let directions = try await onEach(nodes) { subscriber in
            let session = try await self.spock(subscriber)
            var directions: [Spock.Direction] = []
            for subscription in try await session.subscriptions(deadline: deadline)
            where subscription.subscriber.rawValue == subscriber && nodes.contains(subscription.provider.rawValue) {
                directions.append(
                    Spock.Direction(provider: try await self.spock(subscription.provider.rawValue), subscriber: session, origin: subscription.origin))
            }
            return directions
        }
        return nodes.flatMap { directions[$0] ?? [] }
    }

    /// Waits until every one of `nodes` has applied what every other one has written so far, for as long as every direction moves.
    func drain(_ nodes: [String], with patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws -> [Drained] {
        let directions = try await directions(among: nodes, deadline: .after(.seconds(60)))
        return try await explained(by: { nodes }) { try await Spock.drain(directions, with: patience, tell: tell) }
    }

    /// Adds what the servers of those nodes have last written down as errors to a wait that ends because nothing moves: why a worker of Spock's does not
    /// get on stands nowhere else.
    /// - Parameter nodes: where the workers run; asked when the wait has ended.
    func explained<Value>(by nodes: () -> [String], _ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let stalled as Stalled {
            let nodes = Set(nodes()).sorted()
            let logs = await attemptOnEach(nodes) { try await self.access.instance($0).lastErrors(deadline: .after(.seconds(20))) }
            let said = logs.compactMap { node, errors -> String? in
                switch errors {
                case .success(let errors): errors.isEmpty ? nil : "the last errors in the log of \(node)'s server: \(errors.joined(separator: "; "))"
                case .failure(let error): "the log of \(node)'s server was not read: \(Problem(explaining: error).fact)"
                }
            }
            throw Problem(([stalled.fact] + said).joined(separator: "\n"), hint: "see the log of the server of \(list(nodes)); resume when that is mended")
        }
    }

    /// Waits until each subscription is `replicating` and its slot is read on the provider: the status alone says only
    /// that a worker lives.
    /// - Parameter tell: takes the line that says which of them are not, and how they are, where it takes its time.
    func waitReplicating(_ directions: [SpockMesh.Direction], deadline: Deadline, tell: (String) -> Void) async throws {
        let subscribers = Dictionary(grouping: directions, by: \.subscriber)
        let providers = Dictionary(grouping: directions, by: \.provider)
        let clock = ContinuousClock(), began = clock.now
        var lastWake: ContinuousClock.Instant?, lastLook = clock.now, stuck: [String] = []
        // The measure is always the same: the deadline is for all of them together.
        func look() async throws -> MovingLook<Void, Int> {
            // A wake-up is a reload: the servers have better to do than to reload all the time, and the less the longer it does not help.
            let wakes = lastWake.map { $0.duration(to: clock.now) > max(.milliseconds(300), began.duration(to: clock.now) / 10) } ?? true
            if wakes { lastWake = clock.now }
            // By then a manager that is on its way is there.
            let looksForManagers = lastLook.duration(to: clock.now) > .seconds(3)
            if looksForManagers { lastLook = clock.now }
            async let readSlots = onEach(providers.keys.sorted()) { provider in
                Set(try await self.access.server(provider).slots(deadline: deadline.forLook).filter(\.isActive).map(\.name))
            }
            let down = try await onEach(subscribers.keys.sorted()) { subscriber -> [String] in
                let session = try await self.spock(subscriber), statuses = try await session.subscriptionStatuses(deadline: deadline.forLook)
                let others = (subscribers[subscriber] ?? []).filter { statuses[$0.subscription] != .replicating }
                // Spock starts one worker a second, unless it is woken.
                if wakes, !others.isEmpty { try await session.wakeWorkers(deadline: deadline.forLook) }
                return others.map { "\($0.subscription) on \(subscriber) is \(statuses[$0.subscription].map(\.description) ?? "missing")" }
            }
            if looksForManagers { try await wakeSupervisors(of: subscribers.filter { down[$0.key]?.isEmpty == false }, deadline: deadline, tell: tell) }
            stuck = down.filter { !$0.value.isEmpty }.map(\.key)
            guard stuck.isEmpty else { return .notYet(down.sorted { $0.key < $1.key }.flatMap(\.value).joined(separator: ", "), 0) }
            let active = try await readSlots
            let unread = directions.filter { active[$0.provider]?.contains($0.slot) != true }
            stuck = unread.map(\.subscriber)
            if wakes { _ = try await onEach(Set(unread.map(\.subscriber)).sorted()) { try await self.spock($0).wakeWorkers(deadline: deadline.forLook) } }
            return unread.isEmpty ? .found(()) : .notYet(unread.map { "slot \($0.slot) on \($0.provider) is not read" }.sorted().joined(separator: ", "), 0)
        }
        try await explained(by: { stuck }) {
            try await wait(
                for: "\(directions.count) subscriptions to be replicating with their slots read", with: Patience(limit: deadline.remaining), every: .milliseconds(30),
                tell: tell, look)
        }
    }

    /// Has Spock start its manager on each subscriber that has none.
    private func wakeSupervisors(of subscribers: [String: [SpockMesh.Direction]], deadline: Deadline, tell: (String) -> Void) async throws {
        let woken = try await onEach(subscribers.keys.sorted()) { subscriber in
            let session = try await self.spock(subscriber), statuses = try await session.subscriptionStatuses(deadline: deadline.forLook)
            guard let down = subscribers[subscriber]?.first(where: { statuses[$0.subscription] == .down }) else { return false }
            return try await session.wakeSupervisor(by: down.subscription, deadline: deadline.forLook)
        }
        for node in woken.filter(\.value).keys.sorted() { tell("\(node): Spock has no manager of \(database) running, which starts its workers: its supervisor is woken") }
    }

    /// Ends what clients had begun on each of `nodes` before it was closed, after `grace`.
    /// - Returns: what had to be terminated, by node.
    func endClientTransactions(
        on nodes: [String], begunBefore moments: [String: ServerMoment], grace: Duration, deadline: Deadline
    ) async throws -> [String: [ClientTransaction]] {
        try await onEach(nodes) { node in
            guard let moment = moments[node] else { throw Problem("\(node): the moment it became read-only is not known") }
            return try await self.access.server(node).endClientTransactions(begunBefore: moment, grace: grace, deadline: deadline)
        }
    }

    /// The clients' transactions on each of `nodes`, in any database, that have a transaction id and have been open for longer than a few seconds: a new slot
    /// waits until they have ended.
    func longTransactions(_ nodes: [String]) async throws -> [(node: String, transaction: ClientTransaction)] {
        let open = try await onEach(nodes) { node in
            try await self.access.server(node).clientTransactions(begunBefore: ServerMoment(microseconds: 0), everywhere: true, deadline: .after(.seconds(20)))
        }
        return nodes.flatMap { node in (open[node] ?? []).filter { $0.age > .seconds(5) }.map { (node, $0) } }
    }

    /// How many rows `spock.exception_log` has on each of `nodes`: changes that were discarded there.
    func exceptionCounts(_ nodes: [String]) async throws -> [String: Int] {
        try await onEach(nodes) { try await self.spock($0).exceptionCount(deadline: .after(.seconds(20))) }
    }

    /// Takes away the tables of the canary that a proof has left; `things` are those that it has announced.
    func takeBackCanaries(_ things: [Created]) async -> UndoOutcome {
        await takeBack(things) { thing in
            let session = try await self.spock(thing.place), deadline = Deadline.after(.seconds(20))
            guard try await session.hasCanary(deadline: deadline) else { return .absent }
            try await session.dropCanary(deadline: deadline)
            return .gone("\(thing) is dropped")
        }
    }
}
