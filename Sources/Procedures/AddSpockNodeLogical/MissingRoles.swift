import EventLoop
import ProcedureKit
import Report
import Run
import Server

extension Consent {
    /// Roles that the source has and the new node lacks are made there.
    public static let createRoles = Consent(rawValue: "create-roles")
}

/// The roles of the source that the new node lacks: Spock's copy of the structure gives tables to them, and rights.
struct MissingRoles: Sendable {
    let mesh: SpockMesh
    /// Whether the operator has said, as this process was started, that they are to be made.
    let isTold: Bool

    /// Whether the operator has said, now or in an earlier process of the run, that they are to be made.
    func creates(_ memory: Memory) throws -> Bool { try isTold || memory.consented(to: .createRoles) }

    /// Those that are missing.
    func look() async throws -> [Role] { try await compare().missing }

    /// Those that are missing, and those that are not the same.
    func compare() async throws -> (missing: [Role], differing: [(role: Role, differences: [String])]) {
        let deadline = Deadline.after(.seconds(30))
        async let there = mesh.access.server(mesh.newNode).roles(deadline: deadline)
        let wanted = try await mesh.access.server(mesh.source).roles(deadline: deadline)
        let known = Dictionary(try await there.map { ($0.name, $0) }) { first, _ in first }
        let missing = wanted.filter { known[$0.name] == nil }
        let differing = wanted.compactMap { role in known[role.name].map { (role, role.differences(from: $0)) } }.filter { !$0.1.isEmpty }
        return (missing, differing)
    }

    func create(_ roles: [Role], deadline: Deadline) async throws { try await mesh.access.server(mesh.newNode).createRoles(roles, deadline: deadline) }
}
