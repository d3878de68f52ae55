import EventLoop
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Show that nothing is left of the node, and that the members replicate to each other with nothing lost.
struct VerifyRemoval: Step {
    static let name = "verify"
    /// What the proof has said.
    static let said = Fact<String>("proof")
    /// How many tables could not be compared, or only in a sample.
    static let notInWhole = Fact<Int>("tables not compared in whole")

    let leaving: LeavingNode
    let proof: Proof
    private var node: String { leaving.name }
    var title: String {
        "Show that nothing is left of \(node) on \(list(leaving.members))" + (leaving.members.count > 1 ? ", and that nothing was lost among them" : "")
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let said = try memory.recall(Self.said) { return .done(said) }
        return .needed(
            [Change("\(list(leaving.members)): no subscription, slot, origin, node or progress of \(node)")] + (leaving.members.count > 1 ? proof.changes : []))
    }

    func perform(_ run: StepRun) async throws -> String {
        for member in leaving.members { try run.creating(Created("table", on: member, "pggraft.canary")) }
        let look = try await leaving.look(run.memory)
        if let member = leaving.members.first(where: { look.traces[$0]?.isEmpty == false }) {
            throw Problem("\(member) has something of \(node) again", hint: "see spock.node, spock.subscription and pg_replication_slots there; somebody works on the mesh")
        }
        var lines = ["\(list(leaving.members)): nothing of \(node)"] + leaving.unknownSlots(look) + leaving.shadows(look)
        if leaving.members.count > 1 {
            let before = try run.memory.recall(LeavingNode.exceptionsBefore) ?? [:]
            let proven = try await proof.make(since: before, tell: { run.note($0) }) { run.progress($0, fraction: $1) }
            lines.append(proven.text)
            try run.remember(Self.notInWhole, proven.comparison.notCompared + proven.comparison.sampled)
        }
        let text = lines.joined(separator: "\n")
        try run.remember(Self.said, text)
        return text
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { await leaving.takeBackCanaries(try run.created) }
}

extension LeavingNode {
    /// The slots that stay because nobody knows whose they are, a line each.
    func unknownSlots(_ look: Look) -> [String] {
        members.flatMap { member in
            (look.traces[member]?.unknownSlots ?? []).map {
                "\(member): the slot \($0.name) is read by nobody, and nothing says whose it is: left. It keeps WAL; if it was \(name)'s: "
                    + "SELECT pg_drop_replication_slot('\($0.name)')"
            }
        }
    }

    /// What Spock goes on showing of it, a line each.
    func shadows(_ look: Look) -> [String] {
        members.filter { member in look.progress[member].map { !$0.isTable && $0.rows > 0 } ?? false }
            .map { "\($0): spock.progress shows \(name) until the server is restarted; it does no harm" }
    }
}
