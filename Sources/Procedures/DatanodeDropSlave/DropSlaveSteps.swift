import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Archive nothing for the slave any more: at once by a command that does nothing, and from the next restart on not at all.
struct StopArchiving: Step {
    static let name = "stop-archiving"
    /// What has the server take every segment for archived: without it, it would keep them all until it is restarted.
    private static let nothing = "/bin/true"

    let archive: SlaveArchive
    let slave: String
    let master: ConfiguredNode
    private var datanode: String { master.target.name }
    var title: String { "Archive nothing for \(slave) on \(datanode) any more" }

    private var writer: WriteConfiguration {
        WriteConfiguration(
            node: master, request: ConfigurationRequest(.settings([.init("archive_mode", .set, "off"), .init("archive_command", .set, Self.nothing)])))
    }

    /// What stands in the files for `archive_command`.
    private func command() async throws -> String {
        let instance = try await master.instance(deadline: .after(.seconds(20))), connection = try await master.connection(deadline: .after(.seconds(20)))
        return try await instance.configuration(through: connection, deadline: .after(.seconds(30))).tree.deciding("archive_command")?.value ?? ""
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let command = try await command()
        guard command == archive.archiveCommand || memory.began(Self.self) else { return .done("archive_command is '\(Redaction.redacted(command))': not for \(slave)") }
        return try await writer.inspect(memory)
    }

    func perform(_ run: StepRun) async throws -> String { "archive_command = '\(Self.nothing)', archive_mode = off; \(try await writer.perform(run))" }
    func undo(_ run: StepRun) async throws -> UndoOutcome { try run.created.isEmpty ? .undone([]) : try await writer.undo(run) }
}

/// What the master archives for the slave is what the playbook says.
struct ArchiveIsKnown: Requirement {
    let name = "archive"
    let archive: SlaveArchive?
    let slave: String
    let master: ConfiguredNode
    let access: ClusterAccess
    var place: String? { master.target.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        if memory.began(StopArchiving.self) { return [] }
        let settings = try await access.server(master.target.name).settings(["archive_mode", "archive_command"], deadline: .after(.seconds(20)))
        let command = settings["archive_command"] ?? "", entry = try access.roster.entry(slave), shown = Redaction.redacted(command).onOneLine
        guard settings["archive_mode"] != "off", !["", "(disabled)"].contains(command) else { return [Finding(name, on: place, "archives nothing")] }
        if let archive {
            if command == archive.archiveCommand { return [Finding(name, on: place, "archives into \(archive.directory) on the host of \(slave): that ends")] }
            let hint =
                "it is not what pggraft writes for `archive: \(archive.directory)` and this `archive_host`: correct them, "
                + "or set archive_command = '/bin/true' there and take `archive` out"
            return [Finding(name, on: place, "archive_command is \(shown)", .notMet(hint: hint))]
        }
        guard [entry.address, entry.ssh].contains(where: { !$0.isEmpty && command.contains($0) }) else {
            return [Finding(name, on: place, "archive_command does not name \(slave), and stays: \(shown)")]
        }
        return [
            Finding(
                name, on: place, "archives to the host of \(slave): \(shown)",
                .notMet(hint: "say `archive:` of \(slave) in the playbook; or set archive_command = '/bin/true' there: once that host is gone, the disk of \(place ?? "") fills"))
        ]
    }
}

/// Let the slave in no more: the lines of `pg_hba.conf` for replication that are for its address alone.
struct ForbidSlave: Step {
    static let name = "forbid-slave"
    let slave: String
    let master: ConfiguredNode
    let access: ClusterAccess
    private var datanode: String { master.target.name }
    var title: String { "Take \(slave) out of pg_hba.conf on \(datanode)" }

    private func writer(_ lines: [String]) -> WriteConfiguration { WriteConfiguration(node: master, request: ConfigurationRequest(.removeLines(lines))) }

    /// Those that are for replication from its address alone, and that no other slave on the same host needs.
    private func lines() async throws -> [String] {
        let entry = try access.roster.entry(slave), deadline = Deadline.after(.seconds(30))
        let networks = try await networks(), other = access.roster.entries.first { $0.name != slave && $0.copyOf == datanode && $0.address == entry.address }
        guard other == nil else { return [] }
        let instance = try await master.instance(deadline: deadline), connection = try await master.connection(deadline: deadline)
        let rules = try await instance.accessRules(try await instance.configuration(through: connection, deadline: deadline), through: connection, deadline: deadline)
        return HBAFile(rules.content ?? [], for: rules.server).rules.filter { rule in
            guard rule.databases == [.replication], rule.method != "reject" else { return false }
            return switch rule.address {
            case .network(let from): networks.contains(from)
            case .hostName(let name): name == entry.address
            default: false
            }
        }.map { "\($0)" }
    }

    // What a name means to the master's host.
    private static let addresses = #"getent ahosts "$1" | cut -d ' ' -f 1 | sort -u"#

    /// The addresses that it has in the playbook, that this means to the master's host, and that its own host comes from, where that can be asked.
    private func networks() async throws -> [IPNetwork] {
        let entry = try access.roster.entry(slave), deadline = Deadline.after(.seconds(20)), own = IPNetwork(entry.address)
        let instance = try await master.instance(deadline: deadline)
        let known = try await instance.host.require(.script(Self.addresses, entry.address).as(instance.user), deadline: deadline).text.split(separator: "\n")
        var networks = [own].compactMap(\.self) + known.compactMap { IPAddress($0).map { IPNetwork($0) } }
        do {
            let routes = try await Routes.look(
                to: [access.roster.entry(datanode).address], from: access.host(slave, deadline: .after(.seconds(5))), as: entry.osUser, deadline: .after(.seconds(10)))
            networks += (routes.addresses.first ?? []).map { IPNetwork($0) }
        } catch let error where !(error is CancellationError) {
            // Its host may be gone for good.
        }
        return networks
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let lines = try await lines()
        if lines.isEmpty, !memory.began(Self.self) { return .done("\(datanode) has no line for the address of \(slave) alone") }
        return try await writer(lines).inspect(memory)
    }

    func perform(_ run: StepRun) async throws -> String {
        let lines = try await lines()
        return lines.map(\.onOneLine).joined(separator: "; ") + (lines.isEmpty ? "" : ": taken out; ") + (try await writer(lines).perform(run))
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { try run.created.isEmpty ? .undone([]) : try await writer([]).undo(run) }
}

/// Remove what was archived for the slave, where the playbook says so.
struct RemoveSlaveArchive: Step {
    static let name = "remove-archive"
    private static let removed = Fact<String>("archive that was removed")
    let archive: SlaveArchive
    let slave: String
    let access: ClusterAccess
    var title: String { "Remove what was archived for \(slave)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let instance = try await access.instance(slave), names = try await instance.host.listDirectory(archive.directory, as: instance.user, deadline: .after(.seconds(30)))
        guard let names else { return .done("\(archive.directory) is not there") }
        return .needed([Change("\(slave): remove the WAL in \(archive.directory) (\(names.count) files), and the directory where nothing else is in it; nothing brings that back")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let instance = try await access.instance(slave), deadline = Deadline.after(.seconds(600))
        try run.remember(Self.removed, archive.directory.path)
        try await instance.removeArchivedWAL(in: archive.directory, deadline: deadline)
        let rest = try await instance.host.listDirectory(archive.directory, as: instance.user, deadline: deadline) ?? []
        guard rest.isEmpty else { return "the WAL in \(archive.directory) is removed; \(list(rest, atMost: 3)) is no WAL, and is left" }
        try await instance.host.removeIfEmpty(archive.directory, as: instance.user, deadline: deadline)
        return "\(archive.directory) is removed"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let directory = try run.memory.recall(Self.removed) else { return .undone([]) }
        return .left([Problem("\(slave): what was in \(directory) is gone", hint: "make the slave anew: `procedure: datanode-standby`")])
    }
}
