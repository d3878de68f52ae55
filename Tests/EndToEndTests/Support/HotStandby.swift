import EventLoop
import Instance
import PgBackRest
import PostgresConfig
import ProcedureKit
import Run

/// A streaming standby of a running server, from a pgBackRest copy: what the parts of ProcedureKit make without a word of Spock.
struct HotStandby: Procedure {
    private let access: ClusterAccess
    private let lock: ClusterLock
    private let copy: BackRestCopy
    private let standby: Standby
    let cluster: String

    /// - Parameter roster: has both nodes, the standby as a copy of its source.
    init(_ name: String, of source: String, in roster: Roster, cluster: String, copying order: BackRestCopy.Order, _ ways: Ways) {
        access = ClusterAccess(roster, ways)
        let node = CopiedNode(name, of: source, access, purgesData: true)
        let copy = BackRestCopy(order, to: node)
        (self.cluster, self.copy) = (cluster, copy)
        standby = Standby(node, replicationUser: order.replicationUser) { try await copy.layout().backRest(for: .target).restoreCommand }
        lock = ClusterLock(cluster, on: source, of: access, saying: "works on cluster \(cluster)")
    }

    let name = "hot-standby"
    func origin() -> RunOrigin { RunOrigin(path: nil, content: cluster) }

    var requirements: [RequirementGroup] {
        let survey = Survey(), source = standby.source
        let primary = SourceGround(copy) {
            try await survey.require([source])
            _ = try await access.server(source)
        }
        let ground = TargetGround(primary, survey: survey)
        let hosts = [source, standby.name] + [copy.repositoryHost].compactMap { $0 }
        return [
            RequirementGroup("hosts", hosts.map { HostIsReached($0, of: access, survey: survey) }),
            RequirementGroup("source", [SourceCanBeCopied(primary), SourceArchives(primary)]),
            RequirementGroup("programs", [ProgramsMatch(ground), PreloadedLibrariesAreThere(ground)]),
            RequirementGroup("place", [PlaceIsFree(ground), DiskHasRoom(ground), CopyDoesNotArchive(ground)]),
            RequirementGroup("routes", [StreamingIsAllowed(standby, ground)]),
            RequirementGroup("pgBackRest", [BackRestIsUsable(ground, survey: survey)]),
        ]
    }

    var steps: [ListedStep] {
        [
            ListedStep("", ConfigureBackRest(copy: copy)),
            ListedStep("", ArchiveSource(copy: copy)),
            ListedStep("", CreateStanza(copy: copy)),
            ListedStep("", TakeBackup(copy: copy)),
            ListedStep("", RestoreBackup(copy: copy, standby: standby)),
            ListedStep("", SetUpStreaming(standby: standby, saying: "archiving off, the rules of \(standby.source)", rules: rules)),
            ListedStep("", StartStandby(standby: standby)),
        ]
    }

    @Sendable private func rules() async throws -> HBAFile {
        HBAFile(try await standby.sourceRules().hba, for: HBAServer(try await access.instance(standby.source).version))
    }

    func takeLock(holder: Holder) async throws { try await lock.take(holder: holder) }

    func close() async {
        await lock.release()
        await access.close()
    }
}
