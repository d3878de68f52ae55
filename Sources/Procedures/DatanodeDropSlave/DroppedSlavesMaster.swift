import EventLoop
import Instance
import Playbook
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// The master of a slave that is dropped, and what its files have for that.
struct DroppedSlavesMaster: Sendable {
    let node: ConfiguredNode
    let access: ClusterAccess
    let datanode: String
    let slave: String
    /// Other slaves of the datanode that come from the same address: its lines are theirs.
    let neighbours: [String]

    /// - Throws: ``UnknownNode``.
    init(_ playbook: Playbook.DatanodeDropSlave, _ access: ClusterAccess) throws {
        (self.access, datanode, slave) = (access, playbook.datanode, playbook.slave)
        node = try ConfiguredNode(playbook.datanode, of: access)
        let address = playbook.cluster[slave: playbook.slave]?.node.address
        neighbours = playbook.cluster.slaves(of: playbook.datanode).filter { $0.node.address == address && $0.node.name != playbook.slave }.map(\.node.name)
    }

    var hasNeighbours: Bool { !neighbours.isEmpty }
}

/// Have the master archive for the slave no more.
struct EndArchive: Step {
    static let name = "archive-command"
    private static let setting = "archive_command"
    /// Archiving is only turned off by a restart, and without any command the log would be kept for ever.
    private static let nothing = "/bin/true"
    let master: DroppedSlavesMaster
    /// As the command names it.
    let directory: String
    var title: String { "Have \(master.datanode) archive into \(directory) no more" }

    private var writer: WriteConfiguration {
        WriteConfiguration(node: master.node, request: ConfigurationRequest(.settings([.init(Self.setting, .set, Self.nothing)])))
    }

    /// What the files say.
    private func command() async throws -> String {
        let instance = try await master.access.instance(master.datanode), server = try await master.access.server(master.datanode)
        return try await instance.configuration(through: server.connection, deadline: .after(.seconds(30))).tree.deciding(Self.setting)?.value ?? ""
    }

    /// Whether a command names the directory, and not another one that begins alike.
    static func names(_ directory: String, in command: String) -> Bool {
        let directory = directory.count > 1 && directory.hasSuffix("/") ? String(directory.dropLast()) : directory
        return command.ranges(of: directory).contains { range in
            let after = command[range.upperBound...].first, before = command[..<range.lowerBound].last
            return (after.map { !($0.isLetter || $0.isNumber || "-_.".contains($0)) } ?? true) && (before.map { !($0.isLetter || $0.isNumber || "-_./".contains($0)) } ?? true)
        }
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let command = try await command()
        if command == Self.nothing, memory.began(Self.self) { return try await writer.inspect(memory) }
        guard !command.isEmpty, command != Self.nothing else { return .done("\(master.datanode) archives nowhere") }
        guard Self.names(directory, in: command) else {
            return .blocked([
                Problem(
                    "\(master.datanode): \(Self.setting) does not name \(directory): \(Redaction.redacted(command).onOneLine)",
                    hint: "correct `archive` in the playbook, or take it out: \(Self.setting) is left as it is then")
            ])
        }
        return try await writer.inspect(memory)
    }

    func perform(_ run: StepRun) async throws -> String {
        let command = try await command()
        return "it was `\(Redaction.redacted(command).onOneLine)`; " + (try await writer.perform(run))
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { try await run.created.isEmpty ? .undone([]) : writer.undo(run) }
}

/// Take out the lines that let the slave's address in for replication, and nobody else.
struct ForbidSlave: Step {
    static let name = "forbid-slave"
    let master: DroppedSlavesMaster
    var title: String { "Let \(master.slave) in for replication on \(master.datanode) no more" }

    /// The rules that are for this address and for replication alone.
    static func rules(for address: String, in file: HBAFile) -> [HBARule] {
        let network = IPNetwork(address)
        return file.rules.filter { rule in
            guard rule.databases == [.replication], rule.method != "reject" else { return false }
            return switch rule.address {
            case .network(let from): network.map { from == $0 } ?? false
            case .hostName(let name): name == address
            default: false
            }
        }
    }

    private func look() async throws -> (instance: Instance, edit: ConfigurationEdit?, rules: [HBARule]) {
        let deadline = Deadline.after(.seconds(60)), instance = try await master.access.instance(master.datanode), server = try await master.access.server(master.datanode)
        let path = try await instance.configurationFiles(through: server.connection, deadline: deadline).hbaFile
        guard let content = try await instance.host.read(path, as: instance.user, deadline: deadline) else { throw Problem("\(master.datanode): \(path) is not there") }
        var file = HBAFile(content, for: HBAServer(instance.version))
        let rules = Self.rules(for: try master.access.roster.entry(master.slave).address, in: file)
        for rule in rules { file.remove(rule) }
        let edit = ConfigurationEdit(path: path, before: content, after: file.render())
        return (instance, edit.isEmpty ? nil : edit, rules)
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if master.hasNeighbours { return .done("\(list(master.neighbours)) \(master.neighbours.count == 1 ? "comes" : "come") from the same address: left as it is") }
        guard let edit = try await look().edit else {
            return memory.began(Self.self) ? .needed([Change("\(master.datanode): reload the server")]) : .done("no line is for its address and replication alone")
        }
        return .needed([Change("\(master.datanode): \(edit.path)", diff: edit.diff)])
    }

    func perform(_ run: StepRun) async throws -> String {
        let (instance, edit, rules) = try await look(), deadline = Deadline.after(.seconds(60))
        if let edit { try await KeptFiles(instance: instance, of: run.step).apply(edit, run, deadline: deadline) }
        _ = try await instance.reload(through: try await master.access.server(master.datanode).connection, deadline: deadline)
        return rules.isEmpty ? "reloaded" : rules.map { "\($0)".onOneLine }.joined(separator: "; ")
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try !run.created.isEmpty else { return .undone([]) }
        let instance = try await master.access.instance(master.datanode), deadline = Deadline.after(.seconds(60))
        let outcome = try await KeptFiles(instance: instance, of: run.step).restore(run, deadline: deadline)
        _ = try await instance.reload(through: try await master.access.server(master.datanode).connection, deadline: deadline)
        return outcome
    }
}
