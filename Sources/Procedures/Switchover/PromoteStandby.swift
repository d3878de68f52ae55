import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Promote the standby. From the moment that this begins the run only goes forward.
struct PromoteStandby: Step {
    static let name = "promote"
    /// For how long clients were refused, in seconds.
    static let blocked = Fact<Double>("blocked")
    let group: SwitchedGroup
    var title: String { "Promote \(group.new)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        return .needed([Change("\(group.new): pg_ctl promote, then see the new timeline's history file")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), instance = try await group.access.instance(roles.new)
        try await group.requireNoOther(roles, run.memory)
        let promotion: Promotion
        do {
            promotion = try await instance.promote(deadline: .after(.seconds(300)))
        } catch let error as InstanceError {
            // An earlier process of this run may have promoted it, whose signal was on its way.
            guard case .cannotPromote = error, try await group.looksPromoted() else { throw error }
            promotion = try await instance.promotion(deadline: .after(.seconds(300)))
        }
        await group.isOver()
        let text = "\(roles.new) is the primary, on timeline \(promotion.timeline), which left timeline \(promotion.previousTimeline) at \(promotion.switchpoint)"
        guard let blocked = await group.blocked else { return text }
        try run.remember(Self.blocked, blocked.seconds)
        return "\(text); clients were refused for \(blocked.inSeconds)" + (await group.window.summary.map { ", of which until it was stopped: \($0)" } ?? "")
    }

    /// Done, it is left: clients have written there. Begun and not done, the standby is stopped to see for certain that it was not promoted.
    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let roles = try run.recall(SwitchedGroup.roles), instance = try await group.access.instance(roles.new)
        let left = UndoOutcome.left([Self.refusal(roles)])
        if try await group.isPromoted() { return left }
        await group.access.forgetServer(roles.new)
        try await instance.stop(mode: .fast, deadline: .after(.seconds(120)))
        let data = try await instance.controlData(deadline: .after(.seconds(20)))
        try await instance.start(deadline: .after(.seconds(300)))
        return data.state == .shutDownInRecovery ? .undone(["\(roles.new) was not promoted"]) : left
    }

    /// Why a promotion is not taken back.
    static func refusal(_ roles: Roles) -> Problem {
        Problem(
            "\(roles.new) is the primary since this run, and clients may have written there: left alone",
            hint: "to have \(roles.old) as the primary again, switch back: a playbook with `procedure: switchover` and `to: \(roles.old)`")
    }
}
