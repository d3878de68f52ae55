import EventLoop
import Instance
import Playbook
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// A slave that is made: a copy of a datanode's master, and what of the steps for a hot standby is for it.
struct MadeSlave: Sendable {
    let name: String
    /// The datanode; in the roster, the place of its master.
    let datanode: String
    let node: CopiedNode
    let standby: Standby
    let pair: StandbyPair
    /// The master, as a node whose configuration is changed.
    let master: ConfiguredNode
    let lock: ClusterLock
    let archive: SlaveArchive?
    let synchronous: SynchronousStandbys

    /// - Parameters:
    ///   - slave: one of the playbook's.
    ///   - known: the role's password, where another slave has it.
    init(
        _ slave: Playbook.DatanodeCluster.Slave, of playbook: Playbook.DatanodeStandby, _ access: ClusterAccess, _ ways: Ways, lock: ClusterLock, purgesData: Bool,
        known: @escaping @Sendable () async throws -> Secret?
    ) throws {
        let name = slave.node.name, datanode = slave.datanode, coordinators = playbook.cluster.coordinators.map(\.name)
        let archive = try SlaveArchive(slave)
        let node = CopiedNode(name, of: datanode, access, section: "cluster.slaves", staysStandby: true, purgesData: purgesData)
        let standby = Standby(
            node, by: .role(playbook.replication.user), patience: Patience(limit: playbook.copy.stallLimit),
            archiveCleanupCommand: {
                guard let archive, case let instance = try await node.instance(), try await instance.has(Self.cleaner, deadline: .after(.seconds(20))) else { return nil }
                return archive.cleanupCommand(instance.binaries.directory / Self.cleaner)
            }, restoreCommand: { archive?.restoreCommand })
        let master = try ConfiguredNode(datanode, of: access)
        (self.name, self.datanode, self.node, self.standby, self.master, self.lock, self.archive) = (name, datanode, node, standby, master, lock, archive)
        pair = StandbyPair(
            access: access, primary: datanode, standby: standby, role: playbook.replication.user, connectionLimit: playbook.replication.connectionLimit,
            asksPassword: playbook.replication.asksPassword,
            archiveCommand: archive?.archiveCommand, restarts: playbook.restarts, copiesByStream: true, isTrusted: playbook.replication.authentication == .trust,
            roleMaker: coordinators.first, otherSenders: playbook.slaves.map(\.datanode).filter { $0 != datanode }, knownElsewhere: known)
        synchronous = SynchronousStandbys(.add(name), Group([datanode, name], of: access), ways, primary: master)
    }

    private static let cleaner = "pg_archivecleanup"

    /// The password that is in the slave's password file.
    func password() async throws -> Secret? { try pair.passfileLine().password(in: try await pair.passfile().text ?? "") }

    /// The rules of its master: who is let in there is let in here.
    @Sendable func rules() async throws -> HBAFile {
        HBAFile(try await standby.sourceRules().hba, for: HBAServer(try await node.access.instance(datanode).version))
    }

    func close() async {
        await synchronous.close()
        await master.close()
    }
}
