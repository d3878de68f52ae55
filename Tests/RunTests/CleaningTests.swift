import Foundation
import Rehearsal
import Report
import Testing

@testable import Run

@Suite("Removing what runs have left") struct CleaningTests {
    /// A run that is finished and has kept two files.
    private func finished(in store: RunStore) async throws -> (toy: Toy, run: RunSummary) {
        let world = World(), things = ["a", "b"].map { Created("original", on: "n1", $0) }
        let toy = Toy(world: world, steps: [ListedStep("1", Put(world: world, thing: "c"))], left: things)
        guard case .done(let name, _) = try await RunSession(toy, in: store, console: TestConsole()).run() else { throw Problem("it is not done") }
        things.forEach { world.add($0.name) }
        return (toy, try store.run(name))
    }

    private func leftInPart(_ why: String, _ run: RunSummary, _ state: String, orByHand: Bool = true) -> String {
        "not removed: \(run.header.run), \(why)\n\(state): an undo cannot put all back any more, although the run is listed as finished\n"
            + "  HINT: `pggraft clean \(run.header.run)` removes the rest."
            + (orByHand ? "\n  HINT: where a host of it is gone for good, remove its journal by hand: \(run.journal)" : "")
    }

    @Test(arguments: [("a", "the first of 2 previous versions may be removed"), ("b", "1 of 2 previous versions is removed")])
    func `what is cut off says what state it leaves, and is done to its end when it is called again`(stuck: String, state: String) async throws {
        try await withStore { store in
            var (toy, run) = try await finished(in: store)
            toy.stuck = (stuck, forEver: false)
            let console = TestConsole()
            let ending = try await RunSession.clean([], in: store, console: console) { [toy] _ in toy }
            guard case .cleaned(0, 1) = ending else { throw Problem("\(ending)") }
            #expect(console.seen.last == leftInPart("Broken()", run, state))
            #expect(toy.world.has("b") && toy.world.has("a") == (stuck == "a"))
            #expect(try store.run(run.header.run).state == .finished)

            toy.stuck = nil
            guard case .cleaned(1, 0) = try await RunSession.clean([run.header.run], in: store, console: TestConsole(), make: { [toy] _ in toy }) else {
                throw Problem("it is not removed")
            }
            #expect(toy.world.all == "c")
            #expect(try store.runs().runs.isEmpty)
        }
    }

    @Test func `so does one that is interrupted, which begins with no other run`() async throws {
        try await withStore { store in
            var (toy, run) = try await finished(in: store)
            let (_, other) = try await finished(in: store)
            toy.stuck = ("b", forEver: true)
            let console = TestConsole(), names = [run, other].map(\.header.run)
            let cleaning = Task { [toy] in try await RunSession.clean(names, in: store, console: console) { _ in toy } }
            try await toy.world.comes(to: "remove b")
            console.interrupt()
            await #expect(throws: CancellationError.self) { try await cleaning.value }
            #expect(console.seen.last == leftInPart("interrupted", run, "1 of 2 previous versions is removed", orByHand: false))
            #expect(toy.world.calls.count { $0.hasPrefix("remove") } == 2)
            #expect(try store.runs().runs.count == 2)
        }
    }

    @Test func `a run whose host is not reached says what to do where it is gone for good`() async throws {
        try await withStore { store in
            var (toy, run) = try await finished(in: store)
            toy.lockError = Problem("n1: no route to host", hint: "look whether it is up")
            let console = TestConsole()
            guard case .cleaned(0, 1) = try await RunSession.clean([], in: store, console: console, make: { [toy] _ in toy }) else { throw Problem("\(console.seen)") }
            #expect(
                console.seen == [
                    "not removed: \(run.header.run), n1: no route to host\n  HINT: look whether it is up\n"
                        + "  HINT: where a host of it is gone for good, remove its journal by hand: \(run.journal)"
                ])
        }
    }

    @Test func `a journal that cannot be read is named, as the list of runs does`() async throws {
        try await withStore { store in
            let (toy, run) = try await finished(in: store)
            try Data("no journal\n{}\n".utf8).write(to: URL(fileURLWithPath: store.directory + "/20261128-070000-app.jsonl"))
            let console = TestConsole(), error = try #require(try store.runs().unreadable.first?.error)
            let ending = try await RunSession.clean([], in: store, console: console) { _ in toy }
            guard case .cleaned(1, 1) = ending else { throw Problem("\(ending)") }
            #expect(console.seen.first == "not removed: 20261128-070000-app.jsonl, \(Problem(explaining: error))")
            #expect(console.seen.last == "removed: \(run.header.run)")
            // What was asked for by its name has nothing to do with it.
            let (again, other) = try await finished(in: store)
            guard case .cleaned(1, 0) = try await RunSession.clean([other.header.run], in: store, console: TestConsole(), make: { _ in again }) else {
                throw Problem("it is not removed")
            }
        }
    }

    @Test func `a run that is named twice is removed once`() async throws {
        try await withStore { store in
            let (toy, run) = try await finished(in: store), name = run.header.run, console = TestConsole()
            let ending = try await RunSession.clean([name, name, String(name.dropLast())], in: store, console: console) { _ in toy }
            guard case .cleaned(1, 0) = ending else { throw Problem("\(ending) \(console.seen)") }
            #expect(console.seen == ["leavings: \(name), original a on n1, original b on n1", "removed: \(name)"])
        }
    }
}
