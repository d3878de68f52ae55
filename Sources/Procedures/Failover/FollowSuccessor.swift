import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Have the other standbys follow the new primary.
struct FollowSuccessor: LeavesNothing {
    static let name = "follow"
    private static let replays = Fact<Bool>("the others replay")
    let failed: FailedGroup
    var title: String { "Have the other standbys follow the new primary" }
    var leavesNothing: String { "they go on following" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard try memory.recall(FailedGroup.succession) != nil else {
            if let new = try await failed.promoted(memory) { return .done("\(new) is the primary") }
            return .needed(
                try await failed.succession(memory).followers.map { Change("\($0.name): primary_conninfo with host=\($0.conninfo["host"] ?? ""); wait until it streams") })
        }
        let succession = try await failed.succession(memory), view = try await failed.look(), late = succession.followers.filter { !view.follows($0) }
        if late.isEmpty, try succession.followers.isEmpty || memory.recall(Self.replays) == true { return .done("everybody streams from \(succession.new)") }
        return late.isEmpty
            ? .needed(succession.followers.map { Change("\($0.name): wait until it has replayed what \(succession.new) has written") })
            : .needed(late.map { Change("\($0.name): primary_conninfo with host=\($0.conninfo["host"] ?? ""); wait until it streams") })
    }

    func perform(_ run: StepRun) async throws -> String {
        let succession = try run.recall(FailedGroup.succession), access = failed.access
        _ = try await onEach(succession.followers.map(\.name)) { name in
            guard let follower = succession.followers.first(where: { $0.name == name }) else { return }
            try await access.follow(follower, run)
        }
        try await access.awaitReplay(by: succession.followers.map(\.name), of: succession.new, deadline: .after(.seconds(120)), run)
        try run.remember(Self.replays, true)
        return "\(list(succession.followers.map(\.name))) \(succession.followers.count == 1 ? "streams" : "stream") from \(succession.new)"
    }
}
