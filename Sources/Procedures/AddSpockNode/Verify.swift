import EventLoop
import Foundation
import ProcedureKit
import Report
import Run
import Spock

/// List all nodes from every node, and prove that nothing was lost.
struct Verify: Step {
    static let name = "verify"
    /// What the proof has said.
    static let said = Fact<String>("proof")
    /// How many tables could not be compared, or only in a sample.
    static let notInWhole = Fact<Int>("tables not compared in whole")

    let mesh: SpockMesh
    let proof: Proof

    /// What is said after a run that came to its end with it.
    static func closingWords(_ memory: Memory) throws -> [String] {
        guard let number = try memory.recall(notInWhole), number > 0 else { return ["Done. Nothing was lost."] }
        return ["Done. Nothing was lost in what was compared; \(number == 1 ? "a table was" : "\(number) tables were") not compared, or only in a sample: see above."]
    }
    var title: String { "List all nodes from \(list(mesh.nodes)), and prove that nothing was lost" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let said = try memory.recall(Self.said) { return .done(said) }
        return .needed(proof.changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        for node in mesh.nodes { try run.creating(Created("table", on: node, "pggraft.canary")) }
        var before = try run.memory.recall(CreateSlots.exceptionsBefore) ?? [:]
        before[mesh.newNode] = try run.memory.recall(CreateNewNode.before)?.exceptions
        let proven = try await proof.make(since: before, tell: { run.note($0) }) { run.progress($0, fraction: $1) }
        let carried = try run.memory.recall(CopiedDatabases.carried) ?? []
        let text = ([proven.text] + carried.words(on: mesh.newNode, copyOf: mesh.source, mesh: mesh.database)).joined(separator: "\n")
        try run.remember(Self.notInWhole, proven.comparison.notCompared + proven.comparison.sampled)
        try run.remember(Self.said, text)
        return text
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        // That of the new node goes with its data.
        await mesh.takeBackCanaries(try run.created.filter { $0.place != mesh.newNode })
    }
}
