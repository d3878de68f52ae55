import Foundation
import Report
import Synchronization
import Testing

@testable import Run

@Suite("A runner")
struct RunnerTests {
    @Test("looks at every step, performs what is needed and leaves what is done")
    func performsWhatIsNeeded() async throws {
        let world = World()
        world.add("b")
        let steps = ["a", "b", "c"].map { Put(world: world, thing: $0) }
        try await withJournal { journal, path in
            try await Runner(steps).perform(journal)
            #expect(world.calls == ["perform a", "perform c"])
            let events = try Journal.read(at: path).map { "\($0.event)" + ($0.step.map { " \($0)" } ?? "") }
            #expect(
                events == [
                    "began", "intent a", "creating a", "done a", "seen b", "intent c", "creating c", "done c", "ended",
                ])
        }
    }

    /// A step that has to wait before it can say what it sees.
    private struct Slow: LeavesNothing {
        static let name = "slow"
        let title = "Look at what is slow"
        let leavesNothing = "it looks"

        func inspect(_ memory: Memory) async throws -> Inspection {
            memory.note("waiting for it")
            return .done("it came")
        }

        func perform(_ run: StepRun) async throws -> String { "" }
    }

    @Test("tells what a look waits for, in a plan as in a run")
    func tells() async throws {
        let notes = Mutex<[String]>([])
        let runner = Runner(steps: [ListedStep("1", Slow())]) { event in
            if case .note(let id, let text) = event { notes.withLock { $0.append("\(id): \(text)") } }
        }
        _ = try await runner.plan()
        try await withJournal { journal, _ in try await runner.perform(journal) }
        #expect(notes.withLock { $0 } == ["1 slow: waiting for it", "1 slow: waiting for it"])
    }

    @Test("resumes by looking again, not by believing the journal")
    func resumes() async throws {
        let world = World()
        try await withJournal { journal, path in
            let failure = await #expect(throws: RunFailure.self) {
                try await Runner([Put(world: world, thing: "a"), Put(world: world, thing: "b", fails: true)]).perform(journal)
            }
            #expect(failure?.step?.name == "b")
            #expect(failure?.cause is Broken)
            world.remove("a")
            let again = try Journal.open(at: path)
            try await Runner(["a", "b"].map { Put(world: world, thing: $0) }).perform(again)
            #expect(world.calls == ["perform a", "perform b", "perform a", "perform b"])
            #expect(again.entries.last?.text == "finished")
        }
    }

    @Test("undoes what the run began, last first, and only that")
    func undoes() async throws {
        let world = World()
        world.add("b")
        let steps = ["a", "b", "c"].map { Put(world: world, thing: $0) }
        try await withJournal { journal, _ in
            let runner = Runner(steps)
            try await runner.perform(journal)
            #expect(try await runner.undo(journal).isEmpty)
            #expect(Array(world.calls.suffix(2)) == ["undo c", "undo a"])
            #expect(world.has("b"))
        }
    }

    @Test("undoes once what it did once: a step that was left, or was performed again, is undone again")
    func undoesOnce() async throws {
        let world = World()
        let steps = ["a", "b"].map { Put(world: world, thing: $0) }
        try await withJournal { journal, _ in
            let runner = Runner(steps)
            try await runner.perform(journal)
            try journal.append(JournalEntry(.undone, step: steps[1].name))
            try journal.append(JournalEntry(.left, step: steps[0].name))
            _ = try await runner.undo(journal)
            #expect(world.calls == ["perform a", "perform b", "undo a"])
            _ = try await runner.undo(journal)
            #expect(world.calls == ["perform a", "perform b", "undo a"])
            try await runner.perform(journal)
            _ = try await runner.undo(journal)
            #expect(world.calls == ["perform a", "perform b", "undo a", "perform a", "undo a"], "b is there, and was not performed again")
        }
    }

    @Test("opens a bracket on failure and on cancellation, and not when it has been closed in order", arguments: ["fails", "is cancelled", "succeeds"])
    func bracket(how: String) async throws {
        let world = World()
        let steps = [
            Put(world: world, thing: "open"), Put(world: world, thing: "inside", fails: how == "fails", waits: how == "is cancelled"),
            Put(world: world, thing: "close"),
        ]
        let bracket = Bracket("window", opens: steps[0].name, closes: steps[2].name) {
            world.call(Task.isCancelled ? "released in a cancelled task" : "released")
            return []
        }
        try await withJournal { journal, _ in
            let task = Task { try await Runner(steps, brackets: [bracket]).perform(journal) }
            if how == "is cancelled" {
                try await world.comes(to: "perform inside")
                task.cancel()
            }
            let result = await task.result
            #expect(world.calls.contains("released") == (how != "succeeds"))
            #expect(!world.calls.contains("released in a cancelled task"))
            switch result {
            case .success: #expect(how == "succeeds")
            case .failure(let error): #expect((error as? RunFailure)?.interrupted == (how == "is cancelled"))
            }
            #expect(journal.entries.contains { $0.event == .opened })
        }
    }

    @Test("opens nothing of a bracket that is over before its last step is done")
    func bracketWithoutWayBack() async throws {
        let world = World(), steps = [Put(world: world, thing: "open"), Put(world: world, thing: "close", fails: true)]
        let bracket = Bracket("window", opens: steps[0].name, closes: steps[1].name, isOver: { world.calls.contains("perform close") }) {
            world.call("released")
            return []
        }
        try await withJournal { journal, _ in
            let failure = await #expect(throws: RunFailure.self) { try await Runner(steps, brackets: [bracket]).perform(journal) }
            #expect(failure?.opened == [])
            _ = await #expect(throws: RunFailure.self) { try await Runner(steps, brackets: [bracket]).perform(journal) }
            #expect(!world.calls.contains("released"))
        }
    }

    @Test("ends a step when its bracket can be kept no longer, and says why")
    func lostBracket() async throws {
        let world = World()
        let steps = [Put(world: world, thing: "open"), Put(world: world, thing: "inside", waits: true), Put(world: world, thing: "close")]
        let bracket = Bracket(
            "window", opens: steps[0].name, closes: steps[2].name,
            watch: {
                try await world.comes(to: "perform inside")
                throw Problem("n2 does not answer")
            },
            release: {
                world.call("released")
                return []
            })
        try await withJournal { journal, _ in
            let failure = await #expect(throws: RunFailure.self) { try await Runner(steps, brackets: [bracket]).perform(journal) }
            #expect(failure?.description == "step inside (Put inside) failed: n2 does not answer")
            #expect(failure?.interrupted == false)
            #expect(world.calls == ["perform open", "perform inside", "released"])
            #expect(journal.entries.suffix(3).map(\.event) == [.opened, .failed, .ended])
        }
    }

    @Test("lets the steps of a bracket end before its watch does")
    func keptBracket() async throws {
        let world = World()
        let steps = ["open", "inside", "close", "after"].map { Put(world: world, thing: $0) }
        let bracket = Bracket("window", opens: steps[0].name, closes: steps[2].name, watch: { try await Task.sleep(for: .seconds(600)) }, release: { [] })
        try await withJournal { journal, _ in
            try await Runner(steps, brackets: [bracket]).perform(journal)
            #expect(world.calls == ["perform open", "perform inside", "perform close", "perform after"])
        }
    }

    @Test("does nothing before what an earlier turn has closed is open again")
    func leftOver() async throws {
        let world = World(), canOpen = Mutex(false)
        let steps = [Put(world: world, thing: "open"), Put(world: world, thing: "close")]
        let bracket = Bracket("window", opens: steps[0].name, closes: steps[1].name) { canOpen.withLock { $0 } ? [] : [Problem("n2 is still read-only")] }
        try await withJournal { journal, _ in
            try journal.append(JournalEntry(.closed, step: steps[0].name, text: "window"))
            let failure = await #expect(throws: RunFailure.self) { try await Runner(steps, brackets: [bracket]).perform(journal) }
            #expect(failure?.notOpened.map(\.fact) == ["n2 is still read-only"])
            #expect(world.calls == [])
            canOpen.withLock { $0 = true }
            try await Runner(steps, brackets: [bracket]).perform(journal)
            #expect(world.calls == ["perform open", "perform close"])
        }
    }

    @Test("says at an undo why a step leaves nothing")
    func leavesNothing() async throws {
        let world = World(), seen = Mutex<[String]>([])
        try await withJournal { journal, _ in
            let runner = Runner(steps: [ListedStep("7", Put(world: world, thing: "a", leavesNothing: true))]) { event in
                if case .skipped(let id, _, let text) = event { seen.withLock { $0.append("\(id): \(text)") } }
            }
            try await runner.perform(journal)
            #expect(try await runner.undo(journal).isEmpty)
            #expect(seen.withLock { $0 } == ["7 a: nothing to take back: it is left there"])
            #expect(Memory(journal).isUndone("a"))
        }
    }

    @Test("names what a bracket could not open")
    func notOpened() async throws {
        let world = World()
        let steps = [Put(world: world, thing: "open"), Put(world: world, thing: "inside", fails: true)]
        let bracket = Bracket("window", opens: steps[0].name, closes: "close") { [Problem("n2 is still read-only", hint: "do it by hand")] }
        try await withJournal { journal, _ in
            let failure = await #expect(throws: RunFailure.self) { try await Runner(steps, brackets: [bracket]).perform(journal) }
            #expect(failure?.description.contains("NOT OPENED: n2 is still read-only\n  HINT: do it by hand") == true)
            #expect(!journal.entries.contains { $0.event == .opened })
        }
    }
}

@Suite("A journal")
struct JournalTests {
    @Test("drops a torn last line and goes on after the last whole one")
    func tornLine() async throws {
        try await withJournal { journal, path in
            try journal.append(JournalEntry(.fact, key: "lsn", value: .string("0/1")))
            let handle = try #require(FileHandle(forWritingAtPath: path))
            try handle.seekToEnd()
            try handle.write(contentsOf: Data(#"{"at":"2026-"#.utf8))
            try handle.close()
            let again = try Journal.open(at: path)
            try again.append(JournalEntry(.fact, key: "lsn", value: .string("0/2")))
            #expect(try Journal.read(at: path).count == 3)
            #expect(try Memory(again).recall(Fact<String>("lsn")) == "0/2")
        }
    }

    @Test("refuses a damaged line in the middle, and a newer form")
    func damaged() async throws {
        try await withJournal { journal, path in
            try journal.append(JournalEntry(.done))
            let text = try String(contentsOfFile: path, encoding: .utf8)
            func refusal(of text: String) throws -> String? {
                try text.write(toFile: path, atomically: true, encoding: .utf8)
                return #expect(throws: JournalError.self) { try Journal.read(at: path) }?.fact
            }
            #expect(try refusal(of: "garbage\n" + text) == "line 1 of the journal \(path) is not readable")
            #expect(try refusal(of: text + "garbage\n") == "line 3 of the journal \(path) is not readable")
            #expect(
                try refusal(of: text.replacingOccurrences(of: #""v":1"#, with: #""v":2"#)) == "the journal \(path) is of form 2, this pggraft reads 1")
        }
    }

    @Test("keeps times, values and order")
    func roundTrip() async throws {
        try await withJournal { journal, path in
            let facts: [String: JSON] = ["a": .array([.integer(1), .bool(true), .null]), "b": .object(["x": .string("ü\n")])]
            for (key, value) in facts.sorted(by: { $0.key < $1.key }) { try journal.append(JournalEntry(.fact, key: key, value: value)) }
            let read = try Journal.read(at: path)
            #expect(read.map(\.value) == journal.entries.map(\.value))
            #expect(zip(read, journal.entries).allSatisfy { abs($0.at.timeIntervalSince($1.at)) < 0.001 })
        }
    }
}

@Suite("A lock")
struct RunLockTests {
    @Test("refuses a second holder and says who has it")
    func second() throws {
        let directory = NSTemporaryDirectory() + "pggraft-lock-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = RunStore(environment: ["PGGRAFT_STATE_DIR": directory])
        let first = try RunLock(cluster: "app", in: store, holder: Holder())
        let early = #expect(throws: LockTaken.self) { _ = try RunLock(cluster: "app", in: store, holder: Holder()) }
        let me = "\(NSUserName())@\(ProcessInfo.processInfo.hostName), pid \(ProcessInfo.processInfo.processIdentifier), since "
        #expect(early?.fact.hasPrefix("another pggraft works on cluster app: \(me)") == true, "\(String(describing: early))")
        #expect(early?.fact.hasSuffix(", before its run") == true)

        let holder = Holder(run: "20261121-071203-app")
        try first.describe(holder)
        let later = #expect(throws: LockTaken.self) { _ = try RunLock(cluster: "app", in: store, holder: Holder()) }
        #expect(later?.fact == "another pggraft works on cluster app: \(me)\(holder.since.formatted(.iso8601)), run 20261121-071203-app")
        #expect(throws: Never.self) { _ = try RunLock(cluster: "other", in: store, holder: Holder()) }
        withExtendedLifetime(first) {}
    }
}
