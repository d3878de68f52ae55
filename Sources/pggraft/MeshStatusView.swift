import Foundation
import PostgresClient
import Procedures
import Report
import Run

/// A Spock cluster as the terminal and a program get to see it.
struct MeshStatusView {
    let cluster: String
    let status: MeshStatus

    var exitStatus: Int32 { status.problems.isEmpty ? 0 : 1 }

    private var nodes: [[String]] {
        [["node", "state", "position", "read-only", "exceptions", "keeps"]]
            + status.nodes.map { node in
                [
                    node.name, node.role.words, node.position?.description ?? "", node.readOnly ?? "", node.exceptions.map { "\($0)" } ?? "", Self.bytes(node.retained),
                ]
            }
    }

    private func links(_ links: [MeshStatus.Link]) -> [[String]] {
        [["subscription", "from", "to", "status", "slot read", "behind", "for", "keeps"]]
            + links.map { link in
                [
                    link.subscription ?? "none", link.provider, link.subscriber, link.subscription == nil ? "" : link.status ?? "no answer",
                    link.isRead.map { $0 ? "yes" : "no" } ?? "", Self.bytes(link.lagBytes), link.lag?.words ?? "", Self.bytes(link.retained),
                ]
            }
    }

    private var slots: [[String]] {
        [["other slot", "on", "read", "keeps"]] + status.otherSlots.map { [$0.slot, $0.node, $0.isRead ? "yes" : "no", Self.bytes($0.retained)] }
    }

    private static func bytes(_ count: Int64?) -> String { count.map { UInt64(max(0, $0)).inBytes } ?? "" }

    /// All of it; in no more than `rows` lines where that is possible, by leaving out subscriptions that are well.
    func lines(_ terminal: Terminal, atMost rows: Int = .max) -> [String] {
        let problems = status.problems.flatMap { terminal.styled($0.description, .bad).split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
        func all(_ shown: [MeshStatus.Link], _ remark: String?) -> [String] {
            let parts = [terminal.table(nodes), terminal.table(links(shown)) + [remark].compactMap(\.self), terminal.table(slots), problems]
            return Array(parts.filter { !$0.isEmpty }.joined(separator: [""]))
        }
        let whole = all(status.links, nil)
        guard whole.count > rows else { return whole }
        let ill = status.links.filter { !$0.isWell }, well = status.links.filter(\.isWell)
        let furthest = well.max { ($0.lagBytes ?? 0) < ($1.lagBytes ?? 0) }, longest = well.compactMap(\.lag).max { $0.duration < $1.duration }
        let remark = furthest.map {
            "\(well.count) \(ill.isEmpty ? "" : "others ")replicate, their slots are read: \(Self.bytes($0.lagBytes)) behind at most\(longest.map { ", for \($0.words)" } ?? "")"
        }
        return all(ill, remark)
    }

    /// What a watcher wants to hear of again when it changes: not how far everybody is.
    var shape: [String] {
        status.nodes.map { "\($0.name) \($0.role) \($0.readOnly ?? "") \($0.exceptions ?? 0)" }
            + status.links.map { "\($0.provider) \($0.subscriber) \($0.status ?? "") \($0.isRead.map(String.init) ?? "")" }
            + status.otherSlots.map { "\($0.node) \($0.slot) \($0.isRead)" }
            // For how long one has been silent is no news.
            + status.problems.map(\.fact.kind).filter { !$0.contains("has given no answer") }
    }

    func json(at moment: Date) -> JSON {
        .object([
            "at": JSON(moment), "cluster": JSON(cluster), "status": JSON(Int(exitStatus)), "problems": JSON(each: status.problems, \.json),
            "nodes": JSON(each: status.nodes) { node in
                .object([
                    "node": JSON(node.name), "role": JSON(node.role.rawValue), "position": JSON(node.position?.description), "read_only": JSON(node.readOnly),
                    "exceptions": JSON(node.exceptions), "retained_bytes": node.retained.map(JSON.integer) ?? .null,
                ])
            },
            "subscriptions": JSON(each: status.links) { link in
                .object([
                    "subscription": JSON(link.subscription), "provider": JSON(link.provider), "subscriber": JSON(link.subscriber),
                    "replication": JSON(link.status), "slot": JSON(link.slot), "slot_is_read": link.isRead.map(JSON.bool) ?? .null,
                    "lag_bytes": link.lagBytes.map(JSON.integer) ?? .null, "lag_seconds": link.lag.map { .number(($0.duration.seconds * 1000).rounded() / 1000) } ?? .null,
                    "lag_is": JSON(link.lag?.word), "retained_bytes": link.retained.map(JSON.integer) ?? .null,
                ])
            },
            "other_slots": JSON(each: status.otherSlots) { slot in
                .object([
                    "node": JSON(slot.node), "slot": JSON(slot.slot), "slot_is_read": .bool(slot.isRead), "retained_bytes": slot.retained.map(JSON.integer) ?? .null,
                ])
            },
        ])
    }
}

extension Lag {
    var words: String {
        switch self {
        case .none: "0 s"
        case .measured(let time): time.inSeconds
        case .atLeast(let time): "≥ \(time.inSeconds)"
        case .atMost(let time): "≤ \(time.inSeconds)"
        }
    }

    /// What ``words`` say with a sign.
    var word: String {
        switch self {
        case .none, .measured: "measured"
        case .atLeast: "at_least"
        case .atMost: "at_most"
        }
    }
}

extension MeshStatus.Node.Role {
    var words: String {
        switch self {
        case .member: "member"
        case .noMember: "no member"
        case .standby: "standby"
        case .stranger: "no such node"
        case .stopped: "stopped"
        case .deaf: "lets nobody in"
        case .unreachable, .silent: "no answer"
        }
    }
}
