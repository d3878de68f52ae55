import Rehearsal
import Run
import Testing

/// A step that is wrong in one way.
private struct Faulty: Step {
    enum Fault: Sendable {
        case none
        case looksBeforeItLeaps, announcesTooLate, isNotSeen, isNotTakenBack, isTakenBackOnce
    }

    let world: World
    let fault: Fault
    static let name = "faulty"
    var title: String { "Put a thing" }
    static let isPut = Fact<Bool>("put")

    func inspect(_ memory: Memory) async throws -> Inspection {
        if fault == .looksBeforeItLeaps { world.add("a look") }
        return world.has("thing") && fault != .isNotSeen ? .done("it is there") : .needed([Change("put it")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let thing = Created("thing", on: "world", "thing")
        if fault != .announcesTooLate { try run.creating(thing) }
        world.add("thing")
        if fault == .announcesTooLate { try run.creating(thing) }
        try run.remember(Self.isPut, true)
        return "put"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        if fault == .isTakenBackOnce, !world.has("thing"), try run.memory.recall(Self.isPut) == true { throw Broken() }
        if fault != .isNotTakenBack, try !run.created.isEmpty { world.remove("thing") }
        return .undone([])
    }
}

@Suite("Taking a procedure through every moment")
struct EveryMomentTests {
    private func failures(_ fault: Faulty.Fault) async throws -> [String] {
        let world = World()
        return try await EveryMoment(
            of: { _ in Toy(world: world, steps: [ListedStep("1", Faulty(world: world, fault: fault)), ListedStep("2", Put(world: world, thing: "b"))]) },
            world: { world.all }
        ).failures()
    }

    @Test func `a procedure that is right everywhere has no failures`() async throws {
        #expect(try await failures(.none) == [])
    }

    @Test(
        "a step that is wrong is found out, at the moment where that shows",
        arguments: [
            (.looksBeforeItLeaps, "planned: the world is\na look\nand should be\n"),
            (.isNotSeen, "run again: it ended as "),
            (.isNotTakenBack, "run and undone: the world is\nthing\nand should be\n"),
            (.announcesTooLate, "killed in faulty before its line 1, then resumed and undone: the world is\nthing\nand should be\n"),
            (.isTakenBackOnce, "the undo killed in faulty when it is undone, then undone again: it ended as undone("),
        ] as [(Faulty.Fault, String)])
    fileprivate func wrong(_ row: (fault: Faulty.Fault, text: String)) async throws {
        let found = try await failures(row.fault)
        #expect(found.first?.hasPrefix(row.text) == true, "\(found)")
    }
}
