public import EventLoop
import Instance
public import RemoteHost
public import Report
public import Run
public import Server

/// A stretch of a procedure in which nodes are closed to writers, with a lease on each host: whatever becomes of pggraft, they
/// open again.
public actor ClosedWindow {
    /// What the setting was before the run, by node.
    public static let before = Fact<[String: AlteredSetting]>("read-only before")

    private let access: ClusterAccess
    private let setting: ClosingSetting
    private let nodes: [String]
    private let limit: Duration
    private let lease: Duration
    private let revives: Bool
    private let staysClosed: @Sendable (Memory) throws -> Set<String>

    /// The open window; `nil` outside of it.
    private var clock: WindowClock?
    private var flips: [String: ServerMoment] = [:]
    /// How long the last one lasted, and where the time went.
    public private(set) var summary: String?
    /// Renews the leases of the nodes in the window.
    private var keeper: Task<Void, Never>?
    /// Why the window cannot be kept any longer.
    private var lost: Problem?
    /// The nodes that this process has asked to close.
    private var asked: Set<String> = []
    /// Those that were opened again since the last ``open(_:last:)`` began.
    private var reopened: Set<String> = []

    /// - Parameters:
    ///   - nodes: all that may be closed in a run.
    ///   - limit: how long the window may last.
    ///   - lease: after how long without a sign of pggraft a node opens by itself.
    ///   - revives: whether a node is stopped in the window, and started again where it opens by itself.
    ///   - staysClosed: nodes that may not be opened any more.
    public init(
        _ nodes: [String], of access: ClusterAccess, by setting: ClosingSetting, limit: Duration, lease: Duration, revives: Bool = false,
        staysClosed: @escaping @Sendable (Memory) throws -> Set<String> = { _ in [] }
    ) {
        (self.nodes, self.access, self.setting) = (nodes, access, setting)
        (self.limit, self.lease, self.revives, self.staysClosed) = (limit, lease, revives, staysClosed)
    }

    // MARK: The window

    public var isOpen: Bool { clock != nil }

    /// The deadline of what is done in the window.
    /// - Throws: `Problem` where none is open.
    public func deadline() throws -> Deadline {
        guard let clock else { throw Problem("the read-only window is not open", hint: "resume the run: it opens the window anew") }
        return clock.deadline
    }

    /// What is left of the window while it is open, `duration` otherwise.
    public func deadline(otherwise duration: Duration) -> Deadline { clock?.deadline ?? .after(duration) }

    /// Books the time since the last call to a part of the window; outside of it, nothing.
    public func book(_ part: String) { clock?.book(part) }

    /// The moment on each node after which new statements are refused.
    public func moments() throws -> [String: ServerMoment] {
        _ = try deadline()
        return flips
    }

    /// Keeps what the setting of `nodes` is, where the run does not know it yet.
    public func remember(_ nodes: [String], _ run: StepRun) async throws {
        let known = try run.memory.recall(Self.before) ?? [:]
        let new = try await settings(nodes.filter { known[$0] == nil })
        guard !new.isEmpty else { return }
        try run.remember(Self.before, known.merging(new) { old, _ in old })
    }

    /// What the setting of each of `nodes` is now.
    private func settings(_ nodes: [String]) async throws -> [String: AlteredSetting] {
        try await onEach(nodes) { try await self.access.server($0).alteredSetting(self.setting.name, deadline: .after(.seconds(10))) }
    }

    /// Opens the window: leases first, then all `nodes` are closed at once.
    /// - Parameter watching: nodes that hold the window up as much as those: one that answers no more is found out the same way.
    public func begin(_ nodes: [String], watching: [String] = [], _ memory: Memory) async throws {
        let values = try await closingValues(nodes, deadline: .after(.seconds(20)))
        try await startLeases(nodes, watching: watching, memory)
        clock = WindowClock(deadline: .after(limit))
        flips = try await close(values, deadline: try deadline())
    }

    /// Makes `nodes` read-only, all at once. Without a lease.
    /// - Returns: the moment on each node after which new statements are refused.
    public func close(_ nodes: [String], deadline: Deadline) async throws -> [String: ServerMoment] {
        try await close(try await closingValues(nodes, deadline: deadline), deadline: deadline)
    }

    private func close(_ values: [String: ClosingSetting.Closed], deadline: Deadline) async throws -> [String: ServerMoment] {
        try await onEach(values.keys.sorted()) { node in
            let server = try await self.access.server(node)
            await self.asking(node)
            return try await server.alterSystem(self.setting.name, to: values[node]?.value, expecting: values[node]?.inForce, deadline: deadline)
        }
    }

    private func closingValues(_ nodes: [String], deadline: Deadline) async throws -> [String: ClosingSetting.Closed] {
        try await onEach(nodes) { try await self.setting.closed(try await self.access.server($0), deadline: deadline) }
    }

    private func asking(_ node: String) { asked.insert(node) }

    /// Closes the books of the window, whose nodes are open again.
    public func end() {
        if let clock { summary = clock.summary }
        (clock, flips) = (nil, [:])
    }

    /// The nodes that are not as they were before the run closed them.
    public func stillClosed(_ memory: Memory) async throws -> [String] {
        let before = try memory.recall(Self.before) ?? [:], now = try await settings(before.keys.sorted())
        return before.keys.filter { now[$0]?.inForce != before[$0]?.inForce }.sorted()
    }

    // MARK: Opening

    /// Opens every node that the run closed, wherever it can be reached.
    /// - Parameter last: a node that opens after the others; otherwise all at once, so that no node waits for one that does not answer.
    /// - Returns: the nodes that may still be closed, with the way to open them by hand.
    public func open(_ memory: Memory, last: String? = nil) async -> [Problem] {
        let before: [String: AlteredSetting], nodes: [String]
        do {
            before = try memory.recall(Self.before) ?? [:]
            let kept = try staysClosed(memory)
            nodes = self.nodes.filter { before[$0] != nil && !kept.contains($0) }
        } catch {
            return [Problem("what \(setting.name) was before cannot be read from the journal", because: error, hint: stillClosedHint)]
        }
        stopRenewing()
        reopened = []
        let others = nodes.filter { $0 != last }
        let results = await attemptOnEach(nodes) { node in
            if let state = before[node] { try await self.open(node, to: state, after: node == last ? others : [], of: nodes) }
        }
        return results.compactMap { node, result in
            guard case .failure(let error) = result else { return nil }
            return error as? Problem ?? Problem("\(node) may still be read-only", because: error, hint: stillClosedHint)
        }
    }

    /// Waits until `first` are open, but not long for one that does not answer.
    private func letGoFirst(_ first: [String]) async {
        guard !reopened.isSuperset(of: first) else { return }
        do {
            try await wait(for: "\(list(first)) to be open", until: .after(.seconds(2)), every: .milliseconds(10)) {
                reopened.isSuperset(of: first) ? .found(()) : .notYet("")
            }
        } catch {
            // Whoever is missing is named by its own attempt.
        }
    }

    /// - Parameters:
    ///   - first: the nodes that open before it.
    ///   - all: those that are being opened: with the last of them the window is over, whatever else there is to do.
    private func open(_ node: String, to before: AlteredSetting, after first: [String], of all: [String]) async throws {
        var left: Problem?
        do {
            left = try await reopen(node, to: before, after: first, within: .seconds(5))
        } catch {
            // Once more on a new connection: the old one may be what failed.
            await access.forget(node)
            do {
                left = try await reopen(node, to: before, after: first, within: .seconds(10))
            } catch {
                // The server takes no connection, but its host may: the files and a signal do it too.
                _ = try await access.host(node, deadline: .after(.seconds(10)))
                let lease = try await lease(on: node)
                try await lease.instance.host.require(lease.openNow(restoring: before), deadline: .after(.seconds(15)))
            }
        }
        reopened.insert(node)
        if reopened.isSuperset(of: all) {
            book("read-write")
            end()
        }
        // What is left to do must not hold up those that are still closed.
        await letGoFirst(all)
        try await endLease(node)
        if let left { throw left }
    }

    /// - Returns: a mode that somebody else has set since, which is left alone.
    private func reopen(_ node: String, to before: AlteredSetting, after first: [String], within time: Duration) async throws -> Problem? {
        let server = try await access.server(node, deadline: .after(time))
        let now = try await server.alteredSetting(setting.name, deadline: .after(time))
        await letGoFirst(first)
        switch setting.opening(node, now: now, before: before) {
        // What this process has asked for may still be on its way: the answer to it was not waited for to the end.
        case .nothing where !asked.contains(node): return nil
        case .nothing, .open:
            try await server.alterSystem(setting.name, to: before.altered, expecting: before.inForce, deadline: .after(time))
            return nil
        case .left(let problem): return problem
        }
    }

    private var stillClosedHint: String {
        "Its watchdog opens it by itself within \(lease.inSeconds), unless the host itself was restarted; resume and undo open it too. By hand, as a superuser: "
            + "ALTER SYSTEM RESET \(setting.name); SELECT pg_reload_conf();"
    }

    // MARK: Leases

    private func lease(on node: String) async throws -> Lease { Lease(instance: try await access.instance(node), setting: setting, revives: revives) }

    /// Renews the leases no more and leaves their nodes closed: whoever calls this ends them, and has another way to open the nodes.
    /// - Returns: the file of the lease of each of `nodes`.
    public func giveAway(_ nodes: [String]) async throws -> [String: HostPath] {
        let leases = try await onEach(nodes) { try await self.lease(on: $0).file }
        stopRenewing()
        end()
        return leases
    }

    /// Starts a lease on each of `nodes` and keeps them renewed until ``stopRenewing()``.
    private func startLeases(_ nodes: [String], watching: [String], _ memory: Memory) async throws {
        let before = try memory.recall(Self.before) ?? [:], time = lease
        keeper?.cancel()
        lost = nil
        let leases = try await onEach(nodes) { node in
            let lease = try await self.lease(on: node)
            guard let state = before[node] else { throw UnknownNode(name: node) }
            try await lease.instance.host.require(lease.start(time: time, restoring: state), deadline: .after(.seconds(20)))
            return lease
        }
        let watched = try await onEach(watching) { try await self.access.host($0) }
        keeper = Task { [weak self] in
            var beat = 0
            while !Task.isCancelled {
                beat += 1
                let number = beat
                let results = await attemptOnEach(leases.keys.sorted() + watched.keys.sorted()) { node in
                    let deadline = Deadline.after(time / 3)
                    if let lease = leases[node] { try await lease.instance.host.require(lease.renew(beat: number), deadline: deadline) }
                    if let host = watched[node] { try await host.require(Command("true"), deadline: deadline) }
                }
                for (node, result) in results {
                    if case .failure(let error) = result, !Task.isCancelled { await self?.lose(node, error) }
                }
                do { try await Task.sleep(for: time / 6) } catch { return }
            }
        }
    }

    private func lose(_ node: String, _ error: any Error) {
        guard lost == nil else { return }
        let fact = "the read-only window is given up, so that the others take writes again", hint = "see what is wrong with \(node), then resume"
        if let late = error as? DeadlineExceeded {
            lost = Problem("\(fact): \(node) gave no answer for \(late.budget.inSeconds)", hint: hint)
        } else {
            lost = Problem(fact, because: error, hint: hint)
        }
    }

    /// Throws as soon as the open window cannot be kept: a host does not answer any more, or the time is up.
    public func watch() async throws {
        // The steps have the window's own deadline and say more; this is for one that does not come back from it.
        let deadline = Deadline.after((clock?.deadline.remaining ?? limit) + .seconds(2))
        try await wait(for: "the read-only window to end", until: deadline, every: .milliseconds(100)) { () -> Look<Void> in
            if let lost { throw lost }
            return .notYet("it is open")
        }
    }

    /// Stops renewing. The leases' files are taken away node by node, when each is open again.
    private func stopRenewing() {
        keeper?.cancel()
        keeper = nil
    }

    /// Takes the lease of an open node away, also one that another process of this run has left.
    private func endLease(_ node: String) async throws {
        let lease = try await lease(on: node), host = try await access.host(node, deadline: .after(.seconds(10)))
        try await host.require(lease.end(), deadline: .after(.seconds(10)))
    }
}
