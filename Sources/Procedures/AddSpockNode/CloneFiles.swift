import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Spock

extension Seed {
    /// What the new node's configuration files must say, computed from what the source runs with and what the copy holds.
    /// Before the restore, what the copy will hold is read from the source.
    func cloneConfiguration(_ memory: Memory, without libraries: [String] = ["spock"]) async throws -> CloneConfiguration {
        let deadline = Deadline.after(.seconds(30))
        let original = try await instance(source), clone = try await instance(newNode)
        let settings = try await original.settings(through: try await spock(source).connection, deadline: deadline)
        let isCopied = try await cloneState(memory) > .partlyRestored
        let files = try await clone.configurationFiles(deadline: deadline)
        var content: [HostPath: [UInt8]] = [:]
        for path in CloneConfiguration.paths(of: files) {
            let prefix = clone.dataDirectory.path + "/"
            if !isCopied, path.path.hasPrefix(prefix) {
                let twin = original.dataDirectory / String(path.path.dropFirst(prefix.count))
                content[path] = try await original.host.read(twin, as: original.user, deadline: deadline)
            } else {
                content[path] = try await clone.host.read(path, as: clone.user, deadline: deadline)
            }
        }
        return CloneConfiguration(
            source: settings, features: clone.features,
            target: .init(
                files: files, port: playbook.newNode.node.port,
                listenAddresses: listenAddresses(own: [content[files.autoConfFile], content[files.configFile]], source: settings.value(of: "listen_addresses")), content: content),
            withoutLibraries: libraries, primaryConninfo: try await primaryConninfo(),
            restoreCommand: try await layout().backRest(for: .target).restoreCommand)
    }

    /// What the new node must listen on, where its own configuration would leave it out of the others' reach (a fresh cluster
    /// of Debian listens on localhost): everything if the source does, else localhost and its address in the playbook.
    nonisolated func listenAddresses(own configuration: [[UInt8]?], source: String?) -> String? {
        let address = playbook.newNode.node.address
        func words(_ list: String?) -> [String] { (list ?? "localhost").split { $0 == "," || $0.isWhitespace }.map(String.init) }
        func reaches(_ list: [String]) -> Bool { list.contains { ["*", "0.0.0.0", address].contains($0) } }
        let own = configuration.lazy.compactMap { $0.flatMap { SettingsFile($0).value(of: "listen_addresses") } }.first
        if reaches(words(own)) { return nil }
        return words(source).contains("*") ? "*" : "localhost,\(address)"
    }

    /// The source's `pg_hba.conf`.
    func sourceHBA() async throws -> (hba: [UInt8], ident: [UInt8]?) {
        let deadline = Deadline.after(.seconds(30))
        let original = try await instance(source)
        let files = try await original.configurationFiles(through: try await spock(source).connection, deadline: deadline)
        guard let hba = try await original.host.read(files.hbaFile, as: original.user, deadline: deadline) else {
            throw Problem("\(source): \(files.hbaFile) is not there")
        }
        return (hba, try await original.host.read(files.identFile, as: original.user, deadline: deadline))
    }

    /// The source's `pg_hba.conf`, as its server reads it.
    func sourceHBAFile() async throws -> HBAFile {
        HBAFile(try await sourceHBA().hba, for: HBAServer(try await instance(source).version))
    }

    /// The rules under which the new node runs until it has joined: the source's, for the mesh's own role only.
    func closedHBA() async throws -> HBAFile {
        var closed = try await sourceHBAFile().admittingOnly(
            [playbook.cluster.osUser, playbook.cluster.user],
            comment: "Closed by pggraft until this node has joined: only the nodes of the cluster may connect.")
        for rule in meshRules(after: closed) { closed.ensure(rule) }
        return closed
    }

    /// A rule for the mesh's role from each node's address, by the method that the source uses for it.
    nonisolated func meshRules(after file: HBAFile) -> [HBARule] {
        let method =
            file.rules.first { rule in
                rule.type != .local && rule.method != "reject" && rule.users.contains { $0 == .named(playbook.cluster.user) || $0 == .all }
            }?.method ?? "scram-sha-256"
        return (playbook.cluster.nodes + [playbook.newNode.node]).map { node in
            let address: HBARule.Address = IPNetwork(node.address).map(HBARule.Address.network) ?? .hostName(node.address)
            return HBARule(.host, databases: [.named(playbook.cluster.database)], users: [.named(playbook.cluster.user)], from: address, method: method)
        }
    }

    /// Applies `edits` on the new node. A file outside of the data directory is kept beside itself, for undo.
    func apply(_ edits: [ConfigurationEdit], _ run: StepRun, deadline: Deadline) async throws {
        let clone = try await instance(newNode), kept = KeptFiles(instance: clone)
        for edit in edits {
            if edit.path.path.hasPrefix(clone.dataDirectory.path + "/") {
                try await edit.apply(on: clone.host, as: clone.user, deadline: deadline)
            } else {
                try await kept.apply(edit, run, deadline: deadline)
            }
        }
    }

    /// Puts the files outside of the data directory back, where they still are as this run left them.
    func restoreOriginals(_ run: StepRun) async throws -> UndoOutcome {
        let files = try KeptFiles.changed(on: newNode, in: run.memory)
        guard !files.isEmpty else { return .undone([]) }
        // Without its rules nobody could read what is still to be read.
        guard try !run.memory.holdsUnreadWrites else { return .left([waitsForUnread("\(newNode): \(list(files.map(\.name)))")]) }
        return try await KeptFiles(instance: try await newNodeInstance(run.memory)).restore(run, deadline: .after(.seconds(60)))
    }

    /// Puts the way to the archive into the standby's configuration, or takes it out.
    func setRestoreCommand(_ isThere: Bool, _ run: StepRun) async throws {
        let clone = try await instance(newNode), deadline = Deadline.after(.seconds(60))
        // Where the server reads it only at its start, it stays.
        guard isThere || clone.features.isReloadable("restore_command") == true else { return }
        let path = clone.dataDirectory / "postgresql.auto.conf"
        let current = try await clone.host.read(path, as: clone.user, deadline: deadline)
        var file = SettingsFile(current ?? [])
        if isThere {
            file.set("restore_command", to: try await layout().backRest(for: .target).restoreCommand)
        } else {
            file.remove("restore_command")
        }
        try await apply([ConfigurationEdit(path: path, before: current, after: file.render())].filter { !$0.isEmpty }, run, deadline: deadline)
        guard try await clone.status(deadline: deadline).isRunning else { return }
        _ = try await clone.reload(through: try await spock(newNode).connection, deadline: deadline)
    }

    /// The preload list of the new node, as its files say.
    func clonePreload(deadline: Deadline) async throws -> LibraryList {
        let clone = try await instance(newNode)
        guard let entry = try await clone.settingsTree(deadline: deadline).deciding("shared_preload_libraries") else { return .empty }
        guard let list = LibraryList(entry.value) else { throw Problem("\(newNode): \(entry): the list is not valid") }
        return list
    }
}

/// Step 4: make the copy a standby of the source, closed to clients, and nothing else.
struct SetUpStreaming: Step {
    let seed: Seed
    static let name = "streaming"
    var title: String { "Set up streaming replication from \(seed.source) on \(seed.newNode); archiving off, closed to clients" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        if state > .restored { return .done("\(seed.newNode) is \(state)") }
        let edits = try await seed.cloneConfiguration(memory).edits(hba: try await seed.closedHBA())
        if state == .restored, edits.isEmpty { return .done("the files say so") }
        let streaming = try await seed.cloneConfiguration(memory, without: []).edits(hba: try await seed.closedHBA())
        return .needed(streaming.map { Change("\(seed.newNode): \($0.path)", diff: $0.diff) })
    }

    func perform(_ run: StepRun) async throws -> String {
        let edits = try await seed.cloneConfiguration(run.memory, without: []).edits(hba: try await seed.closedHBA())
        try await seed.apply(edits, run, deadline: .after(.seconds(60)))
        return edits.map(\.path.name).joined(separator: ", ")
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { try await seed.restoreOriginals(run) }
}
