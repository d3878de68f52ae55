import EventLoop
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Spock

/// A member of the mesh runs, is a primary, and is the Spock node that the playbook says.
struct MemberIsSpockNode: Requirement {
    let name = "PostgreSQL"
    let node: String
    let mesh: any SpockNodes
    /// Whether another requirement, at the same time, tells why its host is not reached.
    let hostIsLookedAt: Bool
    /// Takes what was seen of it.
    let saw: @Sendable (SpockNodeState) async -> Void
    var place: String? { node }

    func look(_ memory: Memory) async throws -> [Finding] {
        let access = mesh.access, session: SpockSession, state: SpockNodeState
        do {
            _ = try await access.host(node)
        } catch  where hostIsLookedAt && !(error is CancellationError) {
            throw NotLooked()
        }
        do {
            session = try await mesh.spock(node)
            state = try await session.state(
                connectingTo: { try await access.connection(node, database: $0, deadline: .after(.seconds(20))) }, deadline: .after(.seconds(60)))
        } catch {
            return [Finding(notMet: name, on: node, because: error)]
        }
        if state.isInRecovery { return [Finding(name, on: node, "is a standby", .notMet(hint: "name the primary in the playbook"))] }
        guard let local = state.local else {
            return [Finding("Spock node", on: node, "database \(state.database) is no Spock node", .notMet(hint: "correct cluster.database, or the node's port"))]
        }
        guard local.name.rawValue == node else {
            return [Finding("Spock node", on: node, "is the node \(local.name)", .notMet(hint: "call it \(local.name) in the playbook"))]
        }
        await saw(state)
        return [Finding(name, on: node, "\(await session.connection.serverVersion) with Spock \(state.version.map(\.description) ?? "")")]
    }
}

/// All members are of one major version.
struct MajorVersionsAgree: Requirement {
    let name = "PostgreSQL"
    let survey: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        let states = await survey.states
        let majors = Set(states.values.map { state in state.limit("server_version_num").map { $0 / 10_000 } ?? 0 })
        guard majors.count > 1 else { return [] }
        return [
            Finding(
                name, "the nodes have different major versions: \(majors.sorted().map(String.init).joined(separator: ", "))",
                .notMet(hint: "a physical copy joins nodes of its own major version"))
        ]
    }
}

/// The mesh is whole and well, and has room for one node more.
struct MeshIsSound: Requirement {
    let name = "mesh"
    let survey: MeshSurvey
    let mode: MeshChecks.Handover
    /// How long the window may last.
    let window: Duration
    /// The new node's own server, where it runs already.
    var newNode: NewNodeSurvey?

    func look(_ memory: Memory) async throws -> [Finding] {
        let mesh = survey.mesh, states = await survey.states
        let missing = mesh.members.filter { states[$0] == nil }
        guard missing.isEmpty else {
            return [Finding(name, "could not be looked at as a whole: \(list(missing)) \(missing.count == 1 ? "is" : "are") missing", .notMet(hint: "see above"))]
        }
        let isUnderWay = memory.beganCopy || memory.began(CreateSlots.self) || memory.began(CreateNewNode.self)
        let newName = try mesh.name(mesh.newNode), id = try await mesh.spock(mesh.source).nodeID(of: newName, deadline: .after(.seconds(10)))
        let view = MeshView(Array(states.values)), new = NewNode(name: newName, id: id, source: try mesh.name(mesh.source), state: await newNode?.stateIfSeen())
        let found = (MeshChecks.all(of: view, adding: new, mode: mode) + (mode == .readOnly ? MeshChecks.delays(of: view, window: window) : [])).filter {
            !(isUnderWay && $0.comesWithARunUnderWay)
        }
        var findings = found.map { finding in
            Finding(name, finding.fact, finding.severity == .blocker ? .notMet(hint: finding.hint) : .note(hint: finding.hint))
        }
        if found.allSatisfy({ $0.severity != .blocker }) {
            findings.insert(
                Finding(name, "\(view.subscriptions.count) subscriptions replicating; \(mesh.newNode) would have the id \(id), which is free"), at: 0)
        }
        for limit in MeshLimit.all(of: view, adding: new) where limit.isSufficient {
            findings.append(Finding(limit.setting, on: "\(limit.node)", "\(limit.found), needed \(limit.needed) (\(limit.sum))"))
        }
        return findings
    }
}

/// Nobody keeps the slots of a live handover waiting.
struct TransactionsAreShort: Requirement {
    let name = "transactions"
    let survey: MeshSurvey
    /// For how long the slots wait.
    let slotWait: Duration

    func look(_ memory: Memory) async throws -> [Finding] {
        let mesh = survey.mesh, states = await survey.states
        // Who could not be looked at is told of already.
        let open = try await mesh.longTransactions(mesh.members.filter { states[$0] != nil })
        guard !open.isEmpty else { return [Finding(name, "none that the slots would have to wait for")] }
        let hint = "it may have ended by then; if not, the slots wait for it for \(slotWait.inSeconds) at most (slot_wait), and then the run ends with nothing made"
        return open.map { Finding(name, on: $0.node, "\($0.transaction) is open", .note(hint: hint)) }
    }
}

extension MeshFinding {
    /// Whether a run that has begun already makes this so by itself.
    fileprivate var comesWithARunUnderWay: Bool {
        switch self {
        case .nameTaken, .idTaken, .foreignSlot, .nodeNotVisited, .readOnlyAlready, .limit, .noSubscriptionPattern: true
        default: false
        }
    }
}
