import EventLoop
import Foundation
import Report
import Synchronization

@testable import Run

/// A step over a set of names: done when its own is in the set.
final class World: Sendable {
    private let state = Mutex<(things: Set<String>, calls: [String])>(([], []))
    func has(_ thing: String) -> Bool { state.withLock { $0.things.contains(thing) } }
    func add(_ thing: String) { state.withLock { _ = $0.things.insert(thing) } }
    func remove(_ thing: String) { state.withLock { _ = $0.things.remove(thing) } }
    var all: String { state.withLock { $0.things.sorted().joined(separator: ", ") } }
    func call(_ text: String) { state.withLock { $0.calls.append(text) } }
    var calls: [String] { state.withLock { $0.calls } }

    /// Waits until `call` was made.
    func comes(to call: String) async throws {
        try await wait(for: "\(call)", until: .after(.seconds(60)), every: .milliseconds(2)) {
            calls.contains(call) ? .found(()) : .notYet(calls.joined(separator: ", "))
        }
    }
}

struct Broken: Error {}

struct Put: Step {
    let world: World
    let thing: String
    var fails = false
    var waits = false
    var leavesNothing = false
    var undoWaits = false
    static let name = "put"
    var name: String { thing }
    var title: String { "Put \(thing)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        world.has(thing) ? .done("\(thing) is there") : .needed([Change("put \(thing)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        world.call("perform \(thing)")
        try run.creating(Created("thing", on: "world", thing))
        if waits { try await Task.sleep(for: .seconds(600)) }
        if fails { throw Broken() }
        world.add(thing)
        return "\(thing) put"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        world.call("undo \(thing)")
        if undoWaits { try await Task.sleep(for: .seconds(600)) }
        world.remove(thing)
        if leavesNothing { return .nothing(because: "it is left there") }
        return .undone(try run.memory.created(by: name).map(\.description))
    }
}

func withJournal(_ body: (Journal, String) async throws -> Void) async throws {
    let directory = NSTemporaryDirectory() + "pggraft-run-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/run.jsonl"
    let header = RunHeader(
        run: "r", cluster: "c", procedure: "p", startedBy: "me@here", steps: ["a", "b", "c"], from: RunOrigin(path: nil, content: "three things"))
    try await body(try Journal.create(at: path, header: header), path)
}

extension Runner {
    /// Of steps that no document numbers.
    init(_ steps: [any Step], brackets: [Bracket] = []) {
        self.init(steps: steps.map { ListedStep("", $0) }, brackets: brackets)
    }
}
