import EventLoop
public import Playbook
public import ProcedureKit
import Report
public import Run
import Server

/// The primary and one of its standbys change their places; the other standbys follow.
///
/// ```
/// prepared, with everybody writing   the others are let in on the new primary, and have their slots there; a checkpoint
/// closed to ordinary clients         the standby has everything; the primary is stopped fast, its shutdown checkpoint is on the standby
/// the point of no return             the stopped primary is marked as a standby; the standby is promoted
/// with everybody writing again       the old primary and the others stream from the new one
/// ```
/// Until the promotion begins, whatever goes wrong leads back: the old primary is started and opened, by pggraft or, where that was killed, by
/// the watchdog of the lease. Before the promotion begins the lease is ended and whatever starts on the old primary is a standby.
/// From there on the run only goes forward, and can be resumed at any moment.
public struct Switchover: Procedure {
    private let playbook: Playbook.Switchover
    private let text: RunOrigin
    private let access: ClusterAccess
    private let locks: ClusterLocks
    private let window: ClosedWindow
    private let group: SwitchedGroup
    private let nodes: [String]

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.Switchover, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        access = ClusterAccess(try Roster(pair: playbook.cluster), ways)
        nodes = playbook.cluster.nodes.map(\.name)
        let all = Group(nodes, of: access)
        locks = ClusterLocks(playbook.cluster.name, on: all)
        window = ClosedWindow(nodes, of: access, by: .readOnlyByDefault, limit: playbook.window.limit, lease: playbook.window.lease, revives: true)
        group = SwitchedGroup(all, to: playbook.to, window: window)
    }

    public static let name = "switchover"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var steps: [ListedStep] {
        let times = playbook.window, hooks = playbook.hooks, patience = Patience(limit: .seconds(300))
        var steps = [ListedStep("", PrepareNewPrimary(group: group)), ListedStep("", CheckpointPrimary(group: group))]
        if let command = hooks.before { steps.append(hook(.before, command)) }
        steps += [
            ListedStep("", ClosePrimary(group: group, locks: locks, limit: times.limit, lease: times.lease)),
            ListedStep("", EndClientTransactions(group: group, grace: times.transactionGrace)),
            ListedStep("", AwaitStandby(group: group)),
            ListedStep("", StopPrimary(group: group)),
            ListedStep("", SealPrimary(group: group)),
            ListedStep("", PromoteStandby(group: group)),
        ]
        if let command = hooks.after { steps.append(hook(.after, command)) }
        steps += [
            ListedStep("", FollowNewPrimary(who: .old, group: group, patience: patience)),
            ListedStep("", FollowNewPrimary(who: .others, group: group, patience: patience)),
            ListedStep("", RemoveOldSlots(group: group)),
            ListedStep("", SetSynchronousNames(group: group)),
            ListedStep("", VerifySwitchover(group: group)),
        ]
        return steps
    }

    private func hook(_ moment: RunHook.Moment, _ command: String) -> ListedStep {
        ListedStep(
            "",
            RunHook(
                moment: moment, command: command, what: "the switchover", nodes: { try $0.recall(SwitchedGroup.roles).map { ($0.old, $0.new) } },
                promoted: { _ in try await group.isPromoted() ? group.new : nil }, standing: "nothing is closed", access: access))
    }

    /// Whatever happens between the first closed write and the promotion, the old primary takes writes again.
    public func brackets(_ memory: Memory) -> [Bracket] {
        [
            Bracket(
                SwitchedGroup.bracket, opens: ClosePrimary.name, closes: PromoteStandby.name, watch: window.watch, isOver: { SwitchedGroup.goesForward(memory) },
                release: { await group.goBack(memory) })
        ]
    }

    public var requirements: [RequirementGroup] {
        let survey = Survey(), ground = SwitchGround(survey: GroupSurvey(Group(nodes, of: access), survey), group: group)
        return [
            RequirementGroup("hosts", HostIsReached.each(of: nodes, of: access, survey: survey)),
            RequirementGroup(
                "the group",
                [
                    StandbyIsClose(ground: ground, limit: playbook.window.catchUpLag.bytes), NobodyIsLeftBehind(ground: ground), PrimaryCanStop(ground: ground),
                    NothingEndsRecovery(ground: ground), NewPrimaryHasRoom(ground: ground),
                ] + nodes.map { RoleIsSuperuser(node: $0, ground: ground) } + nodes.map { LeaseOutlivesSession($0, of: access, survey: survey) }
                    + ServiceIsOurs.each(of: nodes, of: access, survey: survey)),
            RequirementGroup("routes", [OthersMayStream(ground: ground)]),
        ]
    }

    /// The lock on every server.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(instances: nodes, servers: nodes)
        try await locks.take(holder: holder)
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await locks.take(holder: holder)
        await access.endEarlierSessions(on: nodes)
    }

    /// A switchover that has promoted is not undone: clients have written since.
    public func inUse(_ memory: Memory) async throws -> [String] {
        guard SwitchedGroup.goesForward(memory), let roles = try memory.recall(SwitchedGroup.roles), try await group.looksPromoted() else { return [] }
        throw PromoteStandby.refusal(roles)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        let seen = try memory.recall(VerifySwitchover.words) ?? []
        let blocked = try memory.recall(PromoteStandby.blocked).map { "Clients were refused for \(Duration.milliseconds(Int64($0 * 1000)).inSeconds)." }
        let places = try nodes.map { try access.roster.entry($0) }
        let hosts = places.map(\.address).joined(separator: ","), ports = places.map { "\($0.port)" }.joined(separator: ",")
        return ["\(playbook.to) is the primary."] + [blocked].compactMap(\.self) + seen
            + ["A client that names all nodes finds it by itself: host=\(hosts) port=\(ports) dbname=\(access.roster.database) target_session_attrs=read-write"]
    }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        guard failure.notOpened.isEmpty else { return .stays("") }
        guard SwitchedGroup.goesForward(memory) else {
            return .stays(failure.opened.isEmpty ? "Nothing was closed to clients." : "The primary takes writes again.")
        }
        let forward = "From here on the run goes forward only: resume it."
        do {
            let view = try await Group(nodes, of: access).look(), writing = view.nodes.filter(\.isPrimary)
            if writing.count == 1 { return .stays("\(writing[0].name) is the primary and takes writes; the run has yet to see to the others.") }
            let states = view.nodes.map { "\($0.name): \(view.description(of: $0))" }.joined(separator: "; ")
            // One that cannot be asked may take them.
            let isSeen = view.nodes.allSatisfy { if case .unreachable = $0.state { false } else if case .deaf = $0.state { false } else { true } }
            let who = !writing.isEmpty ? "\(list(writing.map(\.name))) are primaries" : isSeen ? "Nobody takes writes" : "Nobody is seen to take writes"
            return .stays("\(who): \(states). \(forward)")
        } catch {
            return .stays("Who takes writes cannot be seen: \(Problem(explaining: error).fact). \(forward)")
        }
    }

    public func close() async {
        await locks.release()
        await access.close()
    }
}
