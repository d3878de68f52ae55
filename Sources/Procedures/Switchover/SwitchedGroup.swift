import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// The group that a switchover works on: who is what in it, as this run has found it, and how far it has come.
actor SwitchedGroup {
    /// Who was what when the run began.
    static let roles = Fact<Roles>("roles")

    /// The programs of each node, which nobody else knows of one that is stopped.
    static let programs = Fact<[String: KnownPrograms]>("programs")

    nonisolated let group: Group
    nonisolated let new: String
    nonisolated let window: ClosedWindow
    nonisolated var access: ClusterAccess { group.access }

    private var found: Roles?
    private var areFound = false
    /// What this process knows without looking: from the window's beginning until the promotion nobody but it changes the roles.
    private var known: Bool?
    /// Whether this process has sealed the old primary.
    private var isSealed = false
    /// Since when clients were refused, and for how long they were.
    private var closed: ContinuousClock.Instant?
    private(set) var blocked: Duration?

    init(_ group: Group, to new: String, window: ClosedWindow) { (self.group, self.new, self.window) = (group, new, window) }

    // MARK: Who is what

    /// Who is what, as the run found it when it began; before that, as it is. `nil` where the new primary is the primary already, and this
    /// run has not made it that.
    func roles(_ memory: Memory) async throws -> Roles? {
        if let roles = try memory.recall(Self.roles) {
            try await findInstances(memory)
            return roles
        }
        if let found { return found }
        let view = try await group.look()
        guard try view.primary().name != new else { return nil }
        let roles = try await roles(view)
        found = roles
        return roles
    }

    /// - Throws: `Problem`.
    func roles(_ view: GroupView) async throws -> Roles {
        let old = try view.primary().name, user = try access.roster.entry(old).osUser
        let passfile = try await Passfile.place(of: user, on: try await access.host(old), deadline: .after(.seconds(20))).path
        return try Roles(view, to: new, passfile: passfile)
    }

    /// Keeps who is what, once and for all.
    func keep(_ run: StepRun) async throws -> Roles {
        guard let roles = try await roles(run.memory) else { throw Problem("\(new) is the primary already", hint: "nothing is left to do") }
        if try run.memory.recall(Self.roles) == nil {
            let instances = try await onEach(roles.group) { KnownPrograms(of: try await self.access.instance($0)) }
            try run.remember(Self.programs, instances)
            try run.remember(Self.roles, roles)
        }
        return roles
    }

    /// Finds the instances by what the run knows of them: those of servers that are stopped, too.
    private func findInstances(_ memory: Memory) async throws {
        guard !areFound, let programs = try memory.recall(Self.programs) else { return }
        _ = try await onEach(programs.keys.sorted()) { try await self.access.instance($0, programs: programs[$0]) }
        areFound = true
    }

    /// Whether the new primary is the primary. In the window it is known without a look.
    func isPromoted() async throws -> Bool {
        if let known { return known }
        return try await looksPromoted()
    }

    func looksPromoted() async throws -> Bool { try await !access.server(new).isInRecovery(deadline: .after(.seconds(20))) }

    /// What is said of a step that has nothing to do any more.
    nonisolated var promoted: String { "\(new) is the primary" }
    /// Why a step takes nothing back.
    nonisolated var keeps: String { "\(new) is the primary, and what it rests on stays" }

    // MARK: Who else is the primary

    /// The old primary is stopped and marked by this process, and its lease is over.
    func sealed() { isSealed = true }

    /// Sees, right before the promotion, that nobody else is the primary: none of the others that can be asked, and the old one is as the run has left it. What
    /// this process has sealed just now it has seen.
    /// - Throws: `Problem` that says who is.
    func requireNoOther(_ roles: Roles, _ memory: Memory) async throws {
        let others = group.nodes.filter { $0 != roles.old && $0 != roles.new }
        guard !isSealed else {
            // Clients wait: one that does not answer is not waited for.
            let access = access, deadline = Deadline.after(.seconds(2))
            let answers = await attemptOnEach(others) { try await access.server($0, deadline: deadline).isInRecovery(deadline: deadline) }
            for case (let other, .success(false)) in answers {
                throw Problem(
                    "\(other) is the primary: \(roles.new) is not promoted beside it",
                    hint: "`pggraft undo` takes back what the run has prepared; then have \(roles.old) and \(roles.new) follow it: `procedure: rejoin`")
            }
            return
        }
        let view = try await group.look(), node = view[roles.old]
        var marked: ControlData?
        if case .unreachable? = node?.state {
        } else {
            let instance = try await access.instance(roles.old), deadline = Deadline.after(.seconds(20))
            if try await instance.isSealed(deadline: deadline) { marked = try await instance.controlData(deadline: deadline) }
        }
        let found = OldPrimary(
            name: roles.old, marked: marked, checkpoint: try memory.recall(StopPrimary.checkpoint), others: GroupView(view.nodes.filter { $0.name != roles.old }))
        if let problem = found.obstacleToPromotion(of: roles.new, found: node) { throw problem }
    }

    // MARK: How far it is

    func begins() { (known, closed) = (false, .now) }

    func isOver() {
        known = true
        if let closed { blocked = closed.duration(to: .now) }
    }

    /// Whether the run has begun to promote: from there on it only goes forward.
    static func goesForward(_ memory: Memory) -> Bool { memory.began(PromoteStandby.self) && !memory.isUndone(PromoteStandby.self) }

    // MARK: Back

    /// What closes the old primary to writers, as the journal has it.
    static let bracket = "closed primary"

    /// Whether the run has the old primary closed still, as far as its journal knows. Once it was opened again, it is nobody's to start.
    static func isClosed(_ memory: Memory) -> Bool { memory.isClosed(by: bracket) }

    /// Has the old primary take writes again, whatever was done to it, unless the new one was told to take its place, or another node has it by now.
    /// - Returns: what stands in the way, with the way to do it by hand.
    func goBack(_ memory: Memory) async -> [Problem] {
        (known, isSealed) = (nil, false)
        guard !Self.goesForward(memory) else { return [] }
        do {
            guard let roles = try memory.recall(Self.roles) else { return [] }
            // The others' may be away.
            _ = try await access.instance(roles.old, programs: try memory.recall(Self.programs)?[roles.old])
            if memory.began(StopPrimary.self), let problem = try await start(roles.old, memory) { return [problem] }
            return await window.open(memory)
        } catch {
            return [
                Problem("the primary may not take writes", because: error, hint: "its watchdog starts and opens it by itself when the lease is over; `pggraft resume` does, too")
            ]
        }
    }

    /// Starts the old primary again, unless another node is the primary by now, or its mark as a standby is not this run's.
    /// - Returns: why it was left as it is.
    private func start(_ old: String, _ memory: Memory) async throws -> Problem? {
        let instance = try await access.instance(old), deadline = Deadline.after(.seconds(120))
        // Clients wait: one that does not answer is not waited for.
        async let others = look(at: group.nodes.filter { $0 != old }, deadline: .after(.seconds(5)))
        let isMarked = try await instance.isSealed(deadline: deadline)
        let found = OldPrimary(
            name: old, marked: isMarked ? try await instance.controlData(deadline: deadline) : nil, checkpoint: try memory.recall(StopPrimary.checkpoint), others: try await others)
        if let problem = found.obstacleToReturn() {
            // Nor does its watchdog start it.
            if let lease = try await window.giveAway([old])[old] { try await instance.host.remove(lease, as: instance.starter, deadline: deadline) }
            return problem
        }
        if isMarked {
            // Whoever has started it meanwhile has started a standby.
            try await instance.stop(mode: .fast, deadline: deadline)
            try await instance.unseal(deadline: deadline)
        }
        await access.forgetServer(old)
        // What its stop may wait for, a standby or an archiver that does not answer, clients shall not.
        try await instance.endStop(within: .seconds(2), deadline: deadline)
        // The watchdog may be starting it at the same moment.
        do {
            try await instance.start(deadline: deadline)
        } catch let error as InstanceError {
            guard try await instance.status(deadline: deadline).isRunning else { throw error }
            try await instance.start(deadline: deadline)
        }
        return nil
    }

    private func look(at nodes: [String], deadline: Deadline) async throws -> GroupView {
        let group = group, found = try await onEach(nodes) { try await group.node($0, deadline: deadline) }
        return GroupView(nodes.compactMap { found[$0] })
    }
}
