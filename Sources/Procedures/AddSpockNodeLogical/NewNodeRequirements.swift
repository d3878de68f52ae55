import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

/// What was seen of the new node's server, for the requirements that rest on it.
actor NewNodeSurvey {
    private var found: SpockNodeState?
    func saw(_ state: SpockNodeState) { found = state }
    func stateIfSeen() -> SpockNodeState? { found }

    /// - Throws: `NotLooked` where it could not be looked at.
    func state() throws -> SpockNodeState {
        guard let found else { throw NotLooked() }
        return found
    }
}

/// The new node's server runs, has the database, and Spock loaded, in the version of the mesh.
struct NewNodeIsReady: Requirement {
    let name = "PostgreSQL"
    let node: LogicalNode
    let survey: NewNodeSurvey
    var place: String? { node.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        // Its server is stopped for a moment then.
        guard !memory.began(LeaveSource.self) else { return [] }
        let mesh = node.mesh, session: SpockSession, state: SpockNodeState
        do {
            session = try await mesh.spock(node.name)
            state = try await session.state(deadline: .after(.seconds(60)))
        } catch let error as PostgresError where error.code == "3D000" {
            return [Finding(name, on: node.name, "has no database \(mesh.database)", .notMet(hint: "on \(node.name): CREATE DATABASE \(mesh.database)"))]
        } catch let error as PostgresError where error.code == "42501" {
            let role = mesh.access.roster.role
            return [Finding(name, on: node.name, "\(role) is no superuser there", .notMet(hint: "ALTER ROLE \(role) SUPERUSER"))]
        } catch {
            return [Finding(notMet: name, on: node.name, because: error)]
        }
        if state.isInRecovery { return [Finding(name, on: node.name, "is a standby", .notMet(hint: "the new node is a server of its own"))] }
        guard try await session.isLoaded(deadline: .after(.seconds(20))) else {
            return [
                Finding(
                    "Spock", on: node.name, "is not loaded (shared_preload_libraries = '\(state.settings["shared_preload_libraries"] ?? "")')",
                    .notMet(hint: "add spock to shared_preload_libraries on \(node.name), and restart it"))
            ]
        }
        await survey.saw(state)
        var findings = [Finding(name, on: node.name, "\(await session.connection.serverVersion), database \(mesh.database), Spock loaded")]
        let wanted = try await mesh.spock(mesh.source).extensionVersion(deadline: .after(.seconds(20)))
        let available = try await session.availableVersions(deadline: .after(.seconds(20)))
        if let wanted, let found = state.extensionVersion ?? (available.contains(wanted) ? wanted : available.first), found != wanted {
            findings.append(
                Finding(
                    "Spock", on: node.name, "version \(found), and \(mesh.source) has \(wanted)",
                    .notMet(hint: "the same version on every node: install Spock \(wanted) on \(node.name)")))
        }
        return findings
    }
}

/// Nothing is in the new node's database that the copy would meet, and nothing of an earlier attempt.
struct NewNodeIsEmpty: Requirement {
    let name = "database"
    let node: LogicalNode
    let survey: NewNodeSurvey
    var place: String? { node.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(CreateNewNode.self) else { return [] }
        let state = try await survey.state(), mesh = node.mesh, deadline = Deadline.after(.seconds(60))
        var findings: [Finding] = []
        if let local = state.local {
            findings.append(
                Finding(
                    "Spock node", on: node.name, "is the node \(local.name) already",
                    .notMet(hint: "remove it first: SELECT spock.node_drop('\(local.name)'), or pggraft's remove-spock-node")))
        }
        for subscription in state.subscriptions {
            findings.append(
                Finding("subscription", on: node.name, "\(subscription.name) to \(subscription.provider) is there", .notMet(hint: "SELECT spock.sub_drop('\(subscription.name)')")))
        }
        async let original = mesh.access.server(mesh.source).ownContents(deadline: deadline)
        let server = try await mesh.access.server(node.name)
        async let found = server.othersInPublic(atMost: 9, deadline: deadline)
        let contents = try await server.ownContents(deadline: deadline), schemas = Set(try await original.schemas).subtracting(SpockSession.uncopiedSchemas)
        for (schema, tables) in Dictionary(grouping: contents.tables, by: \.schema).sorted(by: { $0.key < $1.key }) {
            let words = "schema \(schema) has \(tables.count) tables (\(list(tables.prefix(3).map(\.description)))\(tables.count > 3 ? ", …" : ""))"
            let isMet = schema != "public" && !schemas.contains(schema)
            findings.append(
                Finding(
                    name, on: node.name, isMet ? "\(words): it is left alone" : words,
                    isMet ? .note(hint: "the copy skips it (skip_schema)") : .notMet(hint: "the copy would meet them: drop them, or take another database")))
        }
        let others = try await found
        if !others.isEmpty {
            findings.append(
                Finding(
                    name, on: node.name, "schema public has \(others.prefix(8).joined(separator: ", "))\(others.count > 8 ? ", …" : "")",
                    .notMet(hint: "the copy would meet them, and they would go with it: drop them, or take another database")))
        }
        for schema in contents.schemas where schemas.contains(schema) && !contents.tables.contains(where: { $0.schema == schema }) {
            findings.append(
                Finding(
                    name, on: node.name, "schema \(schema) is there, and on \(mesh.source) too",
                    .notMet(hint: "the copy would leave it out (skip_schema): DROP SCHEMA \(schema), if nothing needs it")))
        }
        if !findings.contains(where: { !$0.isMet }) { findings.append(Finding(name, on: node.name, "\(mesh.database) has nothing that the copy would meet")) }
        return findings
    }
}

/// The roles of the source are on the new node.
struct RolesAreThere: Requirement {
    let name = "roles"
    let roles: MissingRoles
    let survey: NewNodeSurvey
    var place: String? { roles.mesh.newNode }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(CreateNewNode.self) else { return [] }
        _ = try await survey.state()
        let (missing, differing) = try await roles.compare(), source = roles.mesh.source, place = roles.mesh.newNode
        var findings: [Finding] = []
        if !missing.isEmpty {
            let creates = try roles.creates(memory), words = "\(list(missing.map(\.name))) of \(source) \(missing.count == 1 ? "is" : "are") not there"
            findings.append(
                Finding(
                    name, on: place, creates ? "\(words), and will be made" : words,
                    creates
                        ? .note(hint: "with the attributes, memberships, settings and passwords of \(source)") : .notMet(hint: "create them there, or run with --create-roles")))
        }
        for (role, differences) in differing {
            findings.append(
                Finding(
                    name, on: place, "\(role.name) differs from that of \(source): \(differences.joined(separator: ", "))",
                    .notMet(hint: "ALTER ROLE \(role.name) on \(place): make it as on \(source)")))
        }
        return findings.isEmpty ? [Finding(name, on: place, "those of \(source), with their attributes and memberships")] : findings
    }
}

/// Nobody changes tables while the node is added: automatic replication of DDL is off.
struct DDLIsFrozen: Requirement {
    let name = "DDL"
    let mesh: SpockMesh
    let members: MeshSurvey
    let survey: NewNodeSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(LeaveSource.self) else { return [] }
        _ = try await survey.state()
        let seen = await members.states, nodes = mesh.members.filter { seen[$0] != nil } + [mesh.newNode]
        let settings = try await onEach(nodes) { try await mesh.spock($0).serverSettings(deadline: .after(.seconds(20))) }
        let on = nodes.filter { settings[$0]?["spock.enable_ddl_replication"] == "on" }
        guard on.isEmpty else {
            return on.map { node in
                Finding(
                    name, on: node, "spock.enable_ddl_replication is on",
                    .notMet(hint: "on \(node): ALTER SYSTEM SET spock.enable_ddl_replication = off; SELECT pg_reload_conf(). Put it back when \(mesh.newNode) has joined"))
            }
        }
        return [Finding(name, "automatic replication of DDL is off on every node", .note(hint: "change no table, type or role until \(mesh.newNode) has joined"))]
    }
}

/// Spock is configured on the new node as on the source.
struct SpockIsConfiguredAlike: Requirement {
    let name = "configuration"
    let mesh: SpockMesh
    let survey: NewNodeSurvey
    var place: String? { mesh.newNode }

    /// Those that are each node's own, and what has a requirement of its own.
    private static let own: Set<String> = [
        "spock.readonly", "spock.country", "spock.temp_directory", "spock.enable_ddl_replication", "spock.include_ddl_repset", "spock.extra_connection_options",
    ]

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(LeaveSource.self) else { return [] }
        _ = try await survey.state()
        async let wanted = mesh.spock(mesh.source).serverSettings(deadline: .after(.seconds(20)))
        let found = try await mesh.spock(mesh.newNode).serverSettings(deadline: .after(.seconds(20)))
        let differing = try await wanted.filter { !Self.own.contains($0.key) && found[$0.key] != $0.value }.sorted { $0.key < $1.key }
        guard !differing.isEmpty else { return [Finding(name, on: mesh.newNode, "Spock is configured as on \(mesh.source)")] }
        return differing.map { name, value in
            Finding(
                name, on: mesh.newNode, "'\(found[name] ?? "not set")', and '\(value)' on \(mesh.source)",
                .notMet(hint: "on \(mesh.newNode): ALTER SYSTEM SET \(name) = '\(value)', then reload, or restart where that needs it"))
        }
    }
}

/// One node reaches another with the DSN by which it will subscribe, with the password that it has.
struct NodeReaches: Requirement {
    let name = "route"
    let node: String
    let other: String
    let members: MeshSurvey
    let survey: NewNodeSurvey
    var place: String? { node }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(LeaveSource.self) else { return [] }
        let mesh = members.mesh, entry = try mesh.access.roster.entry(node)
        _ = try await survey.state()
        let states = await members.states
        guard node == mesh.newNode ? states[other] != nil : states[node] != nil else { throw NotLooked() }
        let dsn = other == mesh.newNode ? try mesh.newNodeDSN : try mesh.dsn(of: other, among: states[mesh.source]?.nodes ?? [])
        let answer = try await mesh.access.instance(node).psql(dsn, "SELECT 1", deadline: .after(.seconds(30)))
        guard !answer.succeeded else { return [Finding(name, on: node, "reaches \(other) with \(dsn)")] }
        return [
            Finding(
                name, on: node, "cannot connect to \(other): \(answer.errorText)",
                .notMet(hint: "allow \(entry.address) in pg_hba.conf of \(other), and give \(entry.osUser) on \(node) the password in ~/.pgpass"))
        ]
    }
}

/// The new node's disk has room for what comes.
struct NewNodeHasRoom: Requirement {
    let name = "disk"
    let mesh: SpockMesh
    let survey: NewNodeSurvey
    var place: String? { mesh.newNode }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(CopyData.self) else { return [] }
        _ = try await survey.state()
        let instance = try await mesh.access.instance(mesh.newNode), deadline = Deadline.after(.seconds(60))
        async let sizes = mesh.access.server(mesh.source).databaseSizes(deadline: deadline)
        let free = try await instance.pathStates([instance.dataDirectory], deadline: deadline).first?.free ?? 0, needed = try await sizes[mesh.database] ?? 0
        let words = "\(UInt64(free).inBytes) free in \(instance.dataDirectory), \(mesh.database) of \(mesh.source) has \(needed.inBytes)"
        return [Finding(name, on: mesh.newNode, words, UInt64(free) > needed ? .met : .notMet(hint: "make room on \(mesh.newNode)"))]
    }
}

/// What the source has and Spock's copy does not bring along.
struct CopyIsOfTables: Requirement {
    let name = "copy"
    let mesh: SpockMesh
    let survey: NewNodeSurvey
    var place: String? { mesh.newNode }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(CopyData.self) else { return [] }
        _ = try await survey.state()
        let kinds = try await mesh.access.server(mesh.source).extras(deadline: .after(.seconds(60))).kinds(of: mesh.database)
        guard !kinds.isEmpty else { return [] }
        return [
            Finding(
                name, on: mesh.newNode, "does not get \(list(kinds.map(\.found))) of \(mesh.source)",
                .note(hint: "Spock copies structure and rows; on \(mesh.newNode), once it has joined: \(kinds.map(\.remedy).joined(separator: "; "))"))
        ]
    }
}

/// What the document asks for and pggraft does without.
struct NoDblink: Requirement {
    let name = "dblink"
    func look(_ memory: Memory) async throws -> [Finding] { [Finding(name, "not needed: every node is asked directly")] }
}
