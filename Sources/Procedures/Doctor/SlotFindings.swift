import Foundation
import Report
import Server
import Spock

/// Slots that nobody reads: each keeps WAL until the disk is full.
enum SlotFindings {
    static func all(_ facts: DoctorFacts, at now: Date) -> [Diagnosis] {
        facts.nodes.flatMap { node in
            // A logical slot of a standby is a copy of its primary's, which nobody reads there.
            node.slots.filter { !$0.isActive && !(node.isStandby && $0.plugin != nil) }.map { slot in
                if let name = NodeName(rawValue: node.node), let mesh = facts.mesh, let subscription = mesh.subscription(reading: slot.name, on: name) {
                    return unread(subscription, slot, on: node, mesh, at: now)
                }
                return Diagnosis(
                    .unreadSlot, on: node.node, "slot \(slot.name)", found: "nobody reads it; \(kept(slot, on: node, at: now))", needed: "a reader, or no slot",
                    why: "it keeps WAL for a reader that may never come, until the disk is full and the server stops",
                    mend: mend(slot, on: node, facts))
            }
        }
    }

    /// That it is dropped is only said where all who may read it were asked.
    private static func mend(_ slot: ReplicationSlot, on node: NodeFacts, _ facts: DoctorFacts) -> String {
        if let reader = facts.nodes.first(where: { $0.upstreamSlot == slot.name.rawValue && $0.node != node.node }) {
            return "it is that of \(reader.node): see why that does not stream"
        }
        let drop = "SELECT pg_drop_replication_slot('\(slot.name)')", unlooked = facts.unlooked.filter { $0 != node.node }, unnamed = facts.unnamed
        guard unlooked.isEmpty, unnamed.isEmpty else {
            let doubts = [
                unlooked.isEmpty ? nil : "\(list(unlooked)), which could not be looked at: bring that back, or remove it with procedure: \(facts.removal)",
                unnamed.isEmpty ? nil : "\(list(unnamed)), which the playbook does not name: name it there, or remove it with procedure: \(facts.removal)",
            ].compactMap(\.self)
            return "it may be that of \(doubts.joined(separator: "; or that of ")); then ask again"
        }
        guard let own = NodeName(rawValue: node.node).flatMap({ facts.mesh?.state($0)?.database }), let database = slot.database else { return drop }
        if database != own { return "it is of database \(database), and who reads there is not known here: see that first; where nobody will come back to it: \(drop)" }
        guard let joining = facts.unsettled, slot.plugin == ReplicationSlot.spockPlugin else { return drop }
        return "a run may have made it for \(joining): let that end, or undo it (pggraft runs); where none has: \(drop)"
    }

    /// Subscriptions of the mesh whose slot is not even there.
    static func missing(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.view.allSubscriptions.filter { subscription in
            mesh.state(subscription.provider).map { state in !state.slots.contains { $0.name == subscription.slot } } ?? false
        }.map { subscription in
            diagnosis(
                subscription, mesh, "its slot \(subscription.slot) is not on \(subscription.provider)",
                why: "\(subscription.subscriber) gets nothing of what \(subscription.provider) writes, and what was written since the slot went is lost to it",
                mend: "compare the nodes (pggraft verify); then make the subscription anew, with a copy of what differs")
        }
    }

    private static func unread(_ subscription: Subscription, _ slot: ReplicationSlot, on node: NodeFacts, _ mesh: MeshFacts, at now: Date) -> Diagnosis {
        let isDisabled = mesh.state(subscription.subscriber)?.statuses[subscription.name] == .disabled
        return diagnosis(
            subscription, mesh, "nobody reads its slot \(slot.name) on \(subscription.provider); \(kept(slot, on: node, at: now))",
            why: "\(subscription.subscriber) gets nothing of what \(subscription.provider) writes, and \(subscription.provider) keeps WAL for it until its disk is full",
            mend: isDisabled
                ? "SELECT spock.sub_enable('\(subscription.name)')"
                : "see the ends of the server logs of \(subscription.subscriber) and \(subscription.provider); SELECT pg_reload_conf() on \(subscription.subscriber) wakes its workers"
        )
    }

    private static func diagnosis(_ subscription: Subscription, _ mesh: MeshFacts, _ fact: String, why: String, mend: String) -> Diagnosis {
        let status = mesh.state(subscription.subscriber)?.statuses[subscription.name] ?? .unknown
        return Diagnosis(
            .unreadSubscription, on: subscription.subscriber.rawValue, "subscription \(subscription.name)", found: "its status is \(status), and \(fact)",
            needed: "a slot that is read", why: why, mend: mend)
    }

    /// `it keeps 3 GB, and at 2 MB a second the 40 GB that are free on /var are used up on 2026-12-01`.
    static func kept(_ slot: ReplicationSlot, on node: NodeFacts, at now: Date) -> String {
        if slot.walStatus == "lost" { return "what it needs is gone already (max_slot_wal_keep_size)" }
        let kept = "it keeps \(slot.retainedBytes.map { UInt64(max(0, $0)).inBytes } ?? "WAL")", room = node.wal
        if let limit = room.limit { return "\(kept), and the server gives it up at \(UInt64(limit).inBytes) (max_slot_wal_keep_size)" }
        let free = "\(room.free.inBytes) that are free on \(room.mount)"
        guard let rate = room.rate else { return kept }
        guard rate >= 1 else { return "\(kept); nothing is written at present, and the \(free) stay so" }
        let time = Double(room.free) / rate
        let day = time > 100 * 365 * 86_400 ? "in more than a hundred years" : "on \(now.addingTimeInterval(time).formatted(.iso8601.year().month().day()))"
        return "\(kept), and at the present \(UInt64(rate).inBytes) a second the \(free) are used up \(day)"
    }
}
