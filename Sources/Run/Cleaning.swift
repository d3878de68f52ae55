public import Foundation
import Report
import Synchronization

extension RunSession {
    /// Removes what is left of runs that are finished or undone: the files that were kept for an undo, on whatever host, then the journal. Shows what
    /// would go, and asks before.
    ///
    /// A run of which something cannot be removed keeps its journal, and is named, also when the operator interrupts it: what has gone of it by then. So is
    /// a journal that cannot be read.
    /// - Parameters:
    ///   - names: of the runs; all that are finished or undone where there is none.
    ///   - before: only runs that began before.
    ///   - make: makes the procedure from what the journal has kept of it.
    /// - Throws: `Problem` when there is no such run, it is not over or nobody is there to say yes; ``JournalError``.
    public static func clean(
        _ names: [String], begunBefore before: Date? = nil, in store: RunStore, console: any Console, make: (RunHeader) throws -> any Procedure
    ) async throws -> Ending {
        var left = 0, found: [(run: RunSummary, procedure: any Procedure, memory: Memory, things: [Created])] = [], removed = 0
        func stays(_ run: String, _ problem: Problem) {
            console.show(.notRemoved(run: run, problem))
            left += 1
        }
        let (runs, unreadable) = try chosen(names, before, in: store)
        for (file, error) in unreadable { stays(file, Problem(explaining: error)) }
        for run in runs {
            do {
                let procedure = try make(run.header), memory = Memory(entries: try Journal.read(at: run.journal))
                let things = try await closing(procedure) { try await console.interruptibly { try await procedure.leftForUndo(memory) } }
                console.show(.leavings(run, things))
                found.append((run, procedure, memory, things))
            } catch let error as CancellationError {
                throw error
            } catch {
                stays(run.header.run, run.cannotBeRemoved(error))
            }
        }
        guard !found.isEmpty else { return .cleaned(runs: 0, left: left) }
        guard let isWanted = console.wantsToGoOn() else { throw nobodyIsThere }
        guard isWanted else { return .declined }
        for (run, procedure, memory, things) in found {
            // How many of the files are gone; `nil` before the first is tried.
            let gone = Mutex<Int?>(nil)
            do {
                let lock = try RunLock(cluster: run.header.cluster, in: store, holder: Holder(run: run.header.run))
                defer { withExtendedLifetime(lock) {} }
                // Somebody may have taken it up meanwhile.
                try checkOver(try store.run(run.header.run))
                try await closing(procedure) {
                    // An interruption between two of them is heard, too.
                    try await console.interruptibly {
                        for (index, thing) in things.enumerated() {
                            if index == 0 { gone.withLock { $0 = 0 } }
                            try await procedure.removeLeft(thing, memory)
                            gone.withLock { $0 = index + 1 }
                            try Task.checkCancellation()
                        }
                        try store.remove(run.journal)
                    }
                }
                removed += 1
                console.show(.removed(run: run.header.run))
            } catch {
                stays(run.header.run, gone.withLock(\.self).map { run.isRemovedInPart(error, gone: $0, of: things.count) } ?? Problem(explaining: error))
                if error is CancellationError { throw error }
            }
        }
        return .cleaned(runs: removed, left: left)
    }

    /// Each once, however often it is named.
    private static func chosen(
        _ names: [String], _ before: Date?, in store: RunStore
    ) throws -> (runs: [RunSummary], unreadable: [(file: String, error: any Error)]) {
        var (all, unreadable) = try names.isEmpty ? store.runs() : (names.map { try store.run($0) }, [])
        if names.isEmpty { all.removeAll { !$0.canBeRemoved } }
        try all.forEach(checkOver)
        var seen: Set<String> = []
        return (all.filter { run in before.map { run.startedAt < $0 } ?? true && seen.insert(run.journal).inserted }, unreadable)
    }

    private static func checkOver(_ run: RunSummary) throws {
        guard !run.canBeRemoved else { return }
        throw Problem("run \(run.header.run) is \(run.state.rawValue): what it has left is needed", hint: run.ways)
    }
}

extension RunSummary {
    /// Why what the run has left cannot be removed.
    fileprivate func cannotBeRemoved(_ error: any Error) -> Problem {
        let cause = Problem(explaining: error), byHand = "where a host of it is gone for good, remove its journal by hand: \(journal)"
        return Problem(cause.fact, hint: [cause.hint, error is CancellationError ? nil : byHand].compactMap { $0 }.joined(separator: "\n"))
    }

    /// What state the run is in with `gone` of the files removed that it had kept.
    fileprivate func isRemovedInPart(_ error: any Error, gone: Int, of count: Int) -> Problem {
        let state = gone == 0 ? "the first of \(count) previous versions may be removed" : "\(gone) of \(count) previous versions \(gone == 1 ? "is" : "are") removed"
        return Problem(
            explaining: cannotBeRemoved(error), leaving: "\(state): an undo cannot put all back any more, although the run is listed as \(self.state.rawValue)",
            hint: "`pggraft clean \(header.run)` removes the rest.")
    }
}
