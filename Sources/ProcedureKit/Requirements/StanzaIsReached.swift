import EventLoop
import Foundation
import Instance
import PgBackRest
import PostgresConfig
import Report
public import Run
import Server

/// The source archives into the stanza already, and pgBackRest on the host of the copy reaches its repository.
public struct StanzaIsReached: Requirement {
    public let name = "pgBackRest"
    private let ground: TargetGround
    private let copy: BackRestCopy
    private let survey: Survey

    public init(_ copy: BackRestCopy, _ ground: TargetGround, survey: Survey) { (self.copy, self.ground, self.survey) = (copy, ground, survey) }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([copy.hostName(.repository)])
        _ = try await ground.instance()
        let archiving = try await copy.archiving(), stanza = copy.order.stanza
        guard archiving.state == .ready else {
            return [
                Finding(
                    name, on: copy.source, "\(archiving.state), and archive.stanza is \(stanza)",
                    .notMet(hint: "name the stanza that \(copy.source) archives into, or take `archive` out"))
            ]
        }
        let layout = try await copy.layout(), looks = try await copy.looks(), inOrder = layout.roles.compactMap { looks[$0] }
        let hosts = BackRestHosts(
            source: try await copy.host(.source), target: try await copy.host(.target),
            repository: copy.repositoryHost == nil ? nil : try await copy.host(.repository))
        var found = BackRestLayout.findVersions(inOrder)
        // Without the program nothing else can be asked.
        guard found.isEmpty else { return notMet(found) }
        let soon = Deadline.after(.seconds(120)), server = try await copy.access.instance(copy.source).version
        async let connections = layout.findConnections(on: hosts, deadline: soon)
        async let listener = layout.findServer(on: hosts, deadline: soon)
        async let shared = layout.findSharedDirectory(on: hosts, nonce: UUID().uuidString, deadline: soon)
        found += layout.findConfiguration(looks, server: server.number / 100, sockets: try await copy.sockets(), takesBackup: false)
        found += try await copy.contradictions()
        found += try await connections + listener + shared
        guard found.isEmpty else { return notMet(found) }
        let identifier = try await copy.node.sourceIdentifier(deadline: .after(.seconds(20)))
        found = try await layout.findStanza(on: hosts, systemIdentifier: identifier, deadline: .after(.seconds(300))).findings
        guard found.isEmpty else { return notMet(found) }
        return [Finding(name, on: copy.node.name, "reaches the stanza \(stanza) in \(layout.repository.path) \(copy.place(of: layout)), into which \(copy.source) archives")]
    }

    private func notMet(_ found: [BackRestFinding]) -> [Finding] { found.map { Finding(notMet: name, $0.problem) } }
}
