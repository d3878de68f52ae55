import Datanode
import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// Ends what coordinators have left prepared since ``SettleInDoubt``, and on other nodes: one that crashes as its pool is reloaded, or loses a connection
/// in its commit, is at it no more.
///
/// Clients write by now. Their coordinators prepare and end in a moment: what is there at first is followed until it is gone, or nobody was at it for a while.
struct SettleLate {
    /// What was decided, in order.
    static let decided = Fact<[SettleInDoubt.Decision]>("transactions left in doubt since")
    /// For how long nobody has to be at one. What a session that is gone has sent has arrived by then.
    private static let quiet: Duration = .seconds(5)
    /// How long a session that works at one is waited for.
    private static let patience: Duration = .seconds(30)
    /// Who works at one for longer is told of.
    private static let moment: Duration = .seconds(2)
    /// What another node has prepared longer ago than that before the run is not of this loss.
    private static let before: Duration = .seconds(3600)

    let order: FailedDatanode
    let run: StepRun

    private var datanodes: [String] { [order.slave] + order.others }
    /// A coordinator has what changes its catalog.
    private var nodes: [String] { datanodes + order.coordinators }

    /// One that is prepared somewhere.
    private struct Followed {
        /// The databases that it is prepared in, by node.
        var places: [String: String]
        /// Since when nobody has been seen to be at it.
        var quietSince: ContinuousClock.Instant?
        /// Why it is not decided.
        var reason = "it was prepared a moment ago"
        /// Whether nobody who can be asked knows.
        var isUnknown = false
        let since = ContinuousClock.now
        var isTold = false

        func isQuiet(_ time: Duration) -> Bool { quietSince.map { $0.duration(to: .now) >= time } ?? false }
    }

    /// - Returns: what was decided and what was left alone, in words; and whether every node was asked.
    func settle() async throws -> (words: String, isSettled: Bool) {
        var followed: [InDoubtTransaction: Followed]?, unseen: Set<String> = []
        do {
            try await wait(for: "transactions to be ended that are prepared", until: .after(Self.patience), every: .milliseconds(200)) { () -> Look<Void> in
                let now: [InDoubtTransaction: [String: String]]
                (now, unseen) = try await prepared(isFirst: followed == nil)
                guard let seen = followed else {
                    followed = now.mapValues { Followed(places: $0) }
                    return now.isEmpty ? .found(()) : .notYet("\(now.count) are prepared")
                }
                var still: [InDoubtTransaction: Followed] = [:]
                for (transaction, before) in seen.sorted(by: { $0.key.transaction < $1.key.transaction }) {
                    var one = before
                    one.places = (now[transaction] ?? [:]).merging(one.places.filter { unseen.contains($0.key) }) { $1 }
                    if !one.places.isEmpty { still[transaction] = try await follow(transaction, one) }
                }
                followed = still
                // Who cannot be asked does not come back by that.
                if still.values.allSatisfy({ $0.isUnknown && $0.isQuiet(Self.quiet) }) { return .found(()) }
                return .notYet(still.map { "\($0.key.identifier): \($0.value.reason)" }.sorted().joined(separator: "; "))
            }
        } catch is DeadlineExceeded {}
        let left = (followed ?? [:]).sorted { $0.key.transaction < $1.key.transaction }
        for (transaction, one) in left {
            let advice =
                one.isUnknown
                ? "it is settled once that can be asked"
                : "where that does not end, end that session, and what is left then: COMMIT PREPARED '\(transaction.identifier)' where a datanode has committed it, else ROLLBACK PREPARED"
            run.note("\(transaction.identifier) stays prepared on \(list(one.places.keys.sorted())): \(one.reason); \(advice)")
        }
        let decisions = (try run.memory.recall(Self.decided) ?? []).map(\.description)
        let words = decisions + left.map { "\($0.key.identifier) is left alone: \($0.value.reason)" }
        return (words.isEmpty ? "nothing is left prepared" : words.joined(separator: "; "), unseen.isEmpty && !left.contains { $0.value.isUnknown })
    }

    /// What is prepared on the nodes that can be asked, the databases by node; and those that cannot.
    private func prepared(isFirst: Bool) async throws -> (found: [InDoubtTransaction: [String: String]], unseen: Set<String>) {
        let access = order.access, silent = order.silent, slave = order.slave
        let looks = await attemptOnEach(nodes) { name in
            try await access.server(name, deadline: silent.deadline(for: name, .seconds(10))).preparedTransactions(deadline: .after(.seconds(20)))
        }
        try Task.checkCancellation()
        let ours = Set((try run.memory.recall(SettleInDoubt.decided) ?? []).map(\.transaction)), age = (run.memory.age ?? .zero) + Self.before
        var found: [InDoubtTransaction: [String: String]] = [:], old: [InDoubtTransaction: String] = [:], unseen: Set<String> = []
        for (name, look) in looks {
            switch look {
            case .success(let all):
                for each in all {
                    guard let transaction = InDoubtTransaction(identifier: each.identifier) else { continue }
                    found[transaction, default: [:]][name] = each.database
                    if name != slave, each.age > age, !ours.contains(each.identifier) { old[transaction] = "\(name): \(each)" }
                }
            case .failure(let error):
                if name == slave { throw error }
                await access.forgetServer(name)
                silent.add(name)
                unseen.insert(name)
                if isFirst, datanodes.contains(name) { run.note("what is prepared on \(name) cannot be seen: \(Problem(explaining: error).fact)") }
            }
        }
        for (transaction, words) in old where found[transaction]?[slave] == nil {
            found[transaction] = nil
            if isFirst { run.note("\(words) is older than this loss: left alone") }
        }
        return (found, unseen)
    }

    /// Decides one where it can be.
    /// - Returns: what is known of it; `nil` where it is ended.
    private func follow(_ transaction: InDoubtTransaction, _ seen: Followed) async throws -> Followed? {
        var one = seen
        let (answers, unasked) = try await order.ask(transaction, of: nodes)
        let dead = try order.deadCoordinators(run.memory)
        let verdict = InDoubtTransaction.verdictUnderWriters(
            answers, silentDatanodes: datanodes.filter { unasked[$0] != nil },
            silentCoordinators: order.coordinators.filter { unasked[$0] != nil && !dead.contains($0) })
        // What is there of it on one that gives no answer is left there.
        let asked = one.places.filter { unasked[$0.key] == nil }
        (one.quietSince, one.isUnknown) = (one.quietSince ?? .now, false)
        switch verdict {
        case .wait(let reason):
            (one.quietSince, one.reason) = (nil, reason)
        case .unknown(let reason):
            (one.reason, one.isUnknown) = (reason, true)
        case .commit(let reason), .rollBack(let reason):
            one.reason = reason
            guard one.isQuiet(Self.quiet) else { break }
            let isCommitted = if case .commit = verdict { true } else { false }
            return try await end(transaction, one, on: asked, SettleInDoubt.Decision(transaction: transaction.identifier, isCommitted: isCommitted, reason: reason))
        }
        if one.quietSince == nil, !one.isTold, one.since.duration(to: .now) > Self.moment {
            one.isTold = true
            run.note("\(transaction.identifier) is prepared on \(list(one.places.keys.sorted())), and \(one.reason): waited for")
        }
        return one
    }

    private func end(_ transaction: InDoubtTransaction, _ one: Followed, on asked: [String: String], _ decision: SettleInDoubt.Decision) async throws -> Followed? {
        let others = (try run.memory.recall(Self.decided) ?? []).filter { $0.transaction != decision.transaction }
        try run.remember(Self.decided, others + [decision])
        let places = asked.sorted { $0.key < $1.key }
        run.note("\(decision.transaction) on \(list(places.map(\.key))): \(decision.isCommitted ? "COMMIT" : "ROLLBACK") PREPARED, for \(decision.reason)")
        for (name, database) in places where try await !order.end(transaction, commit: decision.isCommitted, on: name, in: database) {
            // Somebody was faster, or ends it just now: what it has become there is asked first.
            var again = one
            (again.quietSince, again.reason) = (nil, "somebody else ends it")
            return again
        }
        return nil
    }
}
