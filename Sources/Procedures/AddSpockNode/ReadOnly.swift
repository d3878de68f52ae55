import EventLoop
import Instance
import Playbook
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

/// Step 5: make the source and its peers read-only.
struct MakeReadOnly: Step {
    let seed: Seed
    static let name = "read-only"
    var title: String { "Make \(list(seed.members)) read-only" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) >= .promoted { return .done("\(seed.newNode) has left its source: no window is needed") }
        return .needed([
            Change("\(list(seed.members)): a watchdog that lifts read-only by itself when pggraft has not renewed its lease for \(seed.playbook.handover.lease.inSeconds)"),
            Change("\(list(seed.members)): ALTER SYSTEM SET spock.readonly, reload, read back (superusers are refused too)"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let limit = seed.playbook.handover.windowLimit
        try await seed.keepLock()
        if try run.memory.recall(ReadOnlyBefore.fact) == nil {
            try run.remember(
                ReadOnlyBefore.fact,
                try await onEach(seed.members) { node in
                    try await seed.spock(node).readOnlyState(deadline: .after(.seconds(10)))
                })
        }
        let exceptions = try await onEach(seed.members) { try await seed.spock($0).exceptionCount(deadline: .after(.seconds(10))) }
        if try run.memory.recall(ExceptionsBefore.fact) == nil { try run.remember(ExceptionsBefore.fact, exceptions) }
        try await seed.startLeases(seed.members, restoring: try run.recall(ReadOnlyBefore.fact))
        await seed.open(Window(deadline: .after(limit), flips: [:]))
        await seed.flipped(try await seed.close(seed.members, deadline: try await seed.currentWindow().deadline))
        await seed.reached(.standby)
        await seed.book("read-only")
        return "in force on \(list(seed.members)); the window may last \(limit.inSeconds)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let problems = await seed.openAll(run.memory)
        return problems.isEmpty ? .undone(["\(list(seed.members)): spock.readonly is what it was"]) : .left(problems)
    }
}

/// What `spock.readonly` was before the run, by node.
enum ReadOnlyBefore { static let fact = Fact<[String: ReadOnlyState]>("read-only before") }
/// How many rows `spock.exception_log` had before the run, by node.
enum ExceptionsBefore { static let fact = Fact<[String: Int]>("exceptions before") }

extension Seed {
    func flipped(_ flips: [String: ServerMoment]) { window?.flips = flips }

    private func asking(_ node: String) { asked.insert(node) }

    /// Makes `nodes` read-only, all at once.
    /// - Returns: the moment on each node after which new statements are refused.
    func close(_ nodes: [String], deadline: Deadline) async throws -> [String: ServerMoment] {
        try await onEach(nodes) { node in
            let session = try await self.spock(node)
            await self.asking(node)
            guard let version = try await session.extensionVersion(deadline: deadline) else {
                throw Problem("\(node): the extension spock is gone", hint: "nothing was made read-only there")
            }
            return try await session.close(.closingClients(on: version), version: version, deadline: deadline)
        }
    }

    /// Opens what ``MakeReadOnly`` closed, wherever it can be reached.
    /// - Parameter inOrder: peers first, then the source; otherwise all at once, so that no node waits for one that does not answer.
    /// - Returns: the nodes that may still be closed, with the way to open them by hand.
    func openAll(_ memory: Memory, inOrder: Bool = false) async -> [Problem] {
        let before: [String: ReadOnlyState]
        do {
            before = try memory.recall(ReadOnlyBefore.fact) ?? [:]
        } catch {
            return [Problem("what spock.readonly was before cannot be read from the journal", because: error, hint: stillReadOnlyHint)]
        }
        // Once it was emptied, nobody may write there any more.
        let nodes: [String]
        do {
            let all = members + (try memory.recall(OpenNewNode.emptied) == true ? [] : [newNode])
            nodes = all.filter { before[$0] != nil }
        } catch {
            return [Problem("whether \(newNode) may be opened cannot be read from the journal", because: error, hint: stillReadOnlyHint)]
        }
        stopRenewing()
        reopened = []
        let results = await attemptOnEach(nodes) { node in
            if inOrder, node == self.source { await self.letGoFirst(nodes.filter { $0 != self.source }) }
            try await self.open(node, to: before[node])
        }
        return results.compactMap { node, result in
            guard case .failure(let error) = result else { return nil }
            return error as? Problem ?? Problem("\(node) may still be read-only", because: error, hint: stillReadOnlyHint)
        }
    }

    /// Waits until `first` are open, but not long for one that does not answer.
    private func letGoFirst(_ first: [String]) async {
        do {
            try await wait(for: "the peers of \(source) to be open", until: .after(.seconds(2)), every: .milliseconds(10)) {
                reopened.isSuperset(of: first) ? .found(()) : .notYet("")
            }
        } catch {
            // Whoever is missing is named by its own attempt.
        }
    }

    private func open(_ node: String, to before: ReadOnlyState?) async throws {
        guard let before else { return }
        var left: Problem?
        do {
            left = try await reopen(node, to: before, within: .seconds(5))
        } catch {
            // Once more on a new connection: the old one may be what failed.
            await access.forget(node)
            do {
                left = try await reopen(node, to: before, within: .seconds(10))
            } catch {
                // The server takes no connection, but its host may: the files and a signal do it too.
                _ = try await access.host(node, deadline: .after(.seconds(10)))
                let instance = try await instance(node)
                try await instance.host.require(Lease.openNow(on: instance, restoring: before), deadline: .after(.seconds(15)))
            }
        }
        reopened.insert(node)
        try await endLease(node)
        if let left { throw left }
    }

    /// - Returns: a mode that somebody else has set since, which is left alone.
    private func reopen(_ node: String, to before: ReadOnlyState, within time: Duration) async throws -> Problem? {
        let session = try await access.spock(node, deadline: .after(time))
        switch Opening(node, now: try await session.readOnlyState(deadline: .after(time)), before: before) {
        // What this process has asked for may still be on its way: the answer to it was not waited for to the end.
        case .nothing where !asked.contains(node): return nil
        case .nothing, .open:
            try await session.open(restoring: before, deadline: .after(time))
            return nil
        case .left(let problem): return problem
        }
    }

    private nonisolated var stillReadOnlyHint: String {
        "Its watchdog opens it by itself within \(playbook.handover.lease.inSeconds), unless the host itself was restarted; resume and undo open it too. By hand, as a superuser: "
            + "ALTER SYSTEM RESET spock.readonly; SELECT pg_reload_conf();"
    }
}
