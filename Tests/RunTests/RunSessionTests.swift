import Foundation
import Rehearsal
import Report
import Synchronization
import Testing

@testable import Run

/// A requirement that counts how often it is looked at.
private struct Counted: Requirement {
    let name: String
    let counter: Counter
    var finding: Finding?
    var error: (any Error)?

    final class Counter: Sendable {
        private let looks = Mutex(0)
        func add() { looks.withLock { $0 += 1 } }
        var count: Int { looks.withLock { $0 } }
    }

    func look(_ memory: Memory) async throws -> [Finding] {
        counter.add()
        if let error { throw error }
        return finding.map { [$0] } ?? [Finding(name, "it is so")]
    }
}

@Suite("A session")
struct RunSessionTests {
    private func toy(_ world: World = World(), fails: Bool = false, waits: Bool = false) -> Toy {
        Toy(world: world, steps: [ListedStep("1", Put(world: world, thing: "a")), ListedStep("2", Put(world: world, thing: "b", fails: fails, waits: waits))])
    }

    private func run(in store: RunStore) throws -> RunSummary {
        let runs = try store.runs()
        guard let run = runs.runs.first, runs.unreadable.isEmpty else { throw Problem("no run") }
        return run
    }

    // MARK: Requirements

    @Test func `a run looks at every requirement once, whatever is asked`() async throws {
        try await withStore { store in
            let counter = Counted.Counter(), console = TestConsole()
            var toy = toy()
            toy.requirements = [RequirementGroup("toys", [Counted(name: "toys", counter: counter), Counted(name: "boxes", counter: counter)])]
            let ending = try await RunSession(toy, in: store, console: console).run()
            #expect(ending.exitStatus == 0)
            #expect(counter.count == 2)
            #expect(console.seen.contains("seen: requirements, all 2 are met"))
        }
    }

    @Test func `what is not met, and what could not be looked at, keeps a run from beginning; all is told at once`() async throws {
        try await withStore { store in
            let counter = Counted.Counter(), console = TestConsole(), world = World()
            var toy = toy(world)
            toy.requirements = [
                RequirementGroup(
                    "toys",
                    [
                        Counted(name: "met", counter: counter),
                        Counted(name: "unmet", counter: counter, finding: Finding("unmet", "it is not so", .notMet(hint: "make it so"))),
                        Counted(name: "broken", counter: counter, error: Broken()),
                    ]),
                RequirementGroup("boxes", [Counted(name: "rests on another", counter: counter, error: NotLooked())]),
            ]
            let sessions = (0..<3).map { [toy] _ in RunSession(toy, in: store, console: console) }
            for ending in [try await sessions[0].check(), try await sessions[1].plan(), try await sessions[2].run()] {
                guard case .mayNotRun(unmet: 2, requirements: 3) = ending else {
                    Issue.record("it ended as \(ending)")
                    continue
                }
                #expect(ending.exitStatus == 1)
            }
            #expect(console.seen.first == "findings: met it is so, unmet it is not so, broken Broken()")
            #expect(console.seen.suffix(2).allSatisfy { $0 == "findings: unmet it is not so, broken Broken()" })
            #expect(!world.calls.contains { $0.hasPrefix("perform") })
            #expect(try store.runs().runs.isEmpty)
        }
    }

    // MARK: Run

    @Test func `a run takes the lock, shows the plan, asks, performs, and ends what it holds`() async throws {
        try await withStore { store in
            let world = World(), console = TestConsole()
            let ending = try await RunSession(toy(world), in: store, console: console).run()
            guard case .done(let name, let words) = ending else { throw Problem("it ended as \(ending)") }
            #expect(words == ["Done with toys."])
            #expect(console.seen == ["plan: Put a, Put b", "began toy", "done: Put a", "done: Put b"])
            #expect(world.calls == ["lock, run unknown", "lock, run known", "perform a", "perform b", "close"])
            let header = try run(in: store).header
            #expect(header.run == name)
            #expect(header.content == "the toys")
            #expect(header.digest == RunOrigin(path: nil, content: "the toys").digest)
            #expect(header.version == pggraftVersion)
            #expect(header.steps == ["a", "b"])
        }
    }

    static let answers: [(answer: Bool?, said: String)] = [(false, "declined"), (nil, "nobody is there to say yes")]

    @Test(arguments: answers.indices)
    func `without a yes nothing is begun`(index: Int) async throws {
        let (answer, said) = Self.answers[index]
        try await withStore { store in
            let world = World(), session = RunSession(toy(world), in: store, console: TestConsole(answer: answer))
            if answer == nil {
                let problem = await #expect(throws: Problem.self) { try await session.run() }
                #expect(problem?.fact == said)
            } else {
                guard case .declined = try await session.run() else { throw Problem("it was not declined") }
            }
            #expect(world.calls == ["lock, run unknown", "close"])
            #expect(try store.runs().runs.isEmpty)
        }
    }

    @Test func `where everything is so already nothing is asked and no run begins`() async throws {
        try await withStore { store in
            let world = World()
            ["a", "b"].forEach(world.add)
            guard case .nothingToDo = try await RunSession(toy(world), in: store, console: TestConsole(answer: nil)).run() else { throw Problem("something was to do") }
            #expect(try store.runs().runs.isEmpty)
        }
    }

    @Test func `a lock that somebody else has is told at once; one that cannot be taken comes behind what is not met`() async throws {
        try await withStore { store in
            var toy = toy()
            toy.lockError = LockTaken("another pggraft works on toys")
            let taken = RunSession(toy, in: store, console: TestConsole())
            let error = await #expect(throws: LockTaken.self) { try await taken.run() }
            #expect(error?.fact == "another pggraft works on toys")

            toy.lockError = Broken()
            let console = TestConsole()
            let broken = RunSession(toy, in: store, console: console)
            await #expect(throws: Broken.self) { try await broken.run() }
            #expect(console.seen == ["plan: Put a, Put b"])

            toy.requirements = [RequirementGroup("toys", [Counted(name: "host", counter: Counted.Counter(), error: Problem("it is down"))])]
            let ending = try await RunSession(toy, in: store, console: console).run()
            #expect(ending.exitStatus == 1)
            #expect(console.seen.last == "findings: host it is down")
        }
    }

    @Test func `a second run waits for the first one's end or undo`() async throws {
        try await withStore { store in
            let world = World()
            let failed = try await RunSession(toy(world, fails: true), in: store, console: TestConsole()).run()
            guard case .failed(let name, let failure, _) = failed else { throw Problem("it ended as \(failed)") }
            #expect(failure.cause is Broken)
            #expect(failed.exitStatus == 1)
            let second = RunSession(toy(world), in: store, console: TestConsole())
            let problem = await #expect(throws: Problem.self) { try await second.run() }
            #expect(problem?.fact == "run \(name) of cluster toys is not finished: failed in step 2 of 2, b")
            let undone = try await RunSession.undo(name, in: store, console: TestConsole()) { _ in toy(world) }
            #expect(undone.exitStatus == 0)
            let third = try await RunSession(toy(world), in: store, console: TestConsole()).run()
            #expect(third.exitStatus == 0)
        }
    }

    // MARK: Resume and undo

    @Test func `resume makes the procedure from what the journal has kept, and says when the playbook has changed`() async throws {
        try await withStore { store in
            let playbook = NSTemporaryDirectory() + "pggraft-playbook-\(UUID().uuidString).yaml"
            defer { try? FileManager.default.removeItem(atPath: playbook) }
            try "as it was".write(toFile: playbook, atomically: true, encoding: .utf8)
            let world = World()
            var first = toy(world, fails: true)
            (first.path, first.content) = (playbook, "as it was")
            let failed = try await RunSession(first, in: store, console: TestConsole()).run()
            #expect(failed.exitStatus == 1)

            func resume() async throws -> (content: String?, seen: [String], ending: Ending) {
                let console = TestConsole(), name = try run(in: store).header.run, kept = Mutex<String?>(nil)
                let ending = try await RunSession.resume(name, in: store, console: console) { header in
                    kept.withLock { $0 = header.content }
                    return toy(world, fails: true)
                }
                return (kept.withLock { $0 }, console.seen, ending)
            }
            let unchanged = try await resume()
            #expect(unchanged.content == "as it was")
            #expect(!unchanged.seen.contains { $0.hasPrefix("note: ") })
            #expect(unchanged.ending.exitStatus == 1)
            let goesOn = "the run goes on with what it was when it began, which is in its journal"
            try "as it is now".write(toFile: playbook, atomically: true, encoding: .utf8)
            let changed = try await resume()
            #expect(changed.content == "as it was")
            #expect(changed.seen.first == "note: \(playbook) was changed since: \(goesOn)")
            try FileManager.default.removeItem(atPath: playbook)
            let gone = try await resume()
            #expect(gone.seen.first == "note: \(playbook) cannot be read any more: \(goesOn)")
        }
    }

    @Test func `what the operator has said with the command is known to whoever takes the run up again, and shown`() async throws {
        try await withStore { store in
            let world = World(), first = Consent(rawValue: "it-is-dead"), second = Consent(rawValue: "so-is-that")
            var toy = toy(world, fails: true)
            toy.consents = [first]
            _ = try await RunSession(toy, in: store, console: TestConsole()).run()
            let name = try run(in: store).header.run
            func memory() throws -> Memory { Memory(entries: try Journal.read(at: run(in: store).journal)) }
            #expect(try memory().consented(to: first))
            #expect(try !memory().consented(to: second))
            _ = try await RunSession.resume(name, in: store, console: TestConsole()) { header in
                let consents = try header.origin().consents
                #expect(consents == [first])
                return toy
            }
            #expect(try !memory().consented(to: second))
            _ = try await RunSession.resume(name, consents: [second], in: store, console: TestConsole()) { _ in toy }
            #expect(try memory().consented(to: first) && memory().consented(to: second))
            let turns = try Timeline(Journal.read(at: run(in: store).journal)).lines.filter { $0.mark == .turn && !$0.details.isEmpty }
            #expect(turns.map { [$0.text] + $0.details } == [["begun", "with --it-is-dead"], ["resumed", "with --so-is-that"]])
        }
    }

    @Test func `what is undone is not gone on with, and an undo needs no lock that is gone`() async throws {
        try await withStore { store in
            let world = World()
            _ = try await RunSession(toy(world), in: store, console: TestConsole()).run()
            let name = try run(in: store).header.run, console = TestConsole()
            var lockless = toy(world)
            lockless.lockError = Broken()
            let ending = try await RunSession.undo(name, in: store, console: console) { [lockless] _ in lockless }
            #expect(ending.exitStatus == 0)
            #expect(console.seen == ["note: The lock that other machines see cannot be taken: Broken()", "undone: b", "undone: a"])
            let problem = await #expect(throws: Problem.self) { try await RunSession.resume(name, in: store, console: console) { _ in toy(world) } }
            #expect(problem?.fact == "run \(name) is undone: it cannot be gone on with")
        }
    }

    @Test(arguments: [true, false, nil])
    func `an undo that takes away what is in use asks first, and changes nothing unless it hears yes`(answer: Bool?) async throws {
        try await withStore { store in
            let world = World()
            _ = try await RunSession(toy(world), in: store, console: TestConsole()).run()
            let summary = try run(in: store), journal = try Journal.read(at: summary.journal), calls = world.calls
            var used = toy(world)
            used.inUse = ["a is played with"]
            let console = TestConsole(answer: answer)
            func undo() async throws -> Ending { try await RunSession.undo(summary.header.run, in: store, console: console) { [used] _ in used } }
            switch answer {
            case true?:
                guard case .undone = try await undo() else { throw Problem("it was not undone") }
                #expect(!world.has("a"))
            case false?:
                guard case .declined = try await undo() else { throw Problem("it went on") }
            case nil:
                let problem = await #expect(throws: Problem.self) { try await undo() }
                #expect(problem?.hint == "run it in a terminal, or with --yes. Nothing was changed.")
            }
            #expect(console.seen.first == "takes away: a is played with")
            guard answer != true else { return }
            #expect(world.has("a"))
            #expect(world.calls == calls + ["close"])
            #expect(try Journal.read(at: summary.journal).count == journal.count)
            // With nothing in use there is nothing to ask.
            used.inUse = []
            guard case .undone = try await undo() else { throw Problem("it was not undone") }
        }
    }

    @Test func `an interruption ends a run and an undo safely, each with its words in the journal`() async throws {
        try await withStore { store in
            let world = World(), console = TestConsole()
            let session = RunSession(toy(world, waits: true), in: store, console: console)
            async let running = session.run()
            try await world.comes(to: "perform b")
            console.interrupt()
            let ending = try await running
            #expect(ending.exitStatus == 130)
            let summary = try run(in: store)
            #expect(summary.state == .interrupted)

            var slow = toy(world)
            slow.steps = [ListedStep("1", Put(world: world, thing: "a", undoWaits: true)), ListedStep("2", Put(world: world, thing: "b"))]
            async let undoing = RunSession.undo(summary.header.run, in: store, console: console) { [slow] _ in slow }
            try await world.comes(to: "undo a")
            console.interrupt()
            guard case .undoInterrupted = try await undoing else { throw Problem("the undo was not interrupted") }
            #expect(try run(in: store).state == .undoInterrupted)
            #expect(try Journal.read(at: summary.journal).last?.text == "interrupted")
        }
    }

    @Test func `a small change that fails is taken back at once, and nothing has to follow`() async throws {
        try await withStore { store in
            let world = World()
            var toy = toy(world, fails: true)
            toy.isTakenBackOnFailure = true
            let ending = try await RunSession(toy, in: store, console: TestConsole()).run()
            guard case .takenBack(_, let failure, left: let left) = ending else { throw Problem("it ended as \(ending)") }
            #expect(failure.cause is Broken)
            #expect(left.isEmpty && ending.exitStatus == 1)
            #expect(!world.has("a"))
            #expect(try run(in: store).isOver)
        }
    }

    @Test func `an interruption while a small change is taken back ends that safely too`() async throws {
        try await withStore { store in
            let world = World(), console = TestConsole()
            var toy = toy(world)
            toy.steps = [ListedStep("1", Put(world: world, thing: "a", undoWaits: true)), ListedStep("2", Put(world: world, thing: "b", fails: true))]
            toy.isTakenBackOnFailure = true
            let session = RunSession(toy, in: store, console: console)
            async let running = session.run()
            try await world.comes(to: "undo a")
            console.interrupt()
            guard case .undoInterrupted(let name) = try await running else { throw Problem("taking back was not interrupted") }
            let summary = try run(in: store)
            #expect(summary.header.run == name && summary.state == .undoInterrupted)
        }
    }

    @Test func `a playbook is the same as long as its bytes are`() async throws {
        try await withStore { store in
            let playbook = NSTemporaryDirectory() + "pggraft-playbook-\(UUID().uuidString).yaml", text = "\u{FEFF}as it was\r\nin two lines\r\n"
            defer { try? FileManager.default.removeItem(atPath: playbook) }
            try text.write(toFile: playbook, atomically: true, encoding: .utf8)
            var toy = toy(fails: true)
            (toy.path, toy.content) = (playbook, text)
            _ = try await RunSession(toy, in: store, console: TestConsole()).run()
            let header = try run(in: store).header
            #expect(header.playbookChange == nil)
        }
    }
}
