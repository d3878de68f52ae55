import Foundation
import PostgresClient
import ProcedureKit
import Procedures
import Report
import Run

/// A Postgres-XC cluster as the terminal and a program get to see it.
struct DatanodeStatusView {
    let cluster: String
    let status: DatanodeStatus

    var exitStatus: Int32 { status.problems.isEmpty ? 0 : 1 }

    private var servers: [[String]] {
        [["node", "of", "state", "from", "position", "behind", "in doubt"]]
            + status.lines.map { line in
                let server = line.server, isCoordinator = line.of == DatanodeStatus.coordinator
                let role =
                    server.role == .primary
                    ? (isCoordinator ? "runs" : "master") : server.role == .standby ? (server.isStreaming ? "slave" : "slave, not streaming") : server.role.words
                return [
                    server.node, line.of, role, server.upstream ?? "", server.position?.description ?? "", server.lag.map { UInt64(max(0, $0)).inBytes } ?? "",
                    line.inDoubt.map { "\($0)" } ?? "",
                ]
            }
    }

    private var entries: [[String]] {
        [["coordinator", "has", "at", "which is", "takes writes", "flags"]]
            + status.entries.map { [$0.coordinator, $0.datanode, $0.place ?? "", $0.node ?? "", $0.isRight.map { $0 ? "yes" : "no" } ?? "", $0.flags] }
    }

    func show(on terminal: Terminal) {
        terminal.print(table: servers)
        terminal.print()
        terminal.print(table: entries)
        for problem in status.problems { terminal.print(terminal.styled(problem.description, .bad)) }
    }

    /// What a watcher wants to hear of again when it changes: not how far everybody is.
    var shape: [String] {
        status.lines.map { "\($0.server.node) \($0.server.role) \($0.server.upstream ?? "") \($0.server.isStreaming)" }
            + status.entries.map { "\($0.coordinator) \($0.datanode) \($0.place ?? "") \($0.isRight.map(String.init) ?? "")" } + status.problems.map(\.fact.kind)
    }

    func json(at moment: Date) -> JSON {
        .object([
            "at": JSON(moment), "cluster": JSON(cluster), "status": JSON(Int(exitStatus)), "problems": JSON(each: status.problems, \.json),
            "servers": JSON(each: status.lines) { line in
                .object([
                    "node": JSON(line.server.node), "of": JSON(line.of), "role": JSON(line.server.role.rawValue), "upstream": JSON(line.server.upstream),
                    "is_streaming": .bool(line.server.isStreaming), "position": JSON(line.server.position?.description),
                    "lag_bytes": line.server.lag.map(JSON.integer) ?? .null, "in_doubt": JSON(line.inDoubt),
                ])
            },
            "entries": JSON(each: status.entries) { entry in
                .object([
                    "coordinator": JSON(entry.coordinator), "datanode": JSON(entry.datanode), "address": JSON(entry.place), "node": JSON(entry.node),
                    "takes_writes": entry.isRight.map(JSON.bool) ?? .null, "flags": JSON(entry.flags),
                ])
            },
        ])
    }
}
