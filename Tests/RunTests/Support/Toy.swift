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
    /// Why its lock cannot be had.
    var lockError: (any Error)?

    let name = "toy"
    func origin() -> RunOrigin { RunOrigin(path: path, content: content) }
    func brackets(_ memory: Memory) -> [Bracket] { bracket.map { [$0] } ?? [] }

    func inUse(_ memory: Memory) -> [String] { inUse }

    func takeLock(holder: Holder) async throws {
        if let lockError { throw lockError }
        world.call("lock, run \(holder.run == nil ? "unknown" : "known")")
    }

    func closingWords(run: String, _ memory: Memory) -> [String] { ["Done with toys."] }
    func close() async { world.call("close") }
}

extension RunStore {
    func begin(_ toy: Toy, steps: [String] = [], now: Date = Date()) throws -> (header: RunHeader, journal: Journal) {
        try begin(toy, from: toy.origin(), steps: steps, now: now)
    }
}
