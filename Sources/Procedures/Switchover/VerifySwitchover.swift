import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// Verification of replication: one primary, everybody streams on its timeline and replays what it writes.
struct VerifySwitchover: LeavesNothing {
    static let name = "verify"
    static let words = Fact<[String]>("who is what")
    let group: SwitchedGroup
    var title: String { "Verify replication: one primary, and everybody streams on its timeline" }
    var leavesNothing: String { "it only looked" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try memory.recall(Self.words) != nil { return .done("seen") }
        guard try await group.roles(memory) != nil else { return .done(group.promoted) }
        return .needed([Change("every node: role, timeline, positions, slots")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), deadline = Deadline.after(.seconds(120))
        let streaming = try await wait(for: "\(list(roles.followers.map(\.name))) to stream on the timeline of \(roles.new)", until: deadline, every: .milliseconds(200)) {
            () -> Look<GroupView> in
            let view = try await group.group.look(), primary = try view.primary()
            guard primary.name == roles.new else { throw Problem("\(primary.name) is the primary, not \(roles.new)", hint: "somebody has promoted it since") }
            let standbys = view.nodes.filter { $0.name != primary.name }
            let late = standbys.filter { $0.look?.recovery.isStreaming != true || $0.look?.timeline != primary.look?.timeline }
            return late.isEmpty ? .found(view) : .notYet(late.map { "\($0.name): \(view.description(of: $0))" }.joined(separator: "; "))
        }
        try await group.access.awaitReplay(by: streaming.nodes.map(\.name).filter { $0 != roles.new }, of: roles.new, deadline: deadline, run)
        let view = try await group.group.look()
        try run.remember(Self.words, view.nodes.map { "\($0.name): \(view.description(of: $0))" })
        return view.nodes.map { "\($0.name): \(view.description(of: $0))" }.joined(separator: "; ")
    }
}
