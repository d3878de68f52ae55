import ArgumentParser
import Foundation
import Playbook
import ProcedureKit
import Procedures
import Report
import Run

/// The node that `conf` and `hba` work on, and how its server is reached.
struct NodeOptions: ParsableArguments {
    @Argument(help: "The node: an SSH destination ([user@]host[:port]), a dot for this machine, or, with --playbook, a node's name.")
    var node: String

    @Option(help: "A playbook that names the node, and says how it is reached.", completion: .file(extensions: ["yaml", "yml"]))
    var playbook: String?

    @Option(help: "The server's port (5432).")
    var port: UInt16?

    @Option(name: .customLong("os-user"), help: "The OS user that owns the data directory (postgres).")
    var osUser: String?

    @Option(help: "The PostgreSQL superuser that looks and reloads (postgres).")
    var role: String?

    @Option(name: .customLong("maintenance-db"), help: "The database it connects to (postgres).")
    var maintenanceDatabase: String?

    @Option(name: .customLong("data-directory"), help: "Where it cannot be found by the port.")
    var dataDirectory: String?

    @Option(name: .customLong("bin-directory"), help: "Where the server's programs cannot be found.")
    var binDirectory: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    /// What the options and the playbook say of the node, and the name of its cluster.
    private func target() throws -> (target: NodeTarget, cluster: String) {
        var target: NodeTarget, cluster: String
        if let playbook {
            let (roster, name) = try Catalog.roster(of: try Playbook.load(path: playbook))
            guard let named = NodeTarget(node, in: roster) else {
                throw Problem("\(playbook) has no node \(node)", hint: "it has \(list(roster.entries.map(\.name)))")
            }
            (target, cluster) = (named, name)
        } else {
            target = NodeTarget(name: node == "." ? ProcessInfo.processInfo.hostName : node, ssh: node)
            let word = node.map { $0.isLetter || $0.isNumber || "._-".contains($0) ? String($0) : "-" }.joined()
            cluster = "node-\(node == "." ? "here" : word)-\(port ?? 5432)"
        }
        if let port { target.port = port }
        if let osUser { target.osUser = osUser }
        if let role { target.role = role }
        if let maintenanceDatabase { target.database = maintenanceDatabase }
        if let dataDirectory { target.dataDirectory = dataDirectory }
        if let binDirectory { target.binDirectory = binDirectory }
        return (target, cluster)
    }

    /// Looks at the node, and ends every connection on the way out.
    func look(_ work: (ConfiguredNode, Output) async throws -> Void) async throws {
        let output = Output(output)
        try await Commanding.failing(output) {
            let node = try ConfiguredNode(try target().target, connection.ways(output.terminal))
            do {
                try await work(node, output)
                await node.close()
            } catch {
                await node.close()
                throw error
            }
        }
    }

    /// Shows what would be done, asks, does it, and takes it back where the server refuses it.
    func change(_ request: ConfigurationRequest, isAgreed: Bool) async throws {
        let output = Output(output)
        try await Commanding.session(output, isAgreed: isAgreed) { console in
            let (target, cluster) = try target()
            let procedure = ConfigureNode(try ConfiguredNode(target, connection.ways(output.terminal)), request, cluster: cluster)
            return try await RunSession(procedure, in: RunStore(), console: console).run()
        }
    }
}
