import EventLoop
import Foundation
import Playbook
public import Playbook
import PostgresClient
public import ProcedureKit
import Report
import Server
import Spock

/// Looks at every node that a playbook names for what is wrong though nothing says so. It changes nothing.
public struct Doctor: Sendable {
    private let cluster: String
    private let nodes: [String]
    private let members: SpockMembers?
    private let hasDatanodes: Bool
    private let access: ClusterAccess
    /// For how long WAL is watched to see how much is written.
    private static let watch = Duration.seconds(2)

    /// What was found.
    public struct Report: Sendable {
        public var cluster: String
        /// Those that were looked at, as a whole or in part.
        public var nodes: [String]
        public var findings: [Diagnosis]

        public init(cluster: String, nodes: [String], findings: [Diagnosis]) { (self.cluster, self.nodes, self.findings) = (cluster, nodes, findings) }
    }

    /// - Parameter ways: how hosts and servers are reached.
    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook, _ ways: Ways) throws {
        let (roster, cluster) = try Catalog.roster(of: playbook)
        self.cluster = cluster
        members = SpockMembers(of: playbook)
        hasDatanodes = playbook.datanodeCluster != nil
        nodes = members?.nodes ?? roster.entries.map(\.name)
        access = ClusterAccess(roster, ways, sessionSettings: members == nil ? [] : SpockSession.settings)
    }

    /// Looks, and says what was found: what concerns a whole cluster comes behind what concerns a node.
    /// - Throws: `CancellationError`.
    public func examine() async throws -> Report {
        do {
            let report = try await look()
            await access.close()
            return report
        } catch {
            await access.close()
            throw error
        }
    }

    private func look() async throws -> Report {
        var facts = DoctorFacts(nodes: [], addresses: access.roster.entries.map(\.address), hasDatanodes: hasDatanodes)
        var asked: [String] = [], unlooked: [Diagnosis] = [], states: [SpockNodeState] = [], examinations: [NodeName: SpockExamination] = [:]
        // The one that may be no member is asked where somebody knows it.
        for batch in [members?.members ?? nodes, [members?.unsettled].compactMap(\.self)] {
            let known = Set(states.flatMap { $0.nodes.map(\.name.rawValue) }), these = asked.isEmpty ? batch : batch.filter(known.contains)
            async let found = attemptOnEach(these) { try await NodeFacts(of: $0, access, deadline: .after(.seconds(60))) }
            async let seen = members == nil ? [] : attemptOnEach(these, spock)
            for (name, result) in await found {
                switch result {
                case .success(let node): facts.nodes.append(node)
                case .failure(let error): unlooked.append(try Self.notLookedAt(name, "", error))
                }
            }
            for (name, result) in await seen {
                switch result {
                case .success(let (state, examination)):
                    states.append(state)
                    if let local = state.local { examinations[local.name] = examination }
                case .failure(let error) where !unlooked.contains { $0.node == name }: unlooked.append(try Self.notLookedAt(name, "as a Spock node", error))
                case .failure: break
                }
            }
            asked += these
        }
        if members != nil { facts.mesh = MeshFacts(view: MeshView(states), examinations: examinations) }
        facts.unlooked = asked.filter { name in members == nil ? facts[name] == nil : !states.contains { $0.local?.name.rawValue == name } }
        facts.unsettled = members?.unsettled.flatMap { asked.contains($0) ? nil : $0 }
        try await measure(&facts)
        return Report(cluster: cluster, nodes: asked, findings: unlooked + Self.findings(facts, at: Date()))
    }

    /// All that the facts come to.
    static func findings(_ facts: DoctorFacts, at now: Date) -> [Diagnosis] {
        let every: [(DoctorFacts) -> [Diagnosis]] = [
            { SlotFindings.all($0, at: now) }, SlotFindings.missing, ServerFindings.recoveryTargets, ServerFindings.signalFiles, ServerFindings.rules, ServerFindings.clocks,
            OriginFindings.stale, OriginFindings.ownerless, OriginFindings.sharedIDs, SetFindings.leftOut, SetFindings.inNoSet, SetFindings.refused, SetFindings.sequences,
            MemberFindings.exceptions, MemberFindings.commitTimes, MemberFindings.limits,
        ]
        return every.flatMap { $0(facts) }
    }

    private func spock(_ node: String) async throws -> (SpockNodeState, SpockExamination) {
        let session = SpockSession(try await access.server(node)), deadline = Deadline.after(.seconds(60))
        let state = try await session.state(
            connectingTo: { try await access.connection(node, database: $0, deadline: .after(.seconds(20))) }, deadline: deadline)
        guard let local = state.local else { throw Problem("database \(state.database) is no Spock node", hint: "correct cluster.database, or the node's port") }
        guard local.name.rawValue == node else { throw Problem("it is the node \(local.name)", hint: "call it \(local.name) in the playbook") }
        guard state.isLoaded else { throw Problem("Spock is not loaded", hint: "put spock into shared_preload_libraries and restart it") }
        return (state, try await session.examination(deadline: deadline))
    }

    /// How much is written at present, where that says when a disk is full.
    private func measure(_ facts: inout DoctorFacts) async throws {
        let kept = facts.nodes.filter { !$0.isStandby && $0.wal.limit == nil && $0.slots.contains { !$0.isActive } }.map(\.node)
        guard !kept.isEmpty else { return }
        let looks = { @Sendable (node: String) in
            let began = ContinuousClock.now
            return (began, try await access.server(node).currentLSN(deadline: .after(.seconds(20))))
        }
        let before = await attemptOnEach(kept, looks)
        try await Task.sleep(for: Self.watch)
        let after = await attemptOnEach(kept, looks)
        for (first, second) in zip(before, after) {
            guard case .success(let old) = first.result, case .success(let new) = second.result, let index = facts.nodes.firstIndex(where: { $0.node == first.name }) else {
                continue
            }
            facts.nodes[index].wal.rate = Double(max(0, new.1.bytes(since: old.1))) / old.0.duration(to: new.0).seconds
        }
    }

    private static func notLookedAt(_ node: String, _ how: String, _ error: any Error) throws -> Diagnosis {
        if error is CancellationError { throw error }
        let problem = Problem(explaining: error), fact = problem.fact.hasPrefix("\(node): ") ? String(problem.fact.dropFirst(node.count + 2)) : problem.fact
        return Diagnosis(
            .notLookedAt, on: node, "node", found: "it could not be looked at\(how.isEmpty ? "" : " ")\(how): \(fact)", needed: "a node that answers",
            why: "what is wrong there, and with what the others have to do with it, is not known", mend: problem.hint ?? "pggraft status says what state it is in")
    }
}
