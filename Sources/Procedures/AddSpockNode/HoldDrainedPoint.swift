import ProcedureKit
import Report
import Run

/// Keep every member visible as it is at the drained point, for the proof.
struct HoldDrainedPoint: LeavesNothing {
    static let name = "drained-point"
    let mesh: SpockMesh
    let node: JoiningNode
    let window: ClosedWindow
    let point: DrainedPoint
    var title: String { "Hold the drained point on \(list(mesh.members)) for the proof" }
    var leavesNothing: String { "the transactions end with pggraft" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted, await !window.isOpen { return .done("the proof makes a drained point of its own") }
        return .needed([Change("\(list(mesh.members)): BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY, kept open until the proof is done, without a lock")])
    }

    func perform(_ run: StepRun) async throws -> String {
        try await point.hold(mesh.members, deadline: try await window.deadline())
        await window.book("snapshots")
        return "what is compared later is what every node holds now"
    }
}
