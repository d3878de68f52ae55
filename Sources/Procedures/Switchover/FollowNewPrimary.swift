import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Make a standby of the old primary, or have the other standbys follow the new one.
struct FollowNewPrimary: LeavesNothing {
    enum Who: String, Sendable { case old, others }

    static let name = "follow"
    let who: Who
    let group: SwitchedGroup
    let patience: Patience
    var name: String { "follow-\(who.rawValue)" }
    var title: String { who == .old ? "Start the old primary as a standby of \(group.new)" : "Have the other standbys follow \(group.new)" }
    var leavesNothing: String { group.keeps }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        let followers = who == .old ? roles.followers.filter { $0.name == roles.old } : roles.others
        guard !followers.isEmpty else { return .done("there are none") }
        let view = try await group.group.look()
        let settings = try settings(of: roles, memory)
        var late: [Follower] = []
        for follower in followers {
            // One that somebody else has started may follow already, and is still closed.
            if view.follows(follower), try await group.access.isConfigured(follower, settings: settings) { continue }
            late.append(follower)
        }
        if late.isEmpty { return .done("\(list(followers.map(\.name))) \(followers.count == 1 ? "streams" : "stream") from \(group.new)") }
        return .needed(
            late.map {
                Change(
                    "\($0.name): primary_conninfo with host=\($0.conninfo["host"] ?? "")\($0.slot.map { ", primary_slot_name = \($0)" } ?? ""); wait until it streams from \(group.new)"
                )
            })
    }

    /// What else the files of the old primary say then: what closed it to writers goes, and as a standby it waits for nobody.
    private func settings(of roles: Roles, _ memory: Memory) throws -> KeyValuePairs<String, String?> {
        guard who == .old else { return [:] }
        return [ClosingSetting.readOnlyByDefault.name: try memory.recall(ClosedWindow.before)?[roles.old]?.altered, "synchronous_standby_names": ""]
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), access = group.access, patience = patience, settings = try settings(of: roles, run.memory)
        let followers = who == .old ? roles.followers.filter { $0.name == roles.old } : roles.others
        _ = try await onEach(followers.map(\.name)) { name in
            guard let follower = roles.follower(name) else { return }
            try await access.follow(follower, settings: settings, patience: patience, run)
        }
        return "\(list(followers.map(\.name))) \(followers.count == 1 ? "streams" : "stream") from \(roles.new)"
    }
}

extension GroupView {
    /// Whether `follower` streams from its upstream, as it shall.
    func follows(_ follower: Follower) -> Bool {
        guard let node = self[follower.name], node.isStandby, node.look?.recovery.isStreaming == true else { return false }
        return upstream(of: node)?.name == follower.upstream && node.slot == follower.slot
    }
}
