import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// The databases that come with the copy: all that its source has. What acts in the source's name in any of them is taken off before
/// anything of it can run.
actor CopiedDatabases {
    /// What they brought along.
    static let carried = Fact<[CopiedDatabase]>("databases of the copy")

    private let mesh: SpockMesh
    /// With the other databases, made while the copy is a standby: a promotion leaves them as they are.
    private var sessions: [String: SpockSession] = [:]

    init(_ mesh: SpockMesh) { self.mesh = mesh }

    nonisolated func there(deadline: Deadline) async throws -> [InstanceDatabase] {
        try await mesh.access.server(mesh.newNode).databases(deadline: deadline).filter(\.takesConnections)
    }

    /// Connects to all of them, and looks at what they bring along.
    /// - Throws: ``SpockError/identityHasDependents(node:database:dependents:)`` for what would stand in the way later.
    func look(deadline: Deadline) async throws -> [CopiedDatabase] {
        let there = try await there(deadline: deadline)
        let looked = try await onEach(there.map(\.name)) { try await self.session($0, deadline: deadline).copiedDatabase(deadline: deadline) }
        for database in there where !database.isOwn {
            guard let found = looked[database.name], !found.dependents.isEmpty else { continue }
            throw SpockError.identityHasDependents(node: mesh.newNode, database: database.name, dependents: found.dependents)
        }
        return there.compactMap { looked[$0.name] }
    }

    /// Takes the source's identity off every one of them, all at once, those made since they were looked at too.
    /// - Parameter there: all that there are now.
    /// - Returns: what was taken off, by database; nothing where there was nothing.
    func removeIdentities(of there: [InstanceDatabase], deadline: Deadline) async throws -> [String: [String]] {
        let subscriptions = Dictionary(uniqueKeysWithValues: there.map { ($0.name, $0.subscriptions) })
        let removed = try await onEach(there.map(\.name)) { name -> [String] in
            let names = subscriptions[name] ?? []
            let extensions = try await self.session(name, deadline: deadline).removeIdentity(subscriptions: names, of: name, deadline: deadline)
            return extensions.map { "extension \($0)" } + names.map { "subscription \($0)" }
        }
        await drop()
        return removed.filter { !$0.value.isEmpty }
    }

    private func session(_ database: String, deadline: Deadline) async throws -> SpockSession {
        guard database != mesh.database else { return try await mesh.spock(mesh.newNode) }
        if let session = sessions[database] {
            if await session.connection.isOpen { return session }
            sessions[database] = nil
        }
        let session = SpockSession(try await mesh.access.separateServer(mesh.newNode, database: database, deadline: deadline))
        sessions[database] = session
        return session
    }

    func drop() async {
        for session in sessions.values { await session.connection.close() }
        sessions = [:]
    }
}

extension [CopiedDatabase] {
    /// What the one who reads the proof must know of them, a line each.
    func words(on newNode: String, copyOf source: String, mesh: String) -> [String] {
        let plain = filter { $0.database != mesh && !$0.identities.isEmpty }.map {
            "database \($0.database) is a plain one on \(newNode), with the rows of the moment of the copy: \(list($0.identities)) stayed on \(source) alone"
        }
        let empty = filter { !$0.unlogged.isEmpty }.map {
            "empty on \(newNode), because unlogged: \(list($0.unlogged.map(\.description))) in database \($0.database)"
        }
        return plain + empty
    }
}
