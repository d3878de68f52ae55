import PostgresClient
import ProcedureKit
import Report
import Server
import Testing

@testable import Instance
@testable import Procedures

/// Whether an old primary may be one again, and somebody take its place, by what was looked at.
@Suite("The old primary of a run that goes back, or goes on") struct OldPrimaryTests {
    private static func node(_ name: String, _ state: GroupView.State) -> GroupView.Node { GroupView.Node(name: name, address: "10.0.0.\(name.dropFirst(2))", state: state) }

    private static func primary(_ name: String, timeline: UInt32 = 2) -> GroupView.Node {
        node(name, .serving(ReplicationLook(recovery: RecoveryState(isInRecovery: false), timeline: timeline, writtenLSN: LSN(position: 0x4000000))))
    }

    private static func standby(_ name: String, timeline: UInt32 = 1) -> GroupView.Node {
        node(name, .serving(ReplicationLook(recovery: RecoveryState(isInRecovery: true), timeline: timeline)))
    }

    private static func away(_ name: String) -> GroupView.Node { node(name, .unreachable(Problem("\(name): no route to host"))) }

    private func old(_ marked: ControlData?, _ others: [GroupView.Node], checkpoint: String? = "0/3000028") -> OldPrimary {
        OldPrimary(name: "db1", marked: marked, checkpoint: checkpoint.flatMap { LSN($0) }, others: GroupView(others))
    }

    // MARK: Back

    @Test func `one that this run has stopped is started again, also where the new one has no answer`() throws {
        for others in [[Self.standby("db2"), Self.standby("db3")], [Self.away("db2")], [Self.away("db2"), Self.standby("db3")]] {
            #expect(old(nil, others, checkpoint: nil).obstacleToReturn() == nil)
            #expect(old(try controlData("shut down"), others).obstacleToReturn() == nil)
        }
        for state in ["shut down in recovery", "in archive recovery"] {
            #expect(old(try controlData(state), [Self.standby("db2"), Self.standby("db3")]).obstacleToReturn() == nil)
        }
    }

    @Test func `not beside another primary, which is named`() throws {
        for marked in [nil, try controlData("shut down"), try controlData("in archive recovery", timeline: 2, checkpoint: "0/9000028")] {
            for others in [[Self.primary("db2")], [Self.standby("db2", timeline: 2), Self.primary("db3")], [Self.away("db2"), Self.primary("db3")]] {
                let problem = try #require(old(marked, others).obstacleToReturn())
                #expect(problem.fact.hasPrefix("\(others.last?.name ?? "") is the primary (primary on timeline 2"), "\(problem)")
                #expect(problem.fact.hasSuffix("db1 is not started as another one, and left as it is"))
                #expect(problem.hint?.contains("procedure: rejoin") == true)
            }
        }
    }

    @Test func `a standby that is not as this run has left it stays one`() throws {
        for others in [[Self.standby("db2")], [Self.away("db2")]] {
            #expect(old(try controlData("shut down", checkpoint: "0/9000028"), others).obstacleToReturn()?.fact.hasPrefix("db1 is a standby (shut down, timeline 1") == true)
            #expect(old(try controlData("in archive recovery", checkpoint: "0/9000028"), others).obstacleToReturn() != nil)
            #expect(old(try controlData("in production"), others).obstacleToReturn() != nil)
            #expect(old(try controlData("shut down"), others, checkpoint: nil).obstacleToReturn() != nil)
        }
    }

    @Test func `nor is one started that may have found another primary, which is not seen`() throws {
        for state in ["shut down in recovery", "in archive recovery"] {
            let problem = try #require(old(try controlData(state), [Self.away("db2"), Self.standby("db3")]).obstacleToReturn())
            #expect(problem.fact == "db1 was started as a standby since, and whether db2 is the primary cannot be seen: cannot be reached: db2: no route to host")
        }
        let followed = try #require(old(try controlData("shut down"), [Self.away("db2"), Self.standby("db3", timeline: 2)]).obstacleToReturn())
        #expect(followed.fact == "db3 is on timeline 2, and db1 on 1: somebody was promoted, and db1 is left as it is")
    }

    // MARK: On

    private func toPromote(_ marked: ControlData?, found: GroupView.Node, _ others: [GroupView.Node]) -> Problem? {
        old(marked, others).obstacleToPromotion(of: "db2", found: found)
    }

    @Test func `the new one is promoted where the old one is as the run has left it`() throws {
        let stopped = try controlData("shut down"), others = [Self.standby("db2"), Self.standby("db3")]
        #expect(toPromote(stopped, found: Self.node("db1", .down(stopped)), others) == nil)
        #expect(toPromote(stopped, found: Self.node("db1", .down(stopped)), [Self.standby("db2"), Self.away("db3")]) == nil)
        #expect(toPromote(try controlData("in archive recovery"), found: Self.standby("db1"), others) == nil)
    }

    @Test func `and not beside another primary, or one that may be started as one`() throws {
        let stopped = try controlData("shut down"), down = Self.node("db1", .down(stopped)), others = [Self.standby("db2"), Self.standby("db3")]
        #expect(toPromote(nil, found: Self.primary("db1", timeline: 1), others)?.fact.hasPrefix("db1 is the primary: somebody has taken its mark") == true)
        let third = try #require(toPromote(stopped, found: down, [Self.standby("db2"), Self.primary("db3")]))
        #expect(third.fact.hasPrefix("db3 is the primary (primary on timeline 2") && third.fact.hasSuffix("db2 is not promoted beside it"))
        #expect(toPromote(nil, found: down, others)?.fact.hasPrefix("db1 is not marked as a standby any more") == true)
        #expect(toPromote(try controlData("shut down", checkpoint: "0/9000028"), found: down, others)?.fact.contains("db2 lacks what it has written") == true)
        let away = try #require(toPromote(nil, found: Self.away("db1"), others))
        #expect(away.fact.contains("cannot be seen") && away.hint?.contains("procedure: failover") == true)
    }

    @Test func `a server that answers is not lost, whether or not it lets pggraft in`() {
        func error(_ code: String?) -> PostgresError { .cannotConnect(node: "db1", message: "refused", code: code) }
        for code in ["28P01", "28000", "53300", "3D000"] { #expect(PrimaryIsLost.isAnswer(error(code)), "\(code)") }
        for code in ["57P03", "57P01", nil] { #expect(!PrimaryIsLost.isAnswer(error(code)), "\(code ?? "")") }
    }
}
