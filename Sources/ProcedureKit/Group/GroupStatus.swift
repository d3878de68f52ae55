public import PostgresClient
import PostgresConfig
public import Report
import Server

/// What a primary and its standbys look like to whoever runs them, and what is wrong with them though nothing says so.
public struct GroupStatus: Sendable {
    /// A node, in words and numbers.
    public struct Line: Sendable, Hashable {
        public enum Role: String, Sendable { case primary, standby, stopped, deaf, unreachable }

        public var node: String
        public var role: Role
        /// Whom a standby streams from; `nil` for one that is no standby, or of a server that is none of these.
        public var upstream: String?
        /// Whether a standby receives WAL.
        public var isStreaming: Bool
        public var timeline: UInt32?
        /// What a primary has written, a standby replayed.
        public var position: LSN?
        /// Bytes of the primary's log that a standby has still to replay.
        public var lag: Int64?
        /// What its upstream's commits have to do with a standby: `sync`, `quorum`, `potential`, `async`.
        public var sync: String?
        public var slot: String?
        /// Bytes of WAL that its upstream keeps for it.
        public var retained: Int64?

        public init(
            node: String, role: Role, upstream: String? = nil, isStreaming: Bool, timeline: UInt32? = nil, position: LSN? = nil, lag: Int64? = nil, sync: String? = nil,
            slot: String? = nil, retained: Int64? = nil
        ) {
            (self.node, self.role, self.upstream, self.isStreaming, self.timeline) = (node, role, upstream, isStreaming, timeline)
            (self.position, self.lag, self.sync, self.slot, self.retained) = (position, lag, sync, slot, retained)
        }
    }

    public let lines: [Line]
    /// What somebody should do something about.
    public internal(set) var problems: [Problem]
    /// The primary whose commits wait for standbys that are not there, with the list; `nil` where none hang.
    public let hanging: (primary: String, list: String)?

    public init(_ view: GroupView) {
        let primary = view.nodes.filter(\.isPrimary).count == 1 ? view.nodes.first(where: \.isPrimary) : nil
        lines = view.nodes.map { Self.line($0, in: view, behind: primary) }
        var problems: [Problem] = []
        if primary == nil {
            do { _ = try view.primary() } catch { problems.append(Problem(explaining: error)) }
        }
        problems += view.nodes.compactMap { Self.problem(of: $0, in: view, behind: primary) } + view.nodes.flatMap { Self.slots(of: $0, in: view) }
        hanging = primary.flatMap(Self.hanging)
        if let hanging {
            problems.append(
                Problem(
                    "\(hanging.primary): commits wait for \(hanging.list), and so many of them are not there",
                    hint: "bring them back, or have commits wait for nobody: `procedure: synchronous` with `standbys: off`"))
        }
        if let primary, let file = primary.look?.failingArchive {
            problems.append(Problem("\(primary.name): archive_command has failed for \(file) and not worked since", hint: "see the server's log: its WAL stays until it works"))
        }
        self.problems = problems
    }

    private static func line(_ node: GroupView.Node, in view: GroupView, behind primary: GroupView.Node?) -> Line {
        let role: Line.Role =
            switch node.state {
            case .serving: node.isPrimary ? .primary : .standby
            case .down: .stopped
            case .deaf: .deaf
            case .unreachable: .unreachable
            }
        let upstream = view.upstream(of: node), slot = upstream?.look?.slots.first { $0.name == node.slot && $0.plugin == nil }
        let sync = view.sender(for: node).map { "\($0.sync)" }
        return Line(
            node: node.name, role: role, upstream: upstream?.name, isStreaming: node.look?.recovery.isStreaming ?? false, timeline: node.look?.timeline,
            position: node.isPrimary ? node.look?.writtenLSN : node.look?.recovery.replayedLSN, lag: primary.flatMap { node.isStandby ? view.lag(of: node, behind: $0) : nil },
            sync: sync,
            slot: slot?.name.rawValue, retained: slot?.retainedBytes)
    }

    private static func problem(of node: GroupView.Node, in view: GroupView, behind primary: GroupView.Node?) -> Problem? {
        switch node.state {
        case .serving(let look):
            guard look.recovery.isInRecovery else { return nil }
            guard look.recovery.isStreaming else { return Problem("\(node.name) does not stream", hint: "see the end of its server log") }
            guard let mine = look.timeline, let theirs = primary?.look?.timeline, mine != theirs else { return nil }
            return Problem("\(node.name) is on timeline \(mine), the primary on \(theirs)", hint: "see the end of its server log")
        case .down: return Problem("\(node.name) is stopped", hint: "start it, or bring it back with `procedure: rejoin` where it was the primary")
        case .deaf(_, let problem): return Problem("\(node.name) runs and lets nobody in: \(problem.fact)", hint: problem.hint)
        case .unreachable(let problem): return Problem("\(node.name) cannot be reached: \(problem.fact)", hint: problem.hint)
        }
    }

    /// Slots that nobody reads, each of which keeps WAL until the disk is full.
    private static func slots(of node: GroupView.Node, in view: GroupView) -> [Problem] {
        guard node.isPrimary else { return [] }
        return (node.look?.slots ?? []).filter { !$0.isActive }.map { slot in
            let retained = slot.retainedBytes.map { UInt64(max(0, $0)).inBytes } ?? "WAL", user = view.nodes.first { $0.slot == slot.name && slot.plugin == nil }
            return Problem(
                "\(node.name): nobody reads the slot \(slot.name), for which it keeps \(retained)",
                hint: user.map { "it is that of \($0.name): bring that back" } ?? "drop it where nobody will come back to it: SELECT pg_drop_replication_slot('\(slot.name)')")
        }
    }

    private static func hanging(_ primary: GroupView.Node) -> (primary: String, list: String)? {
        guard let text = primary.look?.settings["synchronous_standby_names"], let number = primary.look?.settings["server_version_num"].flatMap({ Int($0) }),
            let list = StandbyNames(text, version: MajorVersion(serverVersionNumber: number)), !list.names.isEmpty
        else { return nil }
        let there = primary.look?.senders.filter { $0.sync == .sync || $0.sync == .quorum }.count ?? 0
        return there < list.number ? (primary.name, text) : nil
    }
}
