import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Say how far the new primary was behind the old one, and which transactions are missing.
struct ReportLoss: LeavesNothing {
    static let name = "report"
    static let words = Fact<[String]>("what is missing")
    let failed: FailedGroup
    var title: String { "Say which transactions of \(failed.old) are missing, as far as its WAL can be read" }
    var leavesNothing: String { "it only looked" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try memory.recall(Self.words) != nil { return .done("said") }
        if try memory.recall(FailedGroup.succession) == nil, let new = try await failed.promoted(memory) { return .done("\(new) is the primary") }
        return .needed([Change("\(failed.old): what it had written beyond the promotion")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let left = try run.recall(FailedGroup.promotion), words = try await words(left)
        try run.remember(Self.words, words)
        return words.joined(separator: "; ")
    }

    private func words(_ left: FailedGroup.Left) async throws -> [String] {
        let written: WrittenBeyond
        do {
            written = try await failed.oldInstance().written(beyond: left.at, on: left.from, deadline: .after(.seconds(600)))
        } catch let error where !(error is CancellationError) {
            return ["what \(failed.old) had written beyond \(left.at) cannot be seen: \(Problem(explaining: error).fact)"]
        }
        guard let last = written.last else { return ["nothing is missing: \(failed.old) had written nothing beyond \(left.at)"] }
        let distance = "\(failed.old) had written \(UInt64(max(0, last.bytes(since: left.at))).inBytes) more, from \(left.at) to \(last)"
        guard !written.commits.isEmpty else { return ["no transaction is missing: \(distance), without a commit"] }
        let shown = written.commits.prefix(20).map(\.description)
        return ["\(written.commits.count) \(written.commits.count == 1 ? "transaction is" : "transactions are") missing: \(distance)"] + shown
            + (written.commits.count > shown.count ? ["… and \(written.commits.count - shown.count) more"] : [])
    }
}
