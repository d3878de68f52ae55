import EventLoop
import PostgresClient
import ProcedureKit
import Run
import Server

/// Create the role.
struct CreateRole: Step {
    static let name = "role"
    let role: String
    let node: String
    let access: ClusterAccess
    var title: String { "Create the role \(role) on \(node)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard try await access.server(node).connectionLimit(of: role) == nil else { return .done("it is there") }
        return .needed([Change("\(node): \(Roles.create(role))")])
    }

    func perform(_ run: StepRun) async throws -> String {
        try run.creating(Created("role", on: node, role))
        try await access.server(node).change(Roles.create(role))
        return "created"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        await takeBack(try run.created) { thing in
            let server = try await access.server(thing.place)
            guard try await server.connectionLimit(of: thing.name) != nil else { return .absent }
            try await server.change(Roles.drop(thing.name))
            return .gone("\(thing) is dropped")
        }
    }
}
