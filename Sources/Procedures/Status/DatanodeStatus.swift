public import Datanode
public import ProcedureKit
public import Report
public import Server

/// What a Postgres-XC cluster looks like to whoever runs it: what each coordinator takes it for, who is master and who is slave, and what is wrong.
public struct DatanodeStatus: Sendable {
    /// What was asked of a coordinator.
    public struct CoordinatorLook: Sendable {
        /// Those it knows; `nil` where it is no coordinator.
        public var known: [ClusterNode]?
        public var prepared: [PreparedTransaction]

        public init(known: [ClusterNode]?, prepared: [PreparedTransaction] = []) { (self.known, self.prepared) = (known, prepared) }
    }

    /// A datanode: its master and its slaves, whichever is which by now.
    public struct Datanode: Sendable {
        public var name: String
        public var view: GroupView

        public init(_ name: String, _ view: GroupView) { (self.name, self.view) = (name, view) }
    }

    /// What a coordinator is of.
    public static let coordinator = "coordinator"

    /// A server, in words and numbers.
    public struct Line: Sendable, Hashable {
        /// ``DatanodeStatus/coordinator``, or the datanode that it is of.
        public var of: String
        public var server: GroupStatus.Line
        /// Transactions that are prepared there and wait to be told what becomes of them; `nil` where it cannot be asked.
        public var inDoubt: Int?
    }

    /// Where a coordinator has a datanode.
    public struct Entry: Sendable, Hashable {
        public var coordinator: String
        public var datanode: String
        /// `nil` where it does not know it.
        public var place: String?
        /// `PRIMARY, PREFERRED`.
        public var flags: String
        /// The node of the playbook that is there.
        public var node: String?
        /// Whether that takes writes; `nil` where it is not known.
        public var isRight: Bool?
    }

    public let lines: [Line]
    public let entries: [Entry]
    /// What somebody should do something about.
    public let problems: [Problem]

    /// One that is prepared is told the end by its coordinator in a moment.
    private static let patience = Duration.seconds(10)

    /// - Parameter coordinators: in the order of the playbook.
    public init(coordinators: [(name: String, state: NodeState<CoordinatorLook>)], datanodes: [Datanode]) {
        let groups = datanodes.map { (datanode: $0, status: GroupStatus($0.view)) }
        lines =
            coordinators.map { name, state in
                Line(of: Self.coordinator, server: Self.line(name, state), inDoubt: state.answer.map { Self.inDoubt($0.prepared).count })
            }
            + groups.flatMap { group in
                group.status.lines.map { line in
                    Line(of: group.datanode.name, server: line, inDoubt: group.datanode.view[line.node]?.look.map { Self.inDoubt($0.preparedTransactions).count })
                }
            }
        let entries = coordinators.flatMap { name, state in datanodes.map { Self.entry(name, state.answer?.known, $0) } }
        self.entries = entries
        let silent = coordinators.compactMap { name, state in Self.problem(name, state) }
        let wrong = entries.compactMap { entry in
            Self.problem(entry, of: datanodes, isAsked: coordinators.contains { $0.name == entry.coordinator && $0.state.answer?.known != nil })
        }
        let prepared =
            coordinators.compactMap { name, state in state.answer.flatMap { Self.problem(name, $0.prepared) } }
            + datanodes.flatMap { $0.view.nodes.compactMap { node in node.look.flatMap { Self.problem(node.name, $0.preparedTransactions) } } }
        problems = silent + groups.flatMap(\.status.problems) + wrong + prepared
    }

    private static func line(_ name: String, _ state: NodeState<CoordinatorLook>) -> GroupStatus.Line {
        let role: GroupStatus.Line.Role =
            switch state {
            case .serving: .primary
            case .down: .stopped
            case .deaf: .deaf
            case .unreachable: .unreachable
            }
        return GroupStatus.Line(node: name, role: role, isStreaming: false)
    }

    private static func inDoubt(_ prepared: [PreparedTransaction]) -> [PreparedTransaction] { prepared.filter { InDoubtTransaction(identifier: $0.identifier) != nil } }

    private static func entry(_ coordinator: String, _ known: [ClusterNode]?, _ datanode: Datanode) -> Entry {
        let found = known?.first { $0.name == datanode.name }
        let node = found.flatMap { found in datanode.view.nodes.first { $0.address == found.place.host && $0.port == found.place.port } }
        return Entry(
            coordinator: coordinator, datanode: datanode.name, place: found?.place.description, flags: found?.flags ?? "", node: node?.name,
            isRight: node?.look.map { !$0.recovery.isInRecovery })
    }

    // MARK: What is wrong

    private static func problem(_ name: String, _ state: NodeState<CoordinatorLook>) -> Problem? {
        switch state {
        case .serving(let look):
            look.known == nil ? Problem("\(name) is no coordinator of Postgres-XC: it has no pgxc_node", hint: "correct its address and port") : nil
        case .down: Problem("\(name) is stopped", hint: "start it: it may have missed where datanodes are by now")
        case .deaf(_, let problem): Problem("\(name) runs and lets nobody in: \(problem.fact)", hint: problem.hint)
        case .unreachable(let problem): Problem("\(name) cannot be reached: \(problem.fact)", hint: problem.hint)
        }
    }

    private static func problem(_ entry: Entry, of datanodes: [Datanode], isAsked: Bool) -> Problem? {
        guard isAsked else { return nil }
        guard let place = entry.place else {
            return Problem("\(entry.coordinator) does not know \(entry.datanode)", hint: "CREATE NODE there, or correct its name in cluster.datanodes: capitals count")
        }
        let primaries = datanodes.first { $0.name == entry.datanode }?.view.nodes.filter(\.isPrimary) ?? []
        guard entry.isRight != true else { return nil }
        guard let primary = primaries.first, primaries.count == 1 else { return nil }
        return Problem(
            "\(entry.coordinator) has \(entry.datanode) at \(place)\(entry.node.map { ", which is \($0)" } ?? ""); it is \(primary.name) at \(primary.address):\(primary.port) that takes writes",
            hint:
                "there: ALTER NODE \(entry.datanode) WITH (HOST = '\(primary.address)', PORT = \(primary.port)), then SELECT pgxc_pool_reload(); a run that failed it over does so with pggraft resume"
        )
    }

    private static func problem(_ node: String, _ prepared: [PreparedTransaction]) -> Problem? {
        let old = inDoubt(prepared).filter { $0.age >= patience }
        guard let oldest = old.max(by: { $0.age < $1.age }) else { return nil }
        return Problem(
            "\(node): \(old.count == 1 ? "a transaction is" : "\(old.count) transactions are") in doubt, \(old.count == 1 ? "" : "the oldest, ")\(oldest.identifier), prepared for \(oldest.age.inSeconds)",
            hint: "where any node has committed it, COMMIT PREPARED '\(oldest.identifier)' on \(node), else ROLLBACK PREPARED; a failover settles those of its datanode by itself")
    }
}
