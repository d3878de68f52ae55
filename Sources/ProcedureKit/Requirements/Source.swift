import EventLoop
import PgBackRest
import Report
public import Run
import Server

/// What the requirements of a copy's source rest on: it is up.
public struct SourceGround: Sendable {
    let copy: BackRestCopy
    let isUp: @Sendable () async throws -> Void

    /// - Parameter isUp: throws ``NotLooked`` where the source was not reached.
    public init(_ copy: BackRestCopy, isUp: @escaping @Sendable () async throws -> Void) { (self.copy, self.isUp) = (copy, isUp) }
}

/// What of the source a copy would bring along and must not, and the role that it streams as.
public struct SourceCanBeCopied: Requirement {
    public let name = "source"
    private let ground: SourceGround

    public init(_ ground: SourceGround) { self.ground = ground }
    public var place: String? { ground.copy.source }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await ground.isUp()
        let copy = ground.copy, source = copy.source, role = copy.order.replicationUser
        let found = try await copy.access.server(source).copySource(replicatingAs: role, deadline: .after(.seconds(20)))
        var findings: [Finding] = []
        if !found.subscriptions.isEmpty {
            findings.append(
                Finding(
                    "native subscriptions", on: source, found.subscriptions.joined(separator: ", "),
                    .note(hint: "on \(copy.node.name) they never run, and are dropped when it is promoted; their slots stay those of \(source)")))
        }
        switch found.mayReplicate {
        case true?: findings.append(Finding("role \(role)", on: source, "has REPLICATION"))
        case false?: findings.append(Finding("role \(role)", on: source, "has no REPLICATION", .notMet(hint: "ALTER ROLE \(role) REPLICATION")))
        case nil:
            findings.append(
                Finding(
                    "role \(role)", on: source, "does not exist",
                    .notMet(hint: "CREATE ROLE \(role) LOGIN REPLICATION PASSWORD …, or correct copy.replication_user")))
        }
        return findings
    }
}

/// The source archives its WAL into the stanza, or nobody has decided otherwise.
public struct SourceArchives: Requirement {
    public let name = "archiving"
    private let ground: SourceGround

    public init(_ ground: SourceGround) { self.ground = ground }
    public var place: String? { ground.copy.source }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await ground.isUp()
        let copy = ground.copy, archiving = try await copy.archiving()
        if let problem = archiving.problem { return [Finding(notMet: name, on: copy.source, problem)] }
        if archiving.state == .ready { return [Finding(name, on: copy.source, archiving.command)] }
        return [Finding(name, on: copy.source, "archive_mode is on; archive_command '\(archiving.command)' will be the stanza's")]
    }
}
