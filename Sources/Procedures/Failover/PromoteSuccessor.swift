import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Promote the standby.
struct PromoteSuccessor: Step {
    static let name = "promote"
    let failed: FailedGroup
    var title: String { "Promote \(failed.wanted ?? "the standby that has most")" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let new = try await failed.promoted(memory), try memory.recall(FailedGroup.promotion) != nil || !memory.began(Self.self) { return .done("\(new) is the primary") }
        return .needed([Change("\(try await failed.succession(memory).new): pg_ctl promote, then see the new timeline's history file")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let succession = try run.recall(FailedGroup.succession), instance = try await failed.access.instance(succession.new)
        let isDone = try await failed.promoted(run.memory) != nil
        if !isDone { try await failed.requireNoOther(than: succession.new, run.memory) }
        let promotion = isDone ? try await instance.promotion(deadline: .after(.seconds(300))) : try await instance.promote(deadline: .after(.seconds(300)))
        try run.remember(FailedGroup.promotion, FailedGroup.Left(timeline: promotion.timeline, from: promotion.previousTimeline, at: promotion.switchpoint))
        return "\(succession.new) is the primary, on timeline \(promotion.timeline), which left timeline \(promotion.previousTimeline) at \(promotion.switchpoint)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let new = try await failed.promoted(run.memory) else { return .undone([]) }
        return .left([Self.refusal(new, failed.old)])
    }

    static func refusal(_ new: String, _ old: String) -> Problem {
        Problem(
            "\(new) is the primary since this run, and clients may have written there: left alone",
            hint: "bring \(old) back with `procedure: rejoin`, then `procedure: switchover` with `to: \(old)`")
    }
}
