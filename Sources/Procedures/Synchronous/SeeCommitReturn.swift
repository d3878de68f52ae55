import EventLoop
import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// See that the primary has the standbys for synchronous, and that a commit returns.
struct SeeCommitReturn: LeavesNothing {
    static let name = "verify"
    let standbys: SynchronousStandbys
    var title: String { "Verification of replication: a commit returns" }
    var leavesNothing: String { "its transaction has changed nothing" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let who = standbys.waitedFor.isEmpty ? "" : "see that \(list(standbys.waitedFor)) \(standbys.waitedFor.count == 1 ? "is" : "are") waited for, and "
        return .needed([Change("\(who)commit an empty transaction with synchronous_commit = on")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(30)), (primary, found) = try await standbys.awaitWaitedFor(deadline: deadline), waitedFor = found.map(\.application)
        let session = try await standbys.group.access.separateServer(primary, deadline: deadline)
        do {
            // Those of clients wait as long.
            let took = try await session.commitWaitingForStandbys(deadline: .after(.seconds(10)))
            await session.connection.close()
            return (waitedFor.isEmpty ? "no standby is waited for" : "\(list(waitedFor)) synchronous") + "; a commit took \(took.inSeconds)"
        } catch {
            await session.connection.close()
            guard error is DeadlineExceeded else { throw error }
            throw Problem(
                "\(primary): a commit did not return within 10 s: \(list(waitedFor)) \(waitedFor.count == 1 ? "does" : "do") not say that it is written there",
                hint: "see the server's log and the disk there; whoever waits meanwhile is let go with the list put back")
        }
    }
}
