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
    var isTakenBackOnFailure = false
    var path: String?
    var content = "the toys"
    /// Why its lock cannot be had.
    var lockError: (any Error)?

    let name = "toy"
    func origin() -> RunOrigin { RunOrigin(path: path, content: content) }
    func brackets(_ memory: Memory) -> [Bracket] { bracket.map { [$0] } ?? [] }

    func takeLock(holder: Holder) async throws {
        if let lockError { throw lockError }
        world.call("lock, run \(holder.run == nil ? "unknown" : "known")")
    }

    func closingWords(run: String) -> [String] { ["Done with toys."] }
    func close() async { world.call("close") }
}

extension RunStore {
    func begin(_ toy: Toy, steps: [String] = [], now: Date = Date()) throws -> (header: RunHeader, journal: Journal) {
        try begin(toy, from: toy.origin(), steps: steps, now: now)
    }
}

/// An operator who answers what the test says, and interrupts when it says so.
final class TestConsole: Console {
    private let answer: Bool?
    private let state = Mutex<(seen: [String], task: (@Sendable () -> Void)?)>(([], nil))

    init(answer: Bool? = true) { self.answer = answer }

    var seen: [String] { state.withLock { $0.seen } }
    func interrupt() { state.withLock { $0.task }?() }

    func show(_ event: SessionEvent) {
        let text: String? =
            switch event {
            case .looking: nil
            case .findings(let findings): "findings: " + findings.map { "\($0.requirement) \($0.found)" }.joined(separator: ", ")
            case .plan(let plan): "plan: " + plan.map(\.title).joined(separator: ", ")
            case .began(let header, _): "began \(header.procedure)"
            case .note(let text): "note: \(text)"
            case .run(.done(_, let title, _, _)): "done: \(title)"
            case .run(.skipped(let id, _, let seen)): "seen: \(id.name), \(seen)"
            case .run(.undone(let id, _, _)): "undone: \(id.name)"
            case .run(.failed(let id, _, let problem)): "failed: \(id.name), \(problem)"
            case .run: nil
            }
        guard let text else { return }
        state.withLock { $0.seen.append(text) }
    }

    func wantsToGoOn() -> Bool? { answer }

    func interruptibly<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let task = Task { try await work() }
        state.withLock { $0.task = { task.cancel() } }
        return try await task.value
    }
}
