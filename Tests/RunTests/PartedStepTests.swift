import Rehearsal
import Report
import Testing

@testable import Run

/// Puts the thing of a part, and keeps under the same name for every part what it was.
private struct PutOfPart: Step {
    static let name = "put-of-part"
    private static let kept = Fact<String>("thing")

    let world: World
    let thing: String
    var fails = false
    /// What has to be there before; a part that is performed before its turn does not find it.
    var after: String?
    var title: String { "Put \(thing)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try memory.recall(Self.kept).map({ $0 != thing }) == true { throw Problem("\(thing): the fact of another part") }
        if try memory.created(by: Self.name).contains(where: { $0.name != thing }) { throw Problem("\(thing): a thing of another part") }
        return world.has(thing) ? .done("\(thing) is there") : .needed([Change("put \(thing)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        if let after, !world.has(after) { throw Problem("\(thing): \(after) is not there") }
        if fails { throw Problem("\(thing) cannot be put") }
        #expect(run.memory.began(Self.self))
        try run.creating(Created("thing", on: "world", thing))
        world.add(thing)
        try run.remember(Self.kept, thing)
        #expect(try run.recall(Self.kept) == thing)
        return "put \(thing)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        #expect(try run.created.allSatisfy { $0.name == thing })
        if fails { throw Problem("\(thing) cannot be taken back") }
        guard try !run.created.isEmpty else { return .undone([]) }
        world.remove(thing)
        return .undone(["\(thing) is gone"])
    }
}

@Suite("A step of several parts")
struct PartedStepTests {
    private func step(_ world: World, _ parts: [String], sideBySide: Bool = true, failing: Set<String> = [], after: [String: String] = [:]) -> PartedStep {
        PartedStep("Put \(list(parts))", of: parts.map { ($0, PutOfPart(world: world, thing: $0, fails: failing.contains($0), after: after[$0])) }, sideBySide: sideBySide)
    }

    @Test(arguments: [true, false]) func `is right at every moment, also between two of its parts`(_ sideBySide: Bool) async throws {
        let world = World()
        let failures = try await EveryMoment(
            of: { _ in Toy(world: world, steps: [ListedStep("", step(world, ["a", "b", "c"], sideBySide: sideBySide)), ListedStep("", Put(world: world, thing: "d"))]) },
            world: { world.all }
        ).failures()
        #expect(failures == [])
    }

    @Test func `performs the parts that need it, and no part for another's sake`() async throws {
        let world = World()
        world.add("b")
        try await withJournal { journal, path in
            try await Runner(steps: [ListedStep("", step(world, ["a", "b", "c"], failing: ["b"]))]).perform(journal)
            let began = try Journal.read(at: path).filter { $0.event == .intent }.compactMap(\.part)
            #expect(began.sorted() == ["a", "c"])
            #expect(["a", "b", "c"].map { Memory(journal).of($0).began("put-of-part") } == [true, false, true])
            #expect(try Memory(journal).created().map(\.name).sorted() == ["a", "c"])
            #expect(try Memory(journal).recall(Fact<String>("thing")) == nil)
        }
    }

    @Test func `one that fails does not keep the others, and is named; a resumed run goes on with it alone`() async throws {
        let world = World()
        try await withJournal { journal, path in
            let failure = await #expect(throws: RunFailure.self) {
                try await Runner(steps: [ListedStep("", step(world, ["a", "b", "c"], failing: ["a"]))]).perform(journal)
            }
            #expect(failure?.fact.contains("a cannot be put") == true)
            #expect(world.has("b") && world.has("c"))
            let both = await #expect(throws: RunFailure.self) {
                try await Runner(steps: [ListedStep("", step(World(), ["a", "b"], failing: ["a", "b"]))]).perform(journal)
            }
            #expect(both?.fact.contains("a cannot be put") == true && both?.fact.contains("b cannot be put") == true)
            try await Runner(steps: [ListedStep("", step(world, ["a", "b", "c"]))]).perform(journal)
            #expect(try Journal.read(at: path).last { $0.event == .done }?.text == "put a")
        }
    }

    @Test func `those that rest on each other go one after the other`() async throws {
        let world = World()
        try await withJournal { journal, _ in
            try await Runner(steps: [ListedStep("", step(world, ["a", "b", "c"], sideBySide: false, after: ["b": "a", "c": "b"]))]).perform(journal)
            #expect(world.has("c"))
        }
    }

    @Test func `what cannot be taken back of one is named, the others are, and what was is left alone the next time`() async throws {
        let world = World()
        try await withJournal { journal, _ in
            try await Runner(steps: [ListedStep("", step(world, ["a", "b"]))]).perform(journal)
            let left = try await Runner(steps: [ListedStep("", step(world, ["a", "b"], failing: ["b"]))]).undo(journal)
            #expect(left.map(\.fact) == ["b cannot be taken back"])
            #expect(!world.has("a") && world.has("b"))
            // Somebody else's by now.
            world.add("a")
            #expect(try await Runner(steps: [ListedStep("", step(world, ["a", "b"]))]).undo(journal).isEmpty)
            #expect(world.has("a") && !world.has("b"))
        }
    }

    @Test func `stands in a timeline as one step`() async throws {
        let world = World()
        try await withJournal { journal, _ in
            try await Runner(steps: [ListedStep("", step(world, ["a", "b"]))]).perform(journal)
            _ = try await Runner(steps: [ListedStep("", step(world, ["a", "b"]))]).undo(journal)
            let lines = try Timeline(journal.entries).lines.filter { $0.mark == .done || $0.mark == .failed || $0.mark == .undone }
            #expect(lines.map(\.mark) == [.done, .undone])
        }
    }
}
