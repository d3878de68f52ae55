import Instance
import PostgresClient
public import PostgresConfig
public import Report
public import Server

/// A primary and its standbys, as one look at all of them has found them.
///
/// What follows from it is worked out here, from values: who is the primary, who streams from whom, who has most.
public struct GroupView: Sendable {
    /// A node of the group.
    public struct Node: Sendable {
        public var name: String
        /// By what the others reach its PostgreSQL.
        public var address: String
        public var port: UInt16
        public var state: State

        public init(name: String, address: String, port: UInt16 = 5432, state: State) {
            (self.name, self.address, self.port, self.state) = (name, address, port, state)
        }

        /// What the server said; `nil` where none could be asked.
        public var look: ReplicationLook? { state.answer }
        /// Whether it takes writes, as far as recovery goes.
        public var isPrimary: Bool { look.map { !$0.recovery.isInRecovery } ?? false }
        public var isStandby: Bool { look.map(\.recovery.isInRecovery) ?? false }
        /// The name by which its upstream knows it: what its `primary_conninfo` says, else its `cluster_name`, else the server's default.
        public var applicationName: String {
            if let said = look?.conninfo?["application_name"] { return said }
            let cluster = look?.settings["cluster_name"] ?? ""
            return cluster.isEmpty ? "walreceiver" : cluster
        }
        public var slot: SlotName? { look?.settings["primary_slot_name"].flatMap(SlotName.init(rawValue:)) }
    }

    public typealias State = NodeState<ReplicationLook>

    /// In the order of the playbook.
    public let nodes: [Node]

    public init(_ nodes: [Node]) { self.nodes = nodes }

    public subscript(name: String) -> Node? { nodes.first { $0.name == name } }

    // MARK: Who is what

    /// The one node that is no standby.
    /// - Throws: `Problem` where there is none, or more than one.
    public func primary() throws -> Node {
        let primaries = nodes.filter(\.isPrimary)
        if primaries.count > 1 {
            throw Problem(
                "\(list(primaries.map(\.name))) are both primaries: \(primaries.map(Self.whereabouts).joined(separator: "; "))",
                hint: "find out which of them clients write to, stop the other one (pg_ctl stop -m fast), and make a standby of it: pggraft run with `procedure: rejoin`")
        }
        guard let primary = primaries.first else {
            throw Problem(
                "no primary among \(list(nodes.map(\.name))): \(nodes.map { "\($0.name) \(Self.words($0))" }.joined(separator: "; "))",
                hint: "start the one that was the primary; where it is lost, `procedure: failover` promotes a standby")
        }
        return primary
    }

    private static func whereabouts(_ node: Node) -> String {
        "\(node.name) on timeline \(node.look?.timeline.map { "\($0)" } ?? "?") at \(node.look?.reachedLSN?.description ?? "?")"
    }

    /// The node that a standby streams from: by the hosts and ports of its `primary_conninfo`, or by the name that it is known under; `nil`
    /// for who is not known here. Of several hosts the one that has it as its standby, else one that is none itself.
    public func upstream(of standby: Node) -> Node? {
        guard standby.isStandby else { return nil }
        if let conninfo = standby.look?.conninfo {
            let named = nodes.filter { $0.name != standby.name && Self.names(conninfo, $0) }
            if named.count < 2 {
                if let found = named.first { return found }
            } else {
                let sending = named.filter { Self.sends($0, to: standby) }
                return sending.count == 1 ? sending.first : named.first { !$0.isStandby } ?? named.first
            }
        }
        let senders = nodes.filter { $0.name != standby.name && Self.sends($0, to: standby) }
        return senders.count == 1 ? senders.first : nil
    }

    private static func sends(_ node: Node, to standby: Node) -> Bool { node.look?.senders.contains { isSameSetting($0.application, standby.applicationName) } ?? false }

    /// Whether a connection string leads to `node`, or may: it names several hosts, each with a port, or with one for all.
    private static func names(_ conninfo: Conninfo, _ node: Node) -> Bool {
        func list(_ keyword: String) -> [String] { (conninfo[keyword] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
        let ports = list("port"), own = IPAddress(node.address)
        return ["hostaddr", "host"].contains { keyword in
            list(keyword).enumerated().contains { index, host in
                guard host == node.address || own != nil && IPAddress(host) == own else { return false }
                let port = ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : ""
                return (port.isEmpty ? "5432" : port) == "\(node.port)"
            }
        }
    }

    /// The standbys that stream from `node`, or shall.
    public func standbys(of node: Node) -> [Node] { nodes.filter { upstream(of: $0)?.name == node.name } }

    /// As the upstream sees `standby`: who reads its slot, else who bears its name.
    public func sender(for standby: Node) -> StreamingStandby? {
        guard let look = upstream(of: standby)?.look else { return nil }
        if let slot = standby.slot, let reader = look.slots.first(where: { $0.name == slot })?.activePID { return look.senders.first { $0.pid == reader } }
        return look.senders.first { isSameSetting($0.application, standby.applicationName) }
    }

    /// Who else streams from `node`: base backups, and standbys that are none of the group.
    public func strangers(on node: Node) -> [StreamingStandby] {
        let known = standbys(of: node).compactMap { sender(for: $0)?.pid }
        return node.look?.senders.filter { !known.contains($0.pid) } ?? []
    }

    // MARK: How far

    /// The standby that has most of the write-ahead log: the newest timeline, then the furthest position. Of equals the first.
    public func mostAdvanced(among names: [String]) -> Node? {
        func rank(_ node: Node) -> (UInt32, LSN) { (node.look?.timeline ?? 0, node.look?.reachedLSN ?? .zero) }
        return nodes.filter { names.contains($0.name) && $0.isStandby }.reduce(nil) { best, node in
            guard let best else { return node }
            return rank(node) > rank(best) ? node : best
        }
    }

    /// Bytes of the primary's log that `standby` has not replayed; `nil` where one of them could not be asked. One that has replayed nothing
    /// is behind by everything.
    public func lag(of standby: Node, behind primary: Node) -> Int64? {
        guard let look = standby.look, let written = primary.look?.writtenLSN else { return nil }
        return max(0, written.bytes(since: look.recovery.replayedLSN ?? .zero))
    }

    /// Why `standby` cannot take the place of `primary` as it is; `nil` where it streams from it and is less than `limit` bytes behind.
    public func obstacle(to standby: Node, takingThePlaceOf primary: Node, within limit: Int64) -> Problem? {
        let name = standby.name
        guard standby.isStandby, let look = standby.look else {
            return Problem("\(name) is no standby that can be asked: it \(Self.words(standby))", hint: "start it as a standby of \(primary.name)")
        }
        guard upstream(of: standby)?.name == primary.name else {
            let from = upstream(of: standby)?.name ?? look.conninfo.flatMap { $0["host"] } ?? "nobody"
            return Problem("\(name) streams from \(from), not from \(primary.name)", hint: "only a standby of the primary itself can take its place at once")
        }
        guard look.recovery.isStreaming, let sender = sender(for: standby), sender.isStreaming else {
            let seen = sender(for: standby).map { "is in state \($0.state)" } ?? "has no walsender"
            return Problem("\(name) does not stream: on \(primary.name) it \(seen)", hint: "see the server's log of \(name)")
        }
        if let (mine, theirs) = timelines(standby, primary), mine != theirs {
            return Problem("\(name) is on timeline \(mine), \(primary.name) on \(theirs)", hint: "see the server's log of \(name)")
        }
        guard let lag = lag(of: standby, behind: primary), lag < limit else {
            let bytes = lag(of: standby, behind: primary).map { UInt64($0).inBytes } ?? "unknown"
            return Problem("\(name) is \(bytes) behind \(primary.name), and may be \(UInt64(max(0, limit)).inBytes)", hint: "wait until it has caught up, or raise catch_up_lag")
        }
        return nil
    }

    private func timelines(_ one: Node, _ other: Node) -> (UInt32, UInt32)? {
        guard let mine = one.look?.timeline, let theirs = other.look?.timeline else { return nil }
        return (mine, theirs)
    }

    // MARK: Slots

    /// Who uses a slot of `node`: the standby whose `primary_slot_name` it is; `nil` for a slot of somebody else, or of nobody.
    public func user(of slot: ReplicationSlot, on node: Node) -> Node? {
        standbys(of: node).first { $0.slot == slot.name && slot.plugin == nil }
    }

    // MARK: In words

    /// `streams from db1 on timeline 2, received 0/3000148, replayed 0/3000148`.
    public func description(of node: Node) -> String {
        guard let look = node.look else { return Self.words(node) }
        let timeline = look.timeline.map { " on timeline \($0)" } ?? ""
        guard look.recovery.isInRecovery else { return "primary\(timeline) at \(look.writtenLSN?.description ?? "?")" }
        let from = upstream(of: node).map { "standby of \($0.name)" } ?? "standby of an unknown server"
        let state = look.recovery.isStreaming ? "streaming" : "not streaming"
        return "\(from)\(timeline), \(state), received \(look.recovery.receivedLSN?.description ?? "nothing"), replayed \(look.recovery.replayedLSN?.description ?? "nothing")"
    }

    private static func words(_ node: Node) -> String {
        switch node.state {
        case .serving(let look): look.recovery.isInRecovery ? "is a standby" : "is a primary"
        case .down(let data): "is stopped (\(data.state.rawValue), timeline \(data.timeline), checkpoint \(data.checkpoint))"
        case .deaf(let processes, let problem): "runs (pid \(processes.first?.pid ?? 0)) and lets nobody in: \(problem.fact)"
        case .unreachable(let problem): "cannot be reached: \(problem.fact)"
        }
    }
}

extension StandbyNames {
    /// The list for the server that takes the place of `old`, which is its standby by then: `new`, by which the new primary was known, is
    /// `old` from now on. The method and the number stay.
    public func afterSwitchover(from old: String, to new: String) -> StandbyNames {
        guard contains(new) else { return self }
        // Where both are listed the old primary has its place already.
        if contains(old) { return removing(new) }
        return replacing(new, with: old)
    }
}
