import EventLoop
import Instance
public import Playbook
import PostgresClient
import PostgresConfig
public import ProcedureKit
import RemoteHost
import Report
public import Run
import Server

/// A node that was the primary comes back as a standby of the one that is: as it is where it has nothing of its own, rewound where it has.
///
/// Where neither can be, and the playbook says so, it is copied anew. It is never started as a primary, and never started at all once a `pg_rewind` has begun to overwrite it and not come to its end.
public struct Rejoin: Procedure {
    private let playbook: Playbook.Rejoin
    private let text: RunOrigin
    private let access: ClusterAccess
    private let locks: ClusterLocks
    private let node: RejoiningNode
    private let nodes: [String]
    /// What is done where it can neither follow nor be rewound; `nil` for nothing.
    private let copy: NewCopy?
    private let repositoryHost: String?

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.Rejoin, from origin: RunOrigin, _ ways: Ways, undo: UndoOptions = UndoOptions()) throws {
        (self.playbook, text) = (playbook, origin)
        let repository = playbook.repositoryHost
        access = ClusterAccess(try Roster(pair: playbook.cluster, otherHosts: [repository].compactMap(\.self)), ways)
        nodes = playbook.cluster.nodes.map(\.name)
        locks = ClusterLocks(playbook.cluster.name, on: Group(nodes, of: access))
        node = RejoiningNode(playbook.node, in: Group(nodes, of: access), as: playbook.replicationUser)
        copy = try NewCopy(playbook, of: node, purgesData: undo.purgesData)
        repositoryHost = repository?.name
    }

    public static let name = "rejoin"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var steps: [ListedStep] {
        let back: [any Step] = [PrepareRejoin(node: node), CheckpointNewPrimary(node: node), StopOldPrimary(node: node), watched(RewindNode(node: node, copy: copy))]
        let follow: [any Step] = [
            watched(FollowPrimary(node: node, patience: Patience(limit: .seconds(300)), copy: copy)), RemoveStaleSlots(node: node), VerifyRejoin(node: node),
        ]
        return (back + (copy?.steps(watchedBy: fuse) ?? []) + follow).map { ListedStep("", $0) }
    }

    private func watched<Inner: Step>(_ step: Inner) -> WatchingSlot<Inner, SlotFuse> { WatchingSlot(step, fuse) }

    /// Of the slot on the primary, once that is known.
    @Sendable private func fuse(_ memory: Memory) async throws -> SlotFuse? {
        guard let follower = try memory.recall(RejoiningNode.follower) else { return nil }
        return fuse(of: follower)
    }

    @Sendable private func fuse(of follower: Follower) -> SlotFuse? {
        guard let slot = follower.slot else { return nil }
        return SlotFuse(slot, on: follower.upstream, for: node.name, keepingFree: UInt64(max(0, playbook.keepsFree.bytes)), access)
    }

    public var requirements: [RequirementGroup] {
        let survey = Survey(), group = GroupSurvey(Group(nodes, of: access), survey)
        return [
            RequirementGroup("hosts", HostIsReached.each(of: nodes + [repositoryHost].compactMap(\.self), of: access, survey: survey)),
            RequirementGroup("the group", [NodeIsNoPrimary(node: node, copy: copy, survey: group)]),
            RequirementGroup(
                "the way back",
                [
                    NodeCanComeBack(node: node, copies: copy != nil, survey: group), PrimaryHasRoom(node: node, survey: group, fuse: fuse(of:)),
                    ServiceIsOurs(node.name, of: access, survey: survey),
                ]),
            RequirementGroup("the copy", [copy.map { CopyIsPossible(copy: $0, survey: survey) }].compactMap(\.self)),
        ]
    }

    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(instances: nodes, servers: nodes.filter { $0 != node.name })
        try await locks.take(holder: holder)
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await locks.take(holder: holder)
        await access.endEarlierSessions(on: nodes.filter { $0 != node.name })
    }

    /// Once the node streams there is nothing to go back to.
    public func inUse(_ memory: Memory) async throws -> [String] {
        guard let follower = try memory.recall(RejoiningNode.follower), try await Group(nodes, of: access).look().follows(follower) else {
            guard let copy, memory.beganCopy else { return [] }
            return [try await copy.parts(memory).copied.purgeable(memory)].compactMap(\.self)
        }
        throw Problem("\(node.name) is a standby of \(follower.upstream) since this run: left alone", hint: "it is stopped, and its slot dropped, where it is wanted no more")
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] { ["\(node.name) is back."] + (try memory.recall(VerifyRejoin.words) ?? []) }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure { .stays("The primary was not touched; \(node.name) is not back.") }

    public func close() async {
        await locks.release()
        await access.close()
    }
}

/// There is a primary, and the node that comes back is none.
struct NodeIsNoPrimary: Requirement {
    let name = "node"
    let node: RejoiningNode
    let copy: NewCopy?
    let survey: GroupSurvey
    var place: String? { node.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await survey.view(), primary = try node.others(view).primary()
        guard let own = view[node.name] else { throw UnknownNode(name: node.name) }
        switch own.state {
        case .serving(let look) where !look.recovery.isInRecovery:
            return [
                Finding(
                    name, on: node.name, "runs as a primary, and so does \(primary.name)",
                    .notMet(hint: "see who writes to it; then stop it, `pg_ctl stop -m fast`, and run again: what it has and \(primary.name) has not is lost then"))
            ]
        case .unreachable where try await copy?.takesOver(memory) == true:
            return [Finding(name, on: node.name, "nothing runs there; \(primary.name) is the primary, on timeline \(primary.look?.timeline ?? 0)")]
        case .unreachable(let problem): return [Finding(notMet: name, on: node.name, problem)]
        default: return [Finding(name, on: node.name, "\(view.description(of: own)); \(primary.name) is the primary, on timeline \(primary.look?.timeline ?? 0)")]
        }
    }
}

/// The node can come back, without a new copy where none is to be made.
struct NodeCanComeBack: Requirement {
    let name = "way back"
    let node: RejoiningNode
    /// Whether a new copy is made where nothing else helps.
    let copies: Bool
    let survey: GroupSurvey
    var place: String? { node.name }

    /// Where only a new copy helps.
    private func needsCopy(_ why: String, of primary: String) -> Finding {
        Finding(
            name, on: node.name, why,
            copies
                ? .note(hint: "a new copy of \(primary) is made") : .notMet(hint: "make a new copy of \(primary): say `copy:` in the playbook, or `procedure: hot-standby`"))
    }

    /// What its files say that would end its recovery.
    private func overridden(_ instance: Instance) async throws -> [Finding] {
        guard instance.features.standbyMarker == .signalFile else { return [] }
        return RecoveryTarget.inForce(try await instance.settingsTree(deadline: .after(.seconds(30)))).filter(\.endsRecovery).map {
            Finding("recovery target", on: node.name, "\($0): as a standby it would stop there, or promote itself", .note(hint: "the run overrides it in postgresql.auto.conf"))
        }
    }

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await survey.view()
        let primary: GroupView.Node
        do { primary = try node.others(view).primary() } catch { throw NotLooked() }
        let follower = if let kept = try memory.recall(RejoiningNode.follower) { kept } else { try await node.follower(of: primary, view) }
        var findings: [Finding] = []
        if let refusal = try await node.admission(follower, view).refusals()[node.name] {
            findings.append(Finding("replication", on: node.name, refusal.fact, .note(hint: "the run adds what is missing, and tries it")))
        } else {
            findings.append(Finding("replication", on: node.name, "may stream from \(primary.name) as \(follower.role)"))
        }
        if let reason = try memory.recall(NewCopy.reason) { return findings + [needsCopy(reason, of: primary.name)] }
        let instance = try await node.instance(memory)
        if try await instance.isSpoiled(deadline: .after(.seconds(20))) { return findings + [needsCopy(RejoiningNode.spoiled, of: primary.name)] }
        guard case .down(let data)? = view[node.name]?.state else { return findings }
        findings += try await overridden(instance)
        switch try await node.wayBack(primary, data) {
        case .follows: findings.append(Finding(name, on: node.name, "\(data.state.rawValue); all that it has is part of the history of \(primary.name)"))
        case .needsCopy(let why): findings.append(needsCopy(why, of: primary.name))
        case .isForeign(let why): findings.append(Finding(notMet: name, on: node.name, node.foreign(why)))
        case .rewinds:
            let source = try node.source(primary.name)
            let answer = try await instance.psql(source, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user", deadline: .after(.seconds(30)))
            let isSuperuser = answer.succeeded && answer.text == "t"
            findings.append(
                Finding(
                    name, on: node.name,
                    "\(data.state.rawValue); it has gone its own way, and is rewound"
                        + (isSuperuser
                            ? "" : ": pg_rewind cannot read \(primary.name) as \(source["user"] ?? ""): \(answer.succeeded ? "no superuser" : answer.errorText.onOneLine)"),
                    isSuperuser
                        ? .met
                        : copies
                            ? .note(hint: "a new copy of \(primary.name) is made")
                            : .notMet(hint: "let \(source["user"] ?? "") in from \(node.name) in pg_hba.conf of \(primary.name), with its password in your ~/.pgpass")))
        }
        return findings
    }
}

/// The primary's disk has room for what the node's slot keeps while the run lasts.
struct PrimaryHasRoom: Requirement {
    let name = "slots"
    let node: RejoiningNode
    let survey: GroupSurvey
    let fuse: @Sendable (Follower) -> SlotFuse?

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await survey.view(), primary: GroupView.Node
        do { primary = try node.others(view).primary() } catch { throw NotLooked() }
        let follower = if let kept = try memory.recall(RejoiningNode.follower) { kept } else { try await node.follower(of: primary, view) }
        // One that streams keeps nothing.
        guard !view.follows(follower), let fuse = fuse(follower) else { return [] }
        return [try await fuse.finding(name, deadline: .after(.seconds(20)))]
    }
}
