import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Let the role have so many connections.
struct LimitConnections: Step {
    static let name = "connection-limit"
    let role: String
    let node: String
    let limit: Int
    let access: ClusterAccess
    var title: String { "Let \(role) have at most \(limit) connections to \(node)" }

    /// How many it might have before the run.
    static let before = Fact<Int>("connection limit before")

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard try await access.server(node).connectionLimit(of: role) != limit else { return .done("it may have \(limit)") }
        return .needed([Change("\(node): \(Roles.limit(role, to: limit))")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let server = try await access.server(node)
        if try run.memory.recall(Self.before) == nil, let now = try await server.connectionLimit(of: role) { try run.remember(Self.before, now) }
        try await server.change(Roles.limit(role, to: limit))
        return "at most \(limit)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let before = try run.memory.recall(Self.before) else { return .undone([]) }
        let server = try await access.server(node)
        switch try await server.connectionLimit(of: role) {
        case nil, before?: return .undone([])
        case limit?:
            try await server.change(Roles.limit(role, to: before))
            return .undone(["\(node): \(role) may have \(before) connections, as before"])
        case let now?:
            return .left([Problem("\(node): \(role) may have \(now) connections, which this run did not set: left alone", hint: "it were \(before) before")])
        }
    }
}
