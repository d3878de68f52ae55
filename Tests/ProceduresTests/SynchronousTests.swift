import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Server
import Testing

@testable import Playbook
@testable import Procedures

/// What becomes of synchronous_standby_names.
@Suite("The list of synchronous standbys") struct SynchronousTests {
    typealias Change = Playbook.Synchronous.Change
    typealias Standbys = Playbook.Synchronous.Standbys

    private static let view = GroupView(
        ["db1", "db2", "db3", "db-4"].map { name in
            let isPrimary = name == "db1"
            let recovery = isPrimary ? "" : "host=10.0.0.1 application_name=\(name == "db3" ? "report" : name)"
            return GroupView.Node(
                name: name, address: "10.0.0.\(name.last ?? "0")",
                state: name == "gone"
                    ? .unreachable(Problem("gone"))
                    : .serving(ReplicationLook(recovery: RecoveryState(isInRecovery: !isPrimary), conninfo: isPrimary ? nil : try? .init(parsing: recovery))))
        })

    static let cases: [(change: Change, now: String, version: MajorVersion, after: String?)] = [
        (.waitFor(Standbys(method: .first, number: 1, names: ["db2"])), "", .postgres(15), "FIRST 1 (db2)"),
        (.waitFor(Standbys(method: .any, number: 2, names: ["db2", "db3", "db-4"])), "old", .postgres(18), "ANY 2 (db2, report, \"db-4\")"),
        (.waitFor(Standbys(method: .first, number: 1, names: ["db2"])), "", MajorVersion(serverVersionNumber: 90600), "1 (db2)"),
        (.waitFor(Standbys(method: .first, number: 1, names: ["db2", "db3"])), "", MajorVersion(serverVersionNumber: 90500), "db2, report"),
        (.waitFor(Standbys(method: .any, number: 1, names: ["db2", "db3"])), "", MajorVersion(serverVersionNumber: 90600), nil),
        (.off, "ANY 1 (db2)", .postgres(15), ""),
        (.add("db3"), "ANY 1 (db2)", .postgres(15), "ANY 1 (db2, report)"),
        (.add("db3"), "", .postgres(15), "FIRST 1 (report)"),
        (.add("db2"), "FIRST 1 (DB2)", .postgres(15), "FIRST 1 (DB2)"),
        (.remove("db3"), "ANY 1 (db2, report)", .postgres(15), "ANY 1 (db2)"),
        (.remove("db2"), "FIRST 1 (db2)", .postgres(15), ""),
        (.remove("db2"), "ANY 2 (db2, report)", .postgres(15), nil),
        // Who cannot be asked is known by the node's name.
        (.remove("gone"), "FIRST 1 (gone, db2)", .postgres(15), "FIRST 1 (db2)"),
    ]

    @Test(arguments: cases.indices)
    func `says what the change wants, as the server's version writes it, or is refused`(index: Int) throws {
        let (change, now, version, after) = Self.cases[index]
        let list = try #require(StandbyNames(now, version: version))
        guard let after else {
            #expect(throws: Problem.self) { try Self.view.standbyNames(after: change, from: list, version) }
            return
        }
        #expect("\(try Self.view.standbyNames(after: change, from: list, version))" == after)
        #expect(StandbyNames(after, version: version) != nil, "a server would refuse it")
    }
}
