public import PostgresClient
public import ProcedureKit
public import Report
import Server
public import Spock

/// What a Spock cluster looks like to whoever runs it, and what is wrong with it.
public struct MeshStatus: Sendable {
    /// What is known of a node at a moment.
    public struct Answer: Sendable {
        public var node: String
        /// `nil` where it has not answered in time.
        public var state: NodeState<SpockLook>?
        /// What it said last, where it says nothing now.
        public var last: SpockLook?
        /// Since when it is waited for.
        public var silence: Duration

        public init(_ node: String, _ state: NodeState<SpockLook>?, last: SpockLook? = nil, silence: Duration = .zero) {
            (self.node, self.state, self.last, self.silence) = (node, state, last, silence)
        }

        var look: SpockLook? { state?.answer }
    }

    /// A node, in words and numbers.
    public struct Node: Sendable, Hashable {
        public enum Role: String, Sendable {
            /// It takes part.
            case member
            /// None of the others knows it, and it was not asked.
            case noMember = "no_member"
            case standby
            /// It runs, and its database is no Spock node, or another one.
            case stranger
            case stopped, deaf, unreachable
            /// It has not answered yet.
            case silent
        }

        public var name: String
        public var role: Role
        /// What it has written.
        public var position: LSN?
        /// `spock.readonly`.
        public var readOnly: String?
        /// Rows of its `spock.exception_log`.
        public var exceptions: Int?
        /// Bytes of WAL that it keeps for the slot that is furthest behind.
        public var retained: Int64?
    }

    /// A subscription, from both its ends.
    public struct Link: Sendable, Hashable {
        public var provider: String
        public var subscriber: String
        /// `nil` where there is none.
        public var subscription: String?
        /// As the subscriber says; `nil` where it says nothing now. It speaks of workers only.
        public var status: String?
        public var slot: String?
        /// Whether somebody reads the slot on the provider; `nil` where that gives no answer.
        public var isRead: Bool?
        /// Bytes of the provider's log that the subscriber has not confirmed.
        public var lagBytes: Int64?
        public var lag: Lag?
        /// Bytes of WAL that the provider keeps for it.
        public var retained: Int64?

        static let replicating = "\(SubscriptionStatus.replicating)", disabled = "\(SubscriptionStatus.disabled)"

        public var isWell: Bool { status == Self.replicating && isRead == true }
    }

    /// A slot that is none of the subscriptions'.
    public struct OtherSlot: Sendable, Hashable {
        public var node: String
        public var slot: String
        public var isRead: Bool
        public var retained: Int64?
    }

    public let nodes: [Node]
    public let links: [Link]
    public let otherSlots: [OtherSlot]
    /// What somebody should do something about.
    public let problems: [Problem]

    /// - Parameters:
    ///   - answers: of each of `cluster`'s members, and of the one that may be none where it was asked.
    ///   - clock: has seen the same looks.
    public init(_ cluster: SpockMembers, _ answers: [Answer], _ clock: LagClock = LagClock(), at now: ContinuousClock.Instant = .now) {
        let answers = Dictionary(answers.map { ($0.node, $0) }) { first, _ in first }
        let known = Set(answers.values.flatMap { ($0.look ?? $0.last)?.known ?? [] }.map(\.rawValue))
        nodes = cluster.nodes.map { name in Self.node(name, answers[name]) }
        let taking = cluster.members + [cluster.unsettled].compactMap(\.self).filter(known.contains)
        let links = taking.flatMap { provider in
            taking.filter { $0 != provider }.flatMap { Self.links(from: answers[provider], to: answers[$0], clock, now) }
        }
        let ours = Dictionary(grouping: links) { $0.provider }.mapValues { Set($0.compactMap(\.slot)) }
        let others = taking.compactMap { answers[$0] }.map { answer in
            (answer, (answer.look?.slots ?? []).filter { !(ours[answer.node]?.contains($0.name.rawValue) ?? false) })
        }
        otherSlots = others.flatMap { answer, slots in slots.map { OtherSlot(node: answer.node, slot: $0.name.rawValue, isRead: $0.isActive, retained: $0.retainedBytes) } }
        self.links = links
        let unheard = Unheard(
            silent: taking.filter { answers[$0]?.look == nil && answers[$0]?.last == nil },
            strange: taking.filter { name in answers[name]?.look.map { $0.local?.rawValue != name } ?? false }, unnamed: known.subtracting(cluster.nodes).sorted(),
            joining: cluster.unsettled.flatMap { known.contains($0) ? nil : $0 })
        problems =
            cluster.nodes.compactMap { name in answers[name].flatMap(Self.problem) } + taking.flatMap { Self.state(of: answers[$0]) } + links.compactMap(Self.problem)
            + others.flatMap { answer, slots in slots.compactMap { Self.problem(of: $0, on: answer, unheard) } } + Self.strangers(known, cluster)
    }

    private static func node(_ name: String, _ answer: Answer?) -> Node {
        let look = answer?.look
        let role: Node.Role =
            switch answer?.state {
            case nil: answer == nil ? .noMember : .silent
            case .serving(let look): look.isInRecovery ? .standby : look.local?.rawValue == name ? .member : .stranger
            case .down: .stopped
            case .deaf: .deaf
            case .unreachable: .unreachable
            }
        return Node(
            name: name, role: role, position: look?.written, readOnly: look?.readOnly, exceptions: look?.exceptions, retained: look?.slots.compactMap(\.retainedBytes).max())
    }

    /// - Returns: nothing where nothing is known of it: the subscriber has not said anything yet.
    private static func links(from provider: Answer?, to subscriber: Answer?, _ clock: LagClock, _ now: ContinuousClock.Instant) -> [Link] {
        guard let provider, let subscriber, let said = subscriber.look ?? subscriber.last else { return [] }
        let subscriptions = said.subscriptions.filter { $0.provider.rawValue == provider.node }
        guard subscriptions.isEmpty else { return subscriptions.map { link($0, from: provider, to: subscriber, clock, now) } }
        // One that is no node, or a standby, is told as such.
        return subscriber.look.map { $0.local?.rawValue == subscriber.node } ?? false ? [Link(provider: provider.node, subscriber: subscriber.node)] : []
    }

    private static func link(_ subscription: Subscription, from provider: Answer, to subscriber: Answer, _ clock: LagClock, _ now: ContinuousClock.Instant) -> Link {
        let slot = provider.look?.slots.first { $0.name == subscription.slot }
        var link = Link(
            provider: provider.node, subscriber: subscriber.node, subscription: subscription.name.rawValue,
            status: subscriber.look.map { "\($0.statuses[subscription.name] ?? .unknown)" }, slot: subscription.slot.rawValue,
            isRead: provider.look.map { _ in slot?.isActive ?? false }, retained: slot?.retainedBytes)
        if let look = provider.look, let written = look.written, let confirmed = slot?.confirmedFlushLSN {
            link.lagBytes = max(0, written.bytes(since: confirmed))
            let commit = subscriber.look?.lastCommits[subscription.provider].map { Duration.microseconds(max(0, look.at.microseconds - $0.microseconds)) }
            link.lag = clock.lag(at: confirmed, behind: provider.node, lastCommit: commit, now)
        }
        return link
    }

    // MARK: What is wrong

    private static func problem(of answer: Answer) -> Problem? {
        switch answer.state {
        case nil: return Problem("\(answer.node) has given no answer for \(answer.silence.inSeconds)", hint: "it is asked again and again; see what is wrong with its host")
        case .down: return Problem("\(answer.node) is stopped", hint: "start it: the others keep WAL for it")
        case .deaf(_, let problem): return Problem("\(answer.node) runs and lets nobody in: \(problem.fact)", hint: problem.hint)
        case .unreachable(let problem):
            let fact = problem.fact.hasPrefix("\(answer.node): ") ? String(problem.fact.dropFirst(answer.node.count + 2)) : problem.fact
            return Problem("\(answer.node) cannot be asked: \(fact)", hint: problem.hint)
        case .serving(let look):
            if look.isInRecovery { return Problem("\(answer.node) is a standby", hint: "name the primary in the playbook") }
            guard let local = look.local else {
                return Problem("\(answer.node): database \(look.database) is no Spock node", hint: "correct cluster.database, or the node's port")
            }
            guard local.rawValue == answer.node else { return Problem("\(answer.node) is the node \(local)", hint: "call it \(local) in the playbook") }
            return look.readOnly == nil ? Problem("\(answer.node): Spock is not loaded", hint: "put spock into shared_preload_libraries and restart it") : nil
        }
    }

    /// Of a node that takes part.
    private static func state(of answer: Answer?) -> [Problem] {
        guard let answer, let look = answer.look else { return [] }
        var problems: [Problem] = []
        if let mode = look.readOnly, mode != "off" {
            problems.append(
                Problem(
                    "\(answer.node) is read-only: spock.readonly is '\(mode)'",
                    hint: "a run may have closed it for a moment (pggraft runs); where none has, ALTER SYSTEM RESET spock.readonly and SELECT pg_reload_conf()"))
        }
        if let rows = look.exceptions, rows > 0 {
            problems.append(
                Problem(
                    "\(answer.node): spock.exception_log has \(rows) \(rows == 1 ? "row" : "rows"): changes that were discarded there",
                    hint: "compare the nodes (pggraft verify), put right what differs, and empty it: DELETE FROM spock.exception_log"))
        }
        return problems
    }

    private static func problem(of link: Link) -> Problem? {
        guard let subscription = link.subscription, let slot = link.slot else {
            return Problem("\(link.subscriber) does not subscribe to \(link.provider)", hint: "create the subscription on \(link.subscriber): SELECT spock.sub_create(…)")
        }
        let name = "\(subscription) (\(link.provider) to \(link.subscriber))"
        let kept = link.retained.map { ", for which \(link.provider) keeps \(UInt64(max(0, $0)).inBytes)" } ?? ""
        let status = link.status ?? "unknown: \(link.subscriber) gives no answer"
        switch (link.status, link.isRead) {
        case (Link.replicating, true), (nil, true), (nil, nil), (Link.replicating, nil): return nil
        case (Link.replicating, false):
            return Problem(
                "\(name) says replicating, and nobody reads its slot \(slot)\(kept)", hint: "see the ends of the server logs of \(link.subscriber) and of \(link.provider)")
        case (Link.disabled, _):
            return Problem(
                "\(name) is disabled: nobody reads its slot \(slot)\(kept)", hint: "where nobody wants that: SELECT spock.sub_enable('\(subscription)') on \(link.subscriber)")
        case (_, false):
            return Problem("\(name) is \(status): nobody reads its slot \(slot)\(kept)", hint: "see the ends of the server logs of \(link.subscriber) and of \(link.provider)")
        case (_, _): return Problem("\(name) is \(status)", hint: "see the end of the server log of \(link.subscriber)")
        }
    }

    /// Those that have not said which slots they read.
    private struct Unheard {
        var silent: [String]
        /// Other nodes than the playbook says, or none.
        var strange: [String]
        var unnamed: [String]
        /// The one that is to join, or has left, where nobody knows it.
        var joining: String?

        /// Whose a slot may be.
        var doubt: String? {
            let doubts = [
                silent.isEmpty ? nil : "\(list(silent)), which \(silent.count == 1 ? "gives" : "give") no answer: bring that back first",
                strange.isEmpty ? nil : "\(list(strange)), which \(strange.count == 1 ? "is" : "are") not what the playbook says: put that right first",
                unnamed.isEmpty ? nil : "\(list(unnamed)), which the playbook does not name: name that there first",
            ].compactMap(\.self)
            return doubts.isEmpty ? nil : "it may be that of \(doubts.joined(separator: "; or that of "))"
        }
    }

    private static func problem(of slot: ReplicationSlot, on answer: Answer, _ unheard: Unheard) -> Problem? {
        // A logical slot of a standby is a copy of its primary's, which nobody reads there.
        guard let look = answer.look, !slot.isActive, !(look.isInRecovery && slot.plugin != nil) else { return nil }
        let kept = slot.retainedBytes.map { UInt64(max(0, $0)).inBytes } ?? "WAL"
        let fact = "\(answer.node): nobody reads the slot \(slot.name), for which it keeps \(kept)"
        if let doubt = unheard.doubt { return Problem(fact, hint: doubt) }
        let drop = "SELECT pg_drop_replication_slot('\(slot.name)')"
        if let database = slot.database, database != look.database {
            return Problem(fact, hint: "it is of database \(database), and who reads there is not known here: see that first; where nobody will come back to it: \(drop)")
        }
        if let joining = unheard.joining, slot.plugin == ReplicationSlot.spockPlugin {
            return Problem(fact, hint: "a run may have made it for \(joining) (pggraft runs); where none has, it is of no subscription: \(drop)")
        }
        return Problem(fact, hint: "no subscription of the cluster reads it; drop it where nobody will come back to it: \(drop)")
    }

    private static func strangers(_ known: Set<String>, _ cluster: SpockMembers) -> [Problem] {
        known.subtracting(cluster.nodes).sorted().map {
            Problem("\($0) is a node of the cluster, and the playbook does not name it", hint: "name it in cluster.nodes, or remove what is left of it from the cluster")
        }
    }
}
