import EventLoop
import PgBackRest
import Report
public import Run
import Server

/// What the requirements of a copy's source rest on: it is up.
public struct SourceGround: Sendable {
    let node: CopiedNode
    let isUp: @Sendable () async throws -> Void

    var access: ClusterAccess { node.access }
    var name: String { node.source }

    /// - Throws: ``NotLooked`` where the source was not reached.
    public func requireUp() async throws { try await isUp() }

    /// - Parameter isUp: throws ``NotLooked`` where the source was not reached.
    public init(of node: CopiedNode, isUp: @escaping @Sendable () async throws -> Void) { (self.node, self.isUp) = (node, isUp) }
}

/// What of the source a copy would bring along and must not, and the role that it streams as.
public struct SourceCanBeCopied: Requirement {
    public let name = "source"
    private let ground: SourceGround
    private let role: String?

    /// - Parameter role: that the copy streams as; `nil` where it does already.
    public init(_ ground: SourceGround, replicatingAs role: String?) { (self.ground, self.role) = (ground, role) }
    public var place: String? { ground.name }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await ground.isUp()
        let source = ground.name, found = try await ground.access.server(source).copySource(replicatingAs: role ?? "", deadline: .after(.seconds(20)))
        var findings: [Finding] = []
        if !found.subscriptions.isEmpty {
            findings.append(
                Finding(
                    "native subscriptions", on: source, found.subscriptions.joined(separator: ", "),
                    .note(hint: "on \(ground.node.name) they never run, and are dropped when it is promoted; their slots stay those of \(source)")))
        }
        guard let role else { return findings }
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
    private let copy: BackRestCopy

    public init(_ ground: SourceGround, copy: BackRestCopy) { (self.ground, self.copy) = (ground, copy) }
    public var place: String? { ground.name }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await ground.isUp()
        let archiving = try await copy.archiving()
        if let problem = archiving.problem { return [Finding(notMet: name, on: copy.source, problem)] }
        if archiving.state == .ready { return [Finding(name, on: copy.source, archiving.command)] }
        let mode = archiving.state == .off ? "off, and will be on" : "on"
        return [Finding(name, on: copy.source, "archive_mode is \(mode); archive_command '\(archiving.command)' will be the stanza's")]
    }
}
