import EventLoop
import ProcedureKit
import RemoteHost
import Report
import Run

/// Run a command of the operator's, on the machine that pggraft runs on.
struct RunHook: LeavesNothing {
    enum Moment: String, Sendable { case before, after }

    static let name = "hook"
    let moment: Moment
    let command: String
    /// `the switchover`.
    let what: String
    /// The old primary and the new one, once that is decided.
    let nodes: @Sendable (Memory) throws -> (old: String, new: String)?
    /// The primary that there is by now, where the run has nothing to do any more before it; `nil` before that.
    let promoted: @Sendable (Memory) async throws -> String?
    /// How things stand where the hook before it has failed.
    let standing: String
    let access: ClusterAccess
    var name: String { "hook-\(moment.rawValue)" }
    var title: String { "Run the hook \(moment.rawValue) \(what)" }
    var leavesNothing: String { "what a hook does is the operator's" }

    private var ended: Fact<Bool> { Fact("hook \(moment.rawValue) has run") }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try memory.recall(ended) == true { return .done("it has run") }
        // A run that finds the new primary in its place has no reason to tell anybody.
        if let new = try await promoted(memory), try moment == .before || nodes(memory) == nil { return .done("\(new) is the primary") }
        return .needed([Change("here: \(Redaction.redacted(command, byAnyMention: true))")])
    }

    func perform(_ run: StepRun) async throws -> String {
        guard let nodes = try nodes(run.memory) else { throw Problem("it is not decided who is the new primary", hint: "this is a mistake in pggraft: report it") }
        let old = try access.roster.entry(nodes.old), new = try access.roster.entry(nodes.new)
        let script = Command.script(command).with("PGGRAFT_OLD_PRIMARY", old.name).with("PGGRAFT_OLD_ADDRESS", old.address)
            .with("PGGRAFT_NEW_PRIMARY", new.name).with("PGGRAFT_NEW_ADDRESS", new.address).with("PGGRAFT_NEW_PORT", "\(new.port)")
        let result = try await LocalHost().run(script, deadline: .after(.seconds(300)))
        guard result.succeeded else {
            let said = (result.errorText.isEmpty ? result.text : result.errorText).onOneLine
            throw Problem(
                "the hook \(moment.rawValue) \(what) ended with \(result.status)\(said.isEmpty ? "" : ": \(Redaction.redacted(said, byAnyMention: true))")",
                hint: moment == .before ? "\(standing); correct it, then resume: it runs again" : "\(new.name) is the primary; correct the hook, then resume: it runs again")
        }
        try run.remember(ended, true)
        return "it ended with 0"
    }
}
