import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// See that the master takes the slave for synchronous. A datanode takes no write of ours that could show it.
struct SeeWaitedFor: LeavesNothing {
    static let name = "synchronous-seen"
    let standbys: SynchronousStandbys
    var title: String { "See in pg_stat_replication that \(list(standbys.waitedFor)) is synchronous" }
    var leavesNothing: String { "it only looked" }

    func inspect(_ memory: Memory) async throws -> Inspection { .needed([Change("sync_state of \(list(standbys.waitedFor)): sync")]) }

    func perform(_ run: StepRun) async throws -> String {
        let (primary, found) = try await standbys.awaitWaitedFor(deadline: .after(.seconds(60)))
        let words = found.map { "\($0.application) \($0.sync), flushed up to \($0.flushedLSN?.description ?? "nothing")" }
        return "\(primary): \(words.joined(separator: "; "))"
    }
}
