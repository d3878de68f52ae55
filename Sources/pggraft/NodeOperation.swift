import ArgumentParser
import EventLoop
import Foundation
import Instance
import Playbook
import PostgresClient
import Procedures
import RemoteHost
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

    /// What the options and the playbook say of the node, and the name of its cluster's lock.
    fileprivate func target() throws -> (target: NodeTarget, cluster: String) {
        var target = NodeTarget(name: node, ssh: node), cluster = "node-" + node.map { $0.isLetter || $0.isNumber || "._-".contains($0) ? String($0) : "-" }.joined()
        if node == "." { (target.name, cluster) = (ProcessInfo.processInfo.hostName, "node-here") }
        cluster += "-\(port ?? 5432)"
        if let playbook {
            guard case .addSpockNode(let add) = try Playbook.load(path: playbook).procedure else { throw ValidationError("\(playbook) names no nodes") }
            guard let node = (add.cluster.nodes + [add.newNode.node]).first(where: { $0.name == node }) else {
                throw ValidationError("\(playbook) has no node \(node)")
            }
            cluster = add.cluster.name
            target = NodeTarget(
                name: node.name, ssh: node.ssh, address: node.address, port: node.port, osUser: add.cluster.osUser, role: add.cluster.user,
                database: add.cluster.database, dataDirectory: node.dataDirectory, binDirectory: node.binDirectory)
            if node.name == add.newNode.node.name { target.dataDirectory = add.newNode.dataDirectory }
        }
        if let port { target.port = port }
        if let osUser { target.osUser = osUser }
        if let role { target.role = role }
        if let maintenanceDatabase { target.database = maintenanceDatabase }
        if let dataDirectory { target.dataDirectory = dataDirectory }
        if let binDirectory { target.binDirectory = binDirectory }
        return (target, cluster)
    }
}

/// What a command for one node works with.
struct NodeOperation: Sendable {
    let terminal: Terminal
    let node: ConfiguredNode
    /// Names the lock.
    let cluster: String

    static func with(_ options: NodeOptions, _ body: (NodeOperation) async throws -> Void) async throws {
        let terminal = Terminal()
        let target: NodeTarget, cluster: String
        do {
            (target, cluster) = try options.target()
        } catch let error as ValidationError {
            throw error
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            throw ExitCode(2)
        }
        try await with(target, cluster, options.connection, terminal, body)
    }

    /// For a run that is gone on with or undone.
    static func with(
        _ target: NodeTarget, _ cluster: String, _ connection: ConnectionOptions, _ terminal: Terminal, _ body: (NodeOperation) async throws -> Void
    ) async throws {
        let access = ClusterAccess(
            nodes: [.init(name: target.name, ssh: target.ssh, address: target.address, port: target.port)], database: target.database, user: target.role,
            askPassword: { terminal.secret("Password of \($0)") }, connect: connector(connection, terminal))
        let node = ConfiguredNode(target, access: access)
        do {
            try await body(NodeOperation(terminal: terminal, node: node, cluster: cluster))
            await node.close()
        } catch {
            await node.close()
            throw finish(terminal, error)
        }
    }

    private var view: RunView { RunView(terminal: terminal) }

    /// Shows what would be done, asks, does it, and takes it back where the server refuses it.
    func change(_ request: ConfigurationRequest, yes: Bool) async throws {
        let configure = ConfigureNode(node, request), store = RunStore()
        let lock = try RunLock(cluster: cluster, in: store, holder: Holder())
        defer { withExtendedLifetime(lock) {} }
        if let unfinished = try store.unfinished(cluster: cluster, ignoring: ConfigureNode.isOver) {
            throw Problem("run \(unfinished.header.run) of \(cluster) is not finished: \(unfinished.state.rawValue)", hint: unfinished.ways)
        }
        let plan = try await runner(configure).plan()
        view.show(plan)
        guard case .needed? = plan.first?.inspection else {
            if case .done? = plan.first?.inspection { return }
            throw Problem("Nothing was changed.")
        }
        guard try terminal.asksToGoOn(yes) else { return }
        let (header, journal) = try store.begin(cluster: cluster, procedure: request.procedure, playbook: "", steps: configure.steps.map(\.id.name))
        try lock.describe(Holder(run: header.run))
        try await configure.remember(in: journal)
        try await perform(configure, journal)
    }

    /// Does what the run of `journal` still has to do.
    func perform(_ configure: ConfigureNode, _ journal: Journal) async throws {
        let run = try Memory(journal).header?.run ?? "", runner = runner(configure)
        do {
            try await Interruption.cancelling { try await runner.perform(journal) }
        } catch let failure as RunFailure {
            // The step has put back what it could: what is left is nothing, or named.
            guard !((failure.cause as? HostError)?.isOfConnection ?? false) else {
                terminal.print(terminal.styled("It is not known how far \(node.target.name) got.", .bad))
                terminal.print("  pggraft resume \(run)   goes on from here")
                terminal.print("  pggraft undo \(run)     takes it back")
                throw ExitCode(1)
            }
            guard try await runner.undo(journal).isEmpty else {
                terminal.print(terminal.styled("It failed, and not everything is as it was: see above.", .bad))
                terminal.print("  pggraft undo \(run)     tries again")
                throw ExitCode(1)
            }
            terminal.print(terminal.styled(failure.interrupted ? "Interrupted. Nothing is changed." : "It failed. Nothing is changed.", .bad))
            throw ExitCode(failure.interrupted ? 130 : 1)
        }
        terminal.print(terminal.styled("Done.", .good))
        terminal.print("  pggraft undo \(run)     takes it back")
    }

    private func runner(_ configure: ConfigureNode) -> Runner {
        Runner(steps: configure.steps) { [view] in view.show($0) }
    }

    /// Takes back what the run of `journal` did.
    func undo(_ configure: ConfigureNode, _ journal: Journal) async throws {
        let left = try await Interruption.cancelling { [runner = runner(configure)] in try await runner.undo(journal) }
        terminal.print(left.isEmpty ? terminal.styled("Undone.", .good) : terminal.styled("Undone, but for what is named above.", .warn))
        guard left.isEmpty else { throw ExitCode(1) }
    }
}

extension Terminal {
    /// Whether the operator says yes, or has said so already.
    /// - Throws: ``Problem`` where nobody is there to say it.
    func asksToGoOn(_ yes: Bool) throws -> Bool {
        guard !yes else { return true }
        switch confirm("\nGo on? [yes/no]") {
        case true?: return true
        case false?:
            print("Nothing was changed.")
            return false
        case nil: throw Problem("nobody is there to say yes", hint: "run it in a terminal, or with --yes. Nothing was changed.")
        }
    }
}
