import EventLoop
import PostgresClient
public import ProcedureKit
import Report
import Server
import Spock

/// The nodes of a Spock cluster, looked at again and again: each by itself and in one round trip, so that one that gives no answer holds up nobody.
public actor MeshLooks {
    private let cluster: SpockMembers
    private let access: ClusterAccess
    private let looks: NodeLooks
    private var found: [String: NodeState<SpockLook>] = [:]
    /// What each said last.
    private var last: [String: SpockLook] = [:]
    private var underWay: [String: (task: Task<Void, Never>, since: ContinuousClock.Instant)] = [:]
    private var clock = LagClock()

    /// - Parameter ways: how hosts and servers are reached.
    public init(_ cluster: SpockMembers, in roster: Roster, _ ways: Ways) {
        (self.cluster, access) = (cluster, ClusterAccess(roster, ways, sessionSettings: SpockSession.settings))
        looks = NodeLooks(access)
    }

    /// How the cluster is, after a look at each node that is not waited for still.
    /// - Parameter time: for how long nodes are waited for. The look at one that has not answered goes on.
    /// - Throws: `CancellationError`.
    public func look(within time: Duration) async throws -> MeshStatus {
        let deadline = Deadline.after(time)
        try await settle(begin(cluster.members), until: deadline)
        if let other = cluster.unsettled, isKnown(other) { try await settle(begin([other]), until: deadline) }
        let now = ContinuousClock.now
        let answers = cluster.nodes.compactMap { name -> MeshStatus.Answer? in
            if let waiting = underWay[name], !looks.gaveNoAnswer(name) { return MeshStatus.Answer(name, nil, last: last[name], silence: waiting.since.duration(to: now)) }
            return found[name].map { MeshStatus.Answer(name, $0, last: last[name]) }
        }
        return MeshStatus(cluster, answers, clock, at: now)
    }

    public func close() async {
        let tasks = underWay.values.map(\.task)
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        await access.close()
    }

    private func isKnown(_ name: String) -> Bool { last.values.contains { $0.known.contains { $0.rawValue == name } } }

    /// - Returns: those that are worth waiting for: neither waited for already, nor silent when they were asked last.
    private func begin(_ nodes: [String]) -> [String] {
        let idle = nodes.filter { underWay[$0] == nil }
        for name in idle { underWay[name] = (Task { await self.look(at: name) }, .now) }
        return idle.filter { !looks.gaveNoAnswer($0) }
    }

    /// Waits until all of them have answered, or the time is over.
    private func settle(_ nodes: [String], until deadline: Deadline) async throws {
        do {
            try await wait(for: "the nodes to answer", until: deadline, every: .milliseconds(5)) { () -> Look<Void> in
                nodes.allSatisfy { underWay[$0] == nil } ? .found(()) : .notYet("")
            }
        } catch is DeadlineExceeded {
            // They are shown as silent.
        }
    }

    private func look(at name: String) async {
        let began = ContinuousClock.now
        do {
            let state = try await looks.state(of: name, deadline: .after(.seconds(30))) { deadline in
                try await SpockSession(try await self.access.server(name, deadline: deadline)).status(deadline: deadline)
            }
            found[name] = state
            if let look = state.answer {
                last[name] = look
                if let written = look.written { clock.look(name, at: written, began) }
            }
        } catch {
            // Nobody wants to know any more.
        }
        underWay[name] = nil
    }
}
