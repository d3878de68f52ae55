import Instance
import PostgresClient
import ProcedureKit
import Report
import Server

/// The primary that a switchover has stopped, as it is found by whoever goes back to it, or goes on without it: its files, and the other nodes.
///
/// The journal knows what the run has done. Since then others may have been at work.
struct OldPrimary: Sendable {
    let name: String
    /// What its directory says where it has the mark of a standby; `nil` where it has none.
    let marked: ControlData?
    /// Where the checkpoint is that the run has seen as it stopped; `nil` where it has not come as far.
    let checkpoint: LSN?
    /// All others of the group.
    let others: GroupView

    /// Whether it is what this run has stopped and marked: nothing was written there since, by whoever has started it as a standby.
    private var isOurs: Bool {
        guard let marked, let checkpoint else { return false }
        return marked.checkpoint == checkpoint && [.shutDown, .shutDownInRecovery, .inArchiveRecovery].contains(marked.state)
    }

    private func words(_ data: ControlData) -> String { "\(data.state.rawValue), timeline \(data.timeline), checkpoint \(data.checkpoint)" }

    private static let mark = "standby.signal (until 11: recovery.conf)"

    /// Why it may not be started as a primary again; `nil` where it may.
    func obstacleToReturn() -> Problem? {
        if let primary = others.nodes.first(where: \.isPrimary) {
            return Problem(
                "\(primary.name) is the primary (\(others.description(of: primary))): \(name) is not started as another one, and left as it is",
                hint: "have it follow \(primary.name): `procedure: rejoin`, then on \(name): ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf();")
        }
        guard let marked else { return nil }
        let byHand = "where nobody else is the primary: stop \(name), remove \(Self.mark) from its data directory, start it, and resume or undo"
        guard isOurs else {
            return Problem(
                "\(name) is a standby (\(words(marked))), and not as this run has left it\(checkpoint.map { " (shut down, checkpoint \($0))" } ?? ""): it is left as it is",
                hint: "see who is the primary: `pggraft status`; \(byHand)")
        }
        if let ahead = others.nodes.first(where: { $0.look?.timeline ?? 0 > marked.timeline }) {
            return Problem(
                "\(ahead.name) is on timeline \(ahead.look?.timeline ?? 0), and \(name) on \(marked.timeline): somebody was promoted, and \(name) is left as it is",
                hint: "see who is the primary: `pggraft status`; have \(name) follow it: `procedure: rejoin`")
        }
        // Stopped as the run has left it: nobody else has had it since. One that was started since may follow somebody who is not seen.
        if marked.state != .shutDown, let unseen = others.nodes.first(where: { !$0.isStandby }) {
            return Problem(
                "\(name) was started as a standby since, and whether \(unseen.name) is the primary cannot be seen: \(others.description(of: unseen))",
                hint: "have \(unseen.name) answer, and resume or undo; \(byHand)")
        }
        return nil
    }

    /// Why nobody may be promoted in its place; `nil` where somebody may.
    /// - Parameter found: itself, as it was found by the same look.
    func obstacleToPromotion(of new: String, found: GroupView.Node?) -> Problem? {
        let back = "`pggraft undo` takes back what the run has prepared"
        if found?.isPrimary == true {
            return Problem(
                "\(name) is the primary: somebody has taken its mark as a standby away and started it, and \(new) is not promoted beside it",
                hint: "\(back), and leaves \(name) as it is; then switch over anew")
        }
        if let problem = others.obstacle(toPromoting: new, hint: "\(back); then have \(name) and \(new) follow it: `procedure: rejoin`") { return problem }
        if case .unreachable(let problem)? = found?.state {
            return Problem(
                "whether \(name) is still marked as a standby cannot be seen, and \(new) is not promoted: \(problem.fact)",
                hint: "have its host answer, then resume; where it is lost: power it off for good, and use `procedure: failover` with `primary_is_dead: true`")
        }
        guard let marked else {
            return Problem(
                "\(name) is not marked as a standby any more: whoever starts it starts a primary, and \(new) is not promoted beside it",
                hint: "\(back), and has \(name) as the primary again; then switch over anew")
        }
        guard isOurs else {
            return Problem(
                "\(name) has gone on since the run stopped it (\(words(marked)); it was shut down at checkpoint \(checkpoint?.description ?? "?")): \(new) lacks what it has written",
                hint: "see who is the primary: `pggraft status`; \(back)")
        }
        return nil
    }
}

extension GroupView {
    /// Why `new` may not be promoted: another one of those that could be asked is the primary.
    func obstacle(toPromoting new: String, hint: String) -> Problem? {
        guard let primary = nodes.first(where: { $0.isPrimary && $0.name != new }) else { return nil }
        return Problem("\(primary.name) is the primary (\(description(of: primary))): \(new) is not promoted beside it", hint: hint)
    }
}
