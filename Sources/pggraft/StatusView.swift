import Foundation
import PostgresClient
import ProcedureKit
import Report
import Run

/// A primary and its standbys as the terminal and a program get to see them.
struct StatusView {
    let cluster: String
    let status: GroupStatus
    /// For how long commits have hung; `nil` where none do.
    var hanging: Duration?

    var exitStatus: Int32 { status.problems.isEmpty ? 0 : 1 }

    private var rows: [[String]] {
        [["node", "role", "from", "timeline", "position", "behind", "commits", "slot", "keeps"]]
            + status.lines.map { line in
                let role = line.role == .standby && !line.isStreaming ? "standby, not streaming" : line.role.words
                return [
                    line.node, role, line.upstream ?? "", line.timeline.map { "\($0)" } ?? "", line.position?.description ?? "", Self.bytes(line.lag), line.sync ?? "",
                    line.slot ?? "",
                    Self.bytes(line.retained),
                ]
            }
    }

    private static func bytes(_ count: Int64?) -> String { count.map { UInt64(max(0, $0)).inBytes } ?? "" }

    func show(on terminal: Terminal) {
        terminal.print(table: rows)
        if let hanging { terminal.print(terminal.styled("Commits have waited for \(hanging.inSeconds).", .warn)) }
        for problem in status.problems { terminal.print(terminal.styled(problem.description, .bad)) }
    }

    /// What a watcher wants to hear of again when it changes: not how far everybody is.
    var shape: [String] {
        status.lines.map { "\($0.node) \($0.role) \($0.upstream ?? "") \($0.isStreaming) \($0.timeline ?? 0) \($0.sync ?? "")" } + status.problems.map(\.fact.kind)
            + (hanging == nil ? [] : ["hanging"])
    }

    func json(at moment: Date) -> JSON {
        .object([
            "at": JSON(moment), "cluster": JSON(cluster), "status": JSON(Int(exitStatus)), "problems": JSON(each: status.problems, \.json),
            "commits_hang_seconds": hanging.map { .number(($0.seconds * 1000).rounded() / 1000) } ?? .null,
            "nodes": JSON(each: status.lines) { line in
                .object([
                    "node": JSON(line.node), "role": JSON(line.role.rawValue), "upstream": JSON(line.upstream), "is_streaming": .bool(line.isStreaming),
                    "timeline": JSON(line.timeline.map(Int.init)), "position": JSON(line.position?.description), "lag_bytes": line.lag.map(JSON.integer) ?? .null,
                    "sync": JSON(line.sync), "slot": JSON(line.slot), "retained_bytes": line.retained.map(JSON.integer) ?? .null,
                ])
            },
        ])
    }
}

extension GroupStatus.Line.Role {
    var words: String {
        switch self {
        case .primary: "primary"
        case .standby: "standby"
        case .stopped: "stopped"
        case .deaf: "lets nobody in"
        case .unreachable: "no answer"
        }
    }
}

extension String {
    /// A fact without its figures.
    var kind: String { String(filter { !$0.isNumber }) }
}
