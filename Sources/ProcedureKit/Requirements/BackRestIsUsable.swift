import EventLoop
import Foundation
import Instance
import PgBackRest
import PostgresConfig
import RemoteHost
import Report
public import Run

/// pgBackRest is there, of one version, and reaches a repository that it can use.
public struct BackRestIsUsable: Requirement {
    public let name = "pgBackRest"
    private let ground: TargetGround
    private let copy: BackRestCopy
    private let survey: Survey

    public init(_ copy: BackRestCopy, _ ground: TargetGround, survey: Survey) { (self.copy, self.ground, self.survey) = (copy, ground, survey) }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([copy.hostName(.repository)])
        _ = try await ground.instance()
        let layout = try await copy.layout()
        let hosts = BackRestHosts(
            source: try await copy.host(.source), target: try await copy.host(.target),
            repository: copy.repositoryHost == nil ? nil : try await copy.host(.repository))
        let looks = try await copy.looks(), inOrder = layout.roles.compactMap { looks[$0] }
        var found = BackRestLayout.findVersions(inOrder)
        // Without the program nothing else can be asked.
        guard found.isEmpty else { return notMet(found) }
        let takesBackup = copy.order.backup == .full, soon = Deadline.after(.seconds(120))
        async let server = copy.access.instance(copy.source).version, sockets = copy.sockets()
        async let connections = layout.findConnections(on: hosts, deadline: soon)
        async let repository = layout.findRepository(on: hosts, databaseSize: try await copy.node.sourceSize(), deadline: soon)
        async let listener = layout.findServer(on: hosts, deadline: soon)
        async let shared = layout.findSharedDirectory(on: hosts, nonce: UUID().uuidString, deadline: soon)
        found += layout.findConfiguration(looks, server: try await server.number / 100, sockets: try await sockets, takesBackup: takesBackup)
        found += try await copy.contradictions()
        found += try await connections + repository + listener + shared
        if found.isEmpty {
            async let identifier = copy.node.sourceIdentifier(deadline: .after(.seconds(20)))
            let stanza = try await layout.findStanza(on: hosts, systemIdentifier: try await identifier, deadline: .after(.seconds(300)))
            found += stanza.findings
            if let info = stanza.info { found += copy.contradictions(of: info) }
            if found.isEmpty, !takesBackup, try memory.recall(TakeBackup.chosen) == nil {
                let backup = try copy.chosen(stanza.info?.currentBackups ?? [])
                found += try await layout.findBackup(backup.label, on: hosts, deadline: .after(.seconds(120)))
            }
        }
        // A backup of this run's own may have outlived it: the step waits for it.
        if !memory.began(RestoreBackup.self), !memory.began(TakeBackup.self) { found += layout.findRunning(inOrder) }
        guard found.isEmpty else { return notMet(found) }
        let version = looks[.source]?.version.map { "\($0)" } ?? "?"
        return [Finding(name, "\(version) on every host, repository \(layout.repository.path) \(copy.place(of: layout)) is usable")]
    }

    private func notMet(_ found: [BackRestFinding]) -> [Finding] { found.map { Finding(notMet: name, $0.problem) } }
}

extension BackRestCopy {
    /// `on repo`, `in the bucket backups`.
    nonisolated func place(of layout: BackRestLayout) -> String {
        if case .s3(let store, _) = layout.repository { return "in the bucket \(store.bucket)" }
        return "on \(hostName(layout.repositoryRole))"
    }
}
