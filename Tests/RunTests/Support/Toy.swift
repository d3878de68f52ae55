import Foundation
import Report
import Synchronization

@testable import Run

/// A procedure over a ``World``.
struct Toy: Procedure {
    var world = World()
    var cluster = "toys"
    var steps: [ListedStep] = []
    var requirements: [RequirementGroup] = []
    var bracket: Bracket?
    var inUse: [String] = []
    var isTakenBackOnFailure = false
    var path: String?
    var content = "the toys"
    var consents: [Consent] = []
    /// Why its lock cannot be had.
    var lockError: (any Error)?
    /// What is left for an undo, as long as the world has it.
    var left: [Created] = []
    /// Of which removing fails, or never ends.
    var stuck: (thing: String, forEver: Bool)?

    let name = "toy"
    func origin() -> RunOrigin { RunOrigin(path: path, content: content, consents: consents) }
    func brackets(_ memory: Memory) -> [Bracket] { bracket.map { [$0] } ?? [] }

    func inUse(_ memory: Memory) -> [String] { inUse }

    func takeLock(holder: Holder) async throws {
        if let lockError { throw lockError }
        world.call("lock, run \(holder.run == nil ? "unknown" : "known")")
    }

    func leftForUndo(_ memory: Memory) async throws -> [Created] {
        if let lockError { throw lockError }
        return left.filter { world.has($0.name) }
    }

    func removeLeft(_ thing: Created, _ memory: Memory) async throws {
        world.call("remove \(thing.name)")
        if let stuck, stuck.thing == thing.name {
            if stuck.forEver { try await Task.sleep(for: .seconds(600)) }
            throw Broken()
        }
        world.remove(thing.name)
    }

    func closingWords(run: String, _ memory: Memory) -> [String] { ["Done with toys."] }
    func close() async { world.call("close") }
}

extension RunStore {
    func begin(_ toy: Toy, steps: [String] = [], now: Date = Date()) throws -> (header: RunHeader, journal: Journal) {
        try begin(toy, from: toy.origin(), steps: steps, now: now)
    }
}
