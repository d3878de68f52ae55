import Datanode
import PostgresClient
import ProcedureKit
import Report
import Server
import Testing

@testable import Procedures

@Suite("The status of a Postgres-XC cluster, from what its servers have said")
struct DatanodeStatusTests {
    typealias Look = DatanodeStatus.CoordinatorLook

    private static let master = NodeAddress(host: "10.77.0.61", port: 20006), slave = NodeAddress(host: "10.77.0.62", port: 20010)

    private static func coordinator(_ place: NodeAddress? = master, prepared: [PreparedTransaction] = []) -> NodeState<Look> {
        .serving(Look(known: place.map { [ClusterNode(name: "datanode1", kind: .datanode, place: $0, isPrimary: true)] } ?? [], prepared: prepared))
    }

    private static func datanode(master state: GroupView.State = serving(), slave other: GroupView.State = standby()) -> DatanodeStatus.Datanode {
        DatanodeStatus.Datanode(
            "datanode1",
            GroupView([
                GroupView.Node(name: "datanode1", address: "10.77.0.61", port: 20006, state: state),
                GroupView.Node(name: "datanode1_slave", address: "10.77.0.62", port: 20010, state: other),
            ]))
    }

    private static func serving(prepared: [PreparedTransaction] = []) -> GroupView.State {
        .serving(ReplicationLook(recovery: RecoveryState(isInRecovery: false), timeline: 1, writtenLSN: LSN(position: 0x5000), preparedTransactions: prepared))
    }

    private static func standby(isStreaming: Bool = true) -> GroupView.State {
        .serving(
            ReplicationLook(
                recovery: RecoveryState(isInRecovery: true, replayedLSN: LSN(position: 0x4F00), isReceiving: isStreaming, isStreaming: isStreaming), timeline: 1,
                conninfo: Conninfo(["host": "10.77.0.61", "port": "20006"])))
    }

    private static func prepared(_ identifier: String, _ age: Duration) -> PreparedTransaction {
        PreparedTransaction(identifier: identifier, owner: "app", database: "app", age: age)
    }

    @Test func `of one that is well there is nothing to say, and everything to see`() {
        let status = DatanodeStatus(coordinators: [("coord1", Self.coordinator()), ("coord2", Self.coordinator())], datanodes: [Self.datanode()])
        #expect(status.problems == [])
        #expect(
            status.lines.map { "\($0.server.node) \($0.of) \($0.server.role) \($0.server.lag ?? 0)" } == [
                "coord1 coordinator primary 0", "coord2 coordinator primary 0", "datanode1 datanode1 primary 0", "datanode1_slave datanode1 standby 256",
            ])
        #expect(status.entries.map(\.node) == ["datanode1", "datanode1"] && status.entries.allSatisfy { $0.isRight == true && $0.flags == "PRIMARY" })
    }

    static let wrong: [(name: String, status: @Sendable () -> DatanodeStatus, facts: [String])] = [
        (
            "a coordinator that was told nothing",
            {
                DatanodeStatus(
                    coordinators: [("coord1", coordinator(slave)), ("coord2", coordinator())], datanodes: [datanode(master: .unreachable(Problem("no route")), slave: serving())])
            },
            [
                "datanode1 cannot be reached: no route",
                "coord2 has datanode1 at 10.77.0.61:20006, which is datanode1; it is datanode1_slave at 10.77.0.62:20010 that takes writes",
            ]
        ),
        (
            "one that does not know it", { DatanodeStatus(coordinators: [("coord1", coordinator(nil))], datanodes: [datanode()]) }, ["coord1 does not know datanode1"]
        ),
        (
            "a server that is none", { DatanodeStatus(coordinators: [("coord1", .serving(Look(known: nil)))], datanodes: [datanode()]) },
            ["coord1 is no coordinator of Postgres-XC: it has no pgxc_node"]
        ),
        (
            "a coordinator that is away", { DatanodeStatus(coordinators: [("coord1", .unreachable(Problem("no route")))], datanodes: [datanode()]) },
            ["coord1 cannot be reached: no route"]
        ),
        (
            "a slave that does not stream", { DatanodeStatus(coordinators: [("coord1", coordinator())], datanodes: [datanode(slave: standby(isStreaming: false))]) },
            ["datanode1_slave does not stream"]
        ),
        (
            "transactions in doubt",
            {
                DatanodeStatus(
                    coordinators: [("coord1", coordinator(prepared: [prepared("T17", .seconds(2))]))],
                    datanodes: [datanode(master: serving(prepared: [prepared("T12", .seconds(90)), prepared("T11", .seconds(300)), prepared("mine", .seconds(900))]))])
            }, ["datanode1: 2 transactions are in doubt, the oldest, T11, prepared for 5 min 0 s"]
        ),
    ]

    @Test(arguments: wrong.indices)
    func `tells what is wrong`(index: Int) {
        let (_, status, facts) = Self.wrong[index]
        #expect(status().problems.map(\.fact) == facts)
    }

    @Test func `counts what is in doubt, and nobody else's`() {
        let prepared = [Self.prepared("T12", .seconds(1)), Self.prepared("mine", .seconds(1))]
        let status = DatanodeStatus(coordinators: [("coord1", Self.coordinator(prepared: prepared))], datanodes: [Self.datanode(master: Self.serving(prepared: prepared))])
        #expect(status.lines.map(\.inDoubt) == [1, 1, 0])
    }
}
