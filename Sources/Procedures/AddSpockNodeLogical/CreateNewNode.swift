import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Create a replication node on the new node.
struct CreateNewNode: Step {
    static let name = "create-node"
    /// What the new node's database was like before.
    static let before = Fact<Before>("new node before")

    struct Before: Sendable, Codable {
        var hadExtension: Bool
        var connectionLimit: Int
        /// Whose names are the new node's own.
        var schemas: [String]
        var origins: [OriginName]
        var extensions: [String]
        /// Rows of `spock.exception_log` that a former life of its server has left; `nil` in the journal of an older run.
        var exceptions: Int?
        /// The positions without a name that a former life of its server has left; `nil` in the journal of an older run.
        var nameless: [ReplicationOrigin]?
    }

    /// What the node's entry says beside its name.
    struct Details: Sendable {
        var location: String?
        var country: String?
        var info: String?
    }

    let node: LogicalNode
    let details: Details
    let roles: MissingRoles
    var title: String { "Create a replication node on \(node.name)" }
    private var mesh: SpockMesh { node.mesh }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) > .empty, memory.began(Self.self) { return .done("\(node.name) is a Spock node") }
        let missing = try roles.creates(memory) ? try await roles.look() : []
        var changes = missing.map { Change("\(node.name): CREATE ROLE \($0.name), with the attributes, memberships and password verifier that it has on \(mesh.source)") }
        changes.append(Change("\(node.name): database \(mesh.database) takes no connection but superusers', until the proof has passed"))
        changes.append(Change("\(node.name): CREATE EXTENSION spock if it is not there, node_create '\(node.name)' (\(try mesh.newNodeDSN))"))
        return .needed(changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(60)), session = try await mesh.spock(node.name)
        guard let version = try await mesh.spock(mesh.source).extensionVersion(deadline: deadline) else { throw Problem("\(mesh.source) has no extension spock any more") }
        if try run.memory.recall(Self.before) == nil {
            async let hadExtension = session.extensionVersion(deadline: deadline) != nil, limit = session.server.connectionLimit(deadline: deadline)
            async let origins = session.server.origins(deadline: deadline), contents = session.server.ownContents(deadline: deadline)
            let exceptions = try await hadExtension ? try await session.exceptionCount(deadline: deadline) : 0
            try run.remember(
                Self.before,
                Before(
                    hadExtension: try await hadExtension, connectionLimit: try await limit, schemas: try await contents.schemas.filter { $0 != SpockSession.schema },
                    origins: try await origins.compactMap(\.name), extensions: try await contents.extensions, exceptions: exceptions,
                    nameless: try await origins.filter { $0.name == nil }))
        }
        try run.remember(CopiedNode.programs, KnownPrograms(of: try await mesh.access.instance(node.name)))
        let missing = try roles.creates(run.memory) ? try await roles.look() : []
        for role in missing { try run.creating(Created("role", on: node.name, role.name)) }
        if !missing.isEmpty { try await roles.create(missing, deadline: deadline) }
        try run.creating(Created("Spock node", on: node.name, node.name))
        try await session.server.limitConnections(to: 0, deadline: deadline)
        let id: NodeID
        if let local = try await session.state(deadline: deadline).local {
            id = local.id
        } else {
            id = try await session.createNode(
                try mesh.name(node.name), dsn: try mesh.newNodeDSN, location: details.location, country: details.country, info: details.info, withExtension: version,
                deadline: deadline)
        }
        // What the extension has brought along is none of what is copied.
        var before = try run.recall(Self.before)
        before.extensions = try await session.server.ownContents(deadline: deadline).extensions
        try run.remember(Self.before, before)
        return "node \(node.name) with id \(id), Spock \(version)" + (missing.isEmpty ? "" : ", roles \(list(missing.map(\.name)))")
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let before = try run.memory.recall(Self.before) else { return .undone([]) }
        return await takeBack(try run.created) { [mesh, node] thing in
            if let problem = try node.obstacle(to: "\(thing)", run.memory) { return .left(problem) }
            let session = try await mesh.spock(node.name), deadline = Deadline.after(.seconds(60))
            if thing.kind == "role" {
                guard try await session.server.hasRole(thing.name, deadline: deadline) else { return .absent }
                do {
                    try await session.server.dropRole(thing.name, deadline: deadline)
                } catch let error as PostgresError where error.code == "2BP01" {
                    return .left(
                        Problem(
                            "\(thing) owns things, or was given rights, on \(node.name): left alone", because: error,
                            hint: "pggraft undo RUN --purge-data removes what was copied; then undo again"))
                }
                return .gone("\(thing) is dropped")
            }
            var gone: [String] = []
            if try await session.state(deadline: deadline).local?.name.rawValue == node.name {
                try await session.dropNode(try mesh.name(node.name), deadline: deadline)
                gone.append("\(node.name) is no Spock node any more")
            }
            if !before.hadExtension, try await session.extensionVersion(deadline: deadline) != nil { try await session.dropExtension(deadline: deadline) }
            try await node.dropOrigins(except: before.origins, deadline: deadline)
            try await session.server.limitConnections(to: before.connectionLimit, deadline: deadline)
            return gone.isEmpty ? .absent : .gone(gone.joined(separator: "; "))
        }
    }
}
