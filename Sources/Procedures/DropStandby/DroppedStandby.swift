import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// A standby that is taken out of its group: from whom it streams, and what is kept for it there.
struct DroppedStandby: Sendable {
    let name: String
    let group: Group

    /// What it was when the run began: it is stopped since, and cannot be asked.
    static let ties = Fact<Ties>("ties of the standby")

    struct Ties: Sendable, Codable {
        /// The node that it streamed from; `nil` where that is none of the group.
        var upstream: String?
        /// Its slot there.
        var slot: SlotName?
    }

    private var access: ClusterAccess { group.access }

    /// A group whose standby may be gone for good: that is waited for once, and not for long.
    func look() async throws -> GroupView { try await group.look(deadline: .after(.seconds(20))) }

    /// - Parameter view: as the group is now.
    func ties(_ memory: Memory, _ view: GroupView) async throws -> Ties {
        if let ties = try memory.recall(Self.ties) { return ties }
        let primary = try view.primary()
        if let node = view[name], node.isStandby {
            let upstream = view.upstream(of: node)?.name
            return Ties(upstream: upstream, slot: upstream == nil ? nil : node.slot)
        }
        // Its server does not run: its files say what it streamed through, where they can be read.
        let slot = try await slotOfFiles(view) ?? SlotName(ofStandby: name)
        let holder = view.nodes.first { $0.name != name && ($0.look?.slots.contains { $0.name == slot && $0.plugin == nil } ?? false) }
        return Ties(upstream: holder?.name ?? primary.name, slot: holder == nil ? nil : slot)
    }

    private func slotOfFiles(_ view: GroupView) async throws -> SlotName? {
        guard case .down? = view[name]?.state else { return nil }
        let instance = try await access.instance(name), tree = try await instance.settingsTree(deadline: .after(.seconds(30)))
        return tree.deciding("primary_slot_name").flatMap { SlotName(rawValue: $0.value) }
    }

    /// The slot as it is now; `nil` where there is none of that name.
    func slot(_ ties: Ties) async throws -> ReplicationSlot? {
        guard let upstream = ties.upstream, let slot = ties.slot else { return nil }
        return try await access.server(upstream).slot(slot, deadline: .after(.seconds(20)))
    }
}

extension GroupView {
    /// Why `standby` cannot be taken out; `nil` where nothing is in the way.
    func obstacle(toDropping standby: Node) -> Problem? {
        if standby.isPrimary { return Problem("\(standby.name) is the primary", hint: "switch over first: it is a standby then") }
        if case .deaf(_, let problem) = standby.state {
            return Problem("\(standby.name) runs and lets nobody in: whether it is a standby cannot be seen: \(problem.fact)", hint: "mend that, or stop it by hand")
        }
        let followers = standbys(of: standby), others = strangers(on: standby)
        guard followers.isEmpty, others.isEmpty else {
            let names = followers.map(\.name) + others.map { $0.application }
            return Problem("\(list(names)) \(names.count == 1 ? "streams" : "stream") from \(standby.name)", hint: "have them stream from another node first, or drop them first")
        }
        let kept = standby.look?.slots.filter { $0.plugin != nil || $0.isActive } ?? []
        guard kept.isEmpty else {
            return Problem("\(standby.name) keeps the slots \(list(kept.map(\.name.rawValue)))", hint: "see who reads them, and drop them there")
        }
        return nil
    }
}
