import EventLoop
import Foundation
import PgBackRest
import RemoteHost
import Report
public import Run

/// pgBackRest is there, of one version, and reaches a repository that it can use.
public struct BackRestIsUsable: Requirement {
    public let name = "pgBackRest"
    private let ground: TargetGround
    private let survey: Survey

    public init(_ ground: TargetGround, survey: Survey) { (self.ground, self.survey) = (ground, survey) }

    public func look(_ memory: Memory) async throws -> [Finding] {
        let copy = ground.copy
        try await survey.require([copy.hostName(.repository)])
        _ = try await ground.instance()
        let layout = try await copy.layout(), deadline = Deadline.after(.seconds(120))
        let hosts = BackRestHosts(
            source: try await copy.host(.source), target: try await copy.host(.target),
            repository: copy.repositoryHost == nil ? nil : try await copy.host(.repository))
        var found = try await layout.findVersions(on: hosts, deadline: deadline)
        // Without the program nothing else can be asked.
        guard found.isEmpty else { return notMet(found) }
        found += try await layout.findConnections(on: hosts, deadline: deadline)
        found += try await layout.findRepository(on: hosts, databaseSize: try await copy.databaseSize(), deadline: deadline)
        found += try await layout.findSharedDirectory(on: hosts, nonce: UUID().uuidString, deadline: deadline)
        if found.isEmpty {
            found += try await layout.findForeignStanza(on: hosts, systemIdentifier: try await copy.sourceIdentifier(deadline: deadline), deadline: deadline)
        }
        // A backup of this run's own may have outlived it: the step waits for it.
        if !memory.began(RestoreBackup.self), !memory.began(TakeBackup.self) { found += try await layout.findRunning(on: hosts, deadline: deadline) }
        guard found.isEmpty else { return notMet(found) }
        let version = try await layout.backRest(for: .source).installedVersion(on: hosts.source, deadline: deadline)
        return [Finding(name, "\(version) on every host, repository \(layout.repository.path) on \(copy.hostName(layout.repositoryRole)) is usable")]
    }

    private func notMet(_ found: [BackRestFinding]) -> [Finding] { found.map { Finding(notMet: name, $0.problem) } }
}
