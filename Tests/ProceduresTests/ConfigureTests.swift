import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Scratch
import Testing

@testable import Procedures

/// A server of its own, and an operator who changes its configuration.
struct Configured: Sendable {
    let area: ScratchArea
    let instance: Instance
    private let journals: String

    init(settings: String = "", starting: Bool = true) async throws {
        area = try await ScratchArea()
        instance = try await area.cluster("n1", settings: settings)
        journals = area.directory.path + "/journals"
        if starting { try await instance.start(deadline: soon) }
    }

    func node(role: String = "postgres", through host: any RemoteHost.Host = LocalHost(name: "n1")) throws -> ConfiguredNode {
        try ConfiguredNode(
            NodeTarget(name: "n1", ssh: "n1", port: instance.port, role: role, dataDirectory: instance.dataDirectory.path, binDirectory: ScratchArea.binaries),
            Ways { _, _, _ in host })
    }

    /// Performs a change, as the command line does.
    /// - Returns: what was done, and the journal.
    @discardableResult
    func change(_ change: ConfigurationRequest.Change, restarts: Bool = false, by node: ConfiguredNode? = nil) async throws -> Journal {
        let configure = ConfigureNode(try node ?? self.node(), ConfigurationRequest(change, restarts: restarts), cluster: "n1")
        let (_, journal) = try RunStore(environment: ["PGGRAFT_STATE_DIR": journals])
            .begin(configure, from: try await configure.origin(), steps: configure.steps.map(\.id.name))
        do {
            try await Runner(steps: configure.steps).perform(journal)
        } catch {
            await configure.close()
            throw ChangeFailed(journal: journal, error: error)
        }
        await configure.close()
        return journal
    }

    struct ChangeFailed: Error, CustomStringConvertible {
        let journal: Journal, error: any Error
        var description: String { "\(error)" }
    }

    func set(_ assignments: String..., restarts: Bool = false) async throws -> Journal {
        try await change(.settings(try assignments.map { try #require(ConfigurationRequest.Assignment($0)) }), restarts: restarts)
    }

    /// Undoes the run of `journal`.
    /// - Returns: what was left.
    func undo(_ journal: Journal) async throws -> [Problem] {
        let configure = try again(journal)
        let left = try await Runner(steps: configure.steps).undo(journal)
        await configure.close()
        return left
    }

    /// The procedure of the run of `journal`, as the journal has it.
    func again(_ journal: Journal) throws -> ConfigureNode {
        ConfigureNode(try node(), try order(journal).request, cluster: "n1")
    }

    func order(_ journal: Journal) throws -> ConfigureNode.Order { try ConfigureNode.Order(try #require(try Memory(journal).header).origin()) }

    func plan(_ change: ConfigurationRequest.Change, restarts: Bool = false) async throws -> ConfigurationPlan {
        let node = try node()
        let plan = try await WriteConfiguration(node: node, request: ConfigurationRequest(change, restarts: restarts)).plan("RUN")
        await node.close()
        return plan
    }

    func read(_ name: String) async throws -> String? { text(try await area.host.read(instance.dataDirectory / name, as: "postgres", deadline: soon)) }

    func write(_ content: String, to name: String) async throws {
        try await area.host.write(Array(content.utf8), to: instance.dataDirectory / name, as: "postgres", deadline: soon)
    }

    func value(_ name: String) async throws -> String { try await instance.ask("SELECT current_setting(\(name)) AS value") }

    /// The files of the data directory that pggraft has kept.
    func kept() async throws -> [String] {
        try #require(try await area.host.listDirectory(instance.dataDirectory, as: "postgres", deadline: soon)).filter { $0.contains(".before-") }
    }

    func end() async throws {
        try await instance.stop(mode: .immediate, deadline: soon)
        area.end()
    }
}

extension Journal {
    /// What the step of the run said when it was done.
    fileprivate var result: String? { entries.last { $0.event == .done }?.text }
    fileprivate var run: String { get throws { try Memory(self).header?.run ?? "" } }
}

@Suite("What an operator writes") struct AssignmentTests {
    @Test(
        "is a change of one setting",
        arguments: [
            ("work_mem=16MB", "work_mem", ConfigurationRequest.Assignment.Operation.set, "16MB"), ("work_mem=", "work_mem", .set, ""),
            ("search_path+=a,b", "search_path", .add, "a,b"), ("x.y-=a=b", "x.y", .remove, "a=b"), ("log_line_prefix=%m [%p] ", "log_line_prefix", .set, "%m [%p] "),
        ])
    func read(text: String, name: String, operation: ConfigurationRequest.Assignment.Operation, value: String) {
        let assignment = ConfigurationRequest.Assignment(text)
        #expect(assignment == .init(name, operation, value))
        #expect(assignment?.description == text)
    }

    @Test("or is refused", arguments: ["work_mem", "=1", "+=1", "a b=1", ""])
    func refused(text: String) {
        #expect(ConfigurationRequest.Assignment(text) == nil)
    }
}

@Suite("Changing the configuration of one node", .serialized) struct ConfigureTests {
    @Test("a setting is replaced where it stands, read back, and taken back")
    func replaced() async throws {
        let n1 = try await Configured(settings: "work_mem = 5MB\ninclude_dir = 'conf.d'\n", starting: false)
        try await n1.area.host.makeDirectory(n1.instance.dataDirectory / "conf.d", as: "postgres", deadline: soon)
        try await n1.write("# mine\nwork_mem = 8MB  # why\n", to: "conf.d/a.conf")
        try await n1.instance.start(deadline: soon)
        let main = try await n1.read("postgresql.conf")

        let journal = try await n1.set("work_mem=16MB")
        #expect(journal.result == "reloaded and read back")
        #expect(try await n1.read("conf.d/a.conf") == "# mine\nwork_mem = 16MB  # why\n")
        #expect(try await n1.read("postgresql.conf") == main)
        #expect(try await n1.value("work_mem") == "16MB")
        #expect(try await n1.read("conf.d/a.conf.before-\(try journal.run)") == "# mine\nwork_mem = 8MB  # why\n")
        // Once more there is nothing to do.
        #expect(try await n1.plan(.settings([.init("work_mem", .set, "16MB")])).edits.isEmpty)
        #expect(try await n1.set("work_mem=16MB").result == nil)

        #expect(try await n1.undo(journal).isEmpty)
        #expect(try await n1.read("conf.d/a.conf") == "# mine\nwork_mem = 8MB  # why\n")
        #expect(try await n1.value("work_mem") == "8MB")
        #expect(try await n1.area.host.listDirectory(n1.instance.dataDirectory / "conf.d", as: "postgres", deadline: soon) == ["a.conf"])

        // Nobody sets it any more.
        _ = try await n1.change(.settings([.init("WORK_MEM", .reset)]))
        #expect(try await n1.read("conf.d/a.conf") == "# mine\n")
        #expect(try await n1.value("work_mem") == "4MB")
        try await n1.end()
    }

    @Test("owner, mode and symbolic links stay")
    func attributes() async throws {
        let n1 = try await Configured()
        let data = n1.instance.dataDirectory
        try await n1.area.host.require(
            .script(
                "mv \"$1/pg_hba.conf\" \"$2/hba\" && chmod 640 \"$2/hba\" && chown postgres:daemon \"$2/hba\" && ln -s \"$2/hba\" \"$1/pg_hba.conf\"", data.path,
                n1.area.directory.path),
            deadline: soon)
        let journal = try await n1.change(.allow(rule: "host all app 10.1.2.3/32 scram-sha-256", accepting: []))
        for _ in 1...2 {
            let link = try #require(try await n1.area.host.stat(data / "pg_hba.conf", followingLinks: false, deadline: soon))
            let file = try #require(try await n1.area.host.stat(n1.area.directory / "hba", deadline: soon))
            #expect(link.kind == .symbolicLink)
            #expect(file.mode == 0o640)
            #expect(file.owner == "postgres" && file.group == "daemon")
            #expect(try await n1.undo(journal).isEmpty)
        }
        try await n1.end()
    }

    @Test(
        "what the server refuses is put back, and its own words are shown",
        arguments: [
            ("random_page_cost=cheap", "invalid value for parameter \"random_page_cost\": \"cheap\""),
            ("work_mem=1", "is outside the valid range"),
            ("log_line_prefix=%m\0", "has a zero byte"),
            ("search_path=a,,b", "invalid value for parameter \"search_path\""),
        ], ["postgres", "nobody"])
    func refused(assignment: (String, String), role: String) async throws {
        let n1 = try await Configured()
        let before = try await n1.read("postgresql.conf"), request = try #require(ConfigurationRequest.Assignment(assignment.0))
        let error = await #expect(throws: Configured.ChangeFailed.self) { try await n1.change(.settings([request]), by: n1.node(role: role)) }
        #expect(error?.description.contains(assignment.1) == true, "\(String(describing: error))")
        #expect(try await n1.read("postgresql.conf") == before)
        #expect(try await n1.kept().isEmpty)
        let journal = try #require(error).journal
        #expect(try await n1.undo(journal).isEmpty)
        try await n1.end()
    }

    @Test("nobody who can connect: the log is the judge")
    func byLog() async throws {
        let n1 = try await Configured(settings: "logging_collector = on\n")
        let node = try n1.node(role: "nobody")
        let journal = try await n1.change(.settings([.init("work_mem", .set, "6MB"), .init("max_connections", .set, "30")]), by: node)
        #expect(journal.result == "written and accepted, as the server's log says; waits for a restart: max_connections")
        #expect(try await n1.value("work_mem") == "6MB")
        let allowed = try await n1.change(.allow(rule: "host all nobody 10.1.2.3/32 scram-sha-256", accepting: []), by: n1.node(role: "nobody"))
        #expect(allowed.result == "reloaded and accepted, as the server's log says")
        #expect(try await n1.instance.ask("SELECT count(*)::text FROM pg_hba_file_rules WHERE address = '10.1.2.3'") == "1")
        #expect(try await n1.undo(allowed).isEmpty)
        #expect(try await n1.undo(journal).isEmpty)
        #expect(try await n1.value("work_mem") == "4MB")
        try await n1.end()
    }

    @Test("a restart is made where it is asked for, and one that fails brings the old file and the server back")
    func restart() async throws {
        let n1 = try await Configured()
        #expect(try await n1.set("max_connections=33").result == "written and read back; waits for a restart: max_connections")
        #expect(try await n1.value("max_connections") == "100")
        #expect(try await n1.set("max_connections=33", restarts: true).result == "restarted and read back")
        #expect(try await n1.value("max_connections") == "33")

        // The server takes such a file, and does not start with it.
        let before = try await n1.read("postgresql.conf")
        let error = await #expect(throws: Configured.ChangeFailed.self) { try await n1.set("shared_preload_libraries=no_such_library", restarts: true) }
        #expect(error?.description.contains("could not access file \"no_such_library\"") == true, "\(String(describing: error))")
        #expect(error?.description.contains("the files are as they were") == true)
        #expect(try await n1.read("postgresql.conf") == before)
        #expect(try await n1.value("max_connections") == "33")
        try await n1.end()
    }

    @Test("a server that does not run: its programs judge")
    func stopped() async throws {
        let n1 = try await Configured(starting: false)
        #expect(try await n1.set("work_mem=9MB").result == "the server does not run; its programs accept the files")
        let before = try await n1.read("postgresql.conf")
        let error = await #expect(throws: Configured.ChangeFailed.self) { try await n1.set("work_mem=lots") }
        #expect(error?.description.contains("invalid value for parameter \"work_mem\": \"lots\"") == true, "\(String(describing: error))")
        #expect(try await n1.read("postgresql.conf") == before)
        try await n1.instance.start(deadline: soon)
        #expect(try await n1.value("work_mem") == "9MB")
        try await n1.end()
    }

    @Test("lists are edited as lists")
    func lists() async throws {
        let n1 = try await Configured(
            settings: "search_path = '\"$user\", \"my schema\", public'\nshared_preload_libraries = 'pg_stat_statements, auto_explain'\n", starting: false)
        try await n1.instance.start(deadline: soon)
        _ = try await n1.set("search_path+=Sales", "search_path-=my schema", "shared_preload_libraries-=auto_explain", "synchronous_standby_names+=n-2")
        #expect(try await n1.value("search_path") == "\"$user\", public, \"Sales\"")
        let file = SettingsFile(try #require(try await n1.read("postgresql.conf")))
        #expect(file.value(of: "shared_preload_libraries") == "pg_stat_statements")
        #expect(file.value(of: "synchronous_standby_names") == "\"n-2\"")
        _ = try await n1.set("synchronous_standby_names-=n-2", "shared_preload_libraries-=pg_stat_statements", restarts: true)
        #expect(try await n1.value("shared_preload_libraries") == "")
        let noList = try await n1.plan(.settings([.init("work_mem", .add, "1")]))
        #expect(noList.problems.map(\.fact) == ["n1: work_mem is no list"])
        // What is not in it is out of it already.
        let absent = try await n1.plan(.settings([.init("search_path", .remove, "nowhere")]))
        #expect(absent.problems.isEmpty && absent.edits.isEmpty)
        _ = try await n1.set("synchronous_standby_names=ANY 2 (a, b)")
        let hangs = try await n1.plan(.settings([.init("synchronous_standby_names", .remove, "b")]))
        #expect(hangs.problems.first?.fact.contains("waits for 2 standbys and names 1: every commit would hang") == true, "\(hangs.problems)")
        try await n1.end()
    }

    @Test(
        "what cannot work is not begun",
        arguments: [
            ("no_such_setting=1", "the server knows no setting no_such_setting"),
            ("wal_keep_segments=4", "PostgreSQL 15 has no setting wal_keep_segments: it is called wal_keep_size there"),
            ("standby_mode=on", "PostgreSQL 15 has no setting standby_mode"),
            ("server_version=16", "server_version cannot be changed"),
            ("config_file=/x", "config_file"),
            ("primary_conninfo=host=n2 password=s3cret", "holds a password"),
        ])
    func obstacles(assignment: String, said: String) async throws {
        let n1 = try await Configured()
        let plan = try await n1.plan(.settings([try #require(ConfigurationRequest.Assignment(assignment))]))
        #expect(plan.problems.count == 1)
        #expect(plan.problems.first?.description.contains(said) == true, "\(plan.problems)")
        #expect(!plan.problems.description.contains("s3cret"))
        try await n1.end()
    }

    @Test("what the command line decides, and files that have errors already, stand in the way")
    func commandLine() async throws {
        let n1 = try await Configured(starting: false)
        try await n1.area.host.require(
            Command(ScratchArea.binaries + "/pg_ctl", "start", "-w", "-D", n1.instance.dataDirectory.path, "-l", (n1.area.directory / "log").path, "-o", "-c work_mem=7MB").as(
                "postgres"),
            deadline: soon)
        let decided = try await n1.plan(.settings([.init("work_mem", .set, "1MB")]))
        #expect(decided.problems.first?.fact == "n1: work_mem is decided by the server's command line, which no file overrides")
        try await n1.area.append("nonsense\n", to: n1.instance.dataDirectory / "postgresql.conf")
        let broken = try await n1.plan(.settings([.init("random_page_cost", .set, "2")]))
        #expect(broken.problems.first?.fact.contains("syntax error: with an error in the files the server takes nothing of them") == true, "\(broken.problems)")
        try await n1.area.append("host all all nonsense\n", to: n1.instance.dataDirectory / "pg_hba.conf")
        let refused = try await n1.plan(.allow(rule: "host all app 10.1.2.3/32 scram-sha-256", accepting: []))
        #expect(refused.problems.first?.fact.contains("the server refuses the whole file for this line") == true, "\(refused.problems)")
        try await n1.end()
    }

    @Test("a rule goes where it takes effect, says what would have shadowed it, and is known by its mark")
    func allow() async throws {
        let n1 = try await Configured()
        let rule = "host all app 10.0.0.0/8 scram-sha-256", before = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all 0.0.0.0/0 reject\n"
        try await n1.write(before, to: "pg_hba.conf")
        let plan = try await n1.plan(.allow(rule: rule, accepting: []))
        #expect(
            plan.remarks.contains("the rule becomes line 3: behind line 3: host all all 0.0.0.0/0 reject it would have done nothing, or not for all it is for"), "\(plan.remarks)")
        #expect(plan.remarks.contains { $0.contains("was changed after the server has read it") })
        let journal = try await n1.change(.allow(rule: rule, accepting: []))
        #expect(journal.result == "reloaded and read back")
        let after = try #require(try await n1.read("pg_hba.conf"))
        let line = "host    all             app             10.0.0.0/8              scram-sha-256  # pggraft \(try journal.run)\n"
        #expect(after == before.replacing("host all all 0.0.0.0/0", with: line + "host all all 0.0.0.0/0"))
        // Twice is once.
        let again = try await n1.change(.allow(rule: rule, accepting: []))
        #expect(again.result == nil)
        #expect(try await n1.read("pg_hba.conf") == after)

        // Somebody goes on; the line is found by its mark all the same.
        try await n1.write("# theirs\n" + after, to: "pg_hba.conf")
        #expect(try await n1.undo(journal).isEmpty)
        #expect(try await n1.read("pg_hba.conf") == "# theirs\n" + before)
        #expect(try await n1.kept().isEmpty)

        let another = try await n1.change(.allow(rule: rule, accepting: []))
        _ = try await n1.change(.removeRules(ofRun: try another.run))
        #expect(try await n1.read("pg_hba.conf") == "# theirs\n" + before)
        try await n1.end()
    }

    @Test("what somebody writes between two writes of a run is not taken away by undoing it")
    func foreign() async throws {
        let n1 = try await Configured()
        let journal = try await n1.set("jit=off"), theirs = try #require(try await n1.read("postgresql.conf")).replacing("jit = 'off'", with: "jit = on") + "work_mem = 7MB\n"
        try await n1.write(theirs, to: "postgresql.conf")
        let configure = try n1.again(journal)
        let error = await #expect(throws: RunFailure.self) { try await Runner(steps: configure.steps).perform(journal) }
        #expect(error?.description.contains("was changed by someone else since this run wrote it: left alone") == true, "\(String(describing: error))")
        #expect(try await n1.undo(journal).map(\.fact).joined().contains("was changed since by someone else: left alone"))
        #expect(try await n1.read("postgresql.conf") == theirs)
        await configure.close()
        try await n1.end()
    }

    @Test("one operator at a time changes a server, also from another machine; who it is, is said")
    func lock() async throws {
        let n1 = try await Configured(), request = ConfigurationRequest(.settings([.init("jit", .set, "off")]))
        let first = ConfigureNode(try n1.node(), request, cluster: "n1"), second = ConfigureNode(try n1.node(), request, cluster: "node-n1-5432")
        try await first.takeLock(holder: Holder())
        try await first.takeLock(holder: Holder(run: "20261128-010101-n1"))
        let refused = await #expect(throws: LockTaken.self) { try await second.takeLock(holder: Holder()) }
        #expect(
            refused?.fact.contains("n1: another pggraft changes the configuration of this server (pggraft run 20261128-010101-n1, pid ") == true, "\(String(describing: refused))")
        await first.close()
        try await second.takeLock(holder: Holder())
        await second.close()

        // One that lets nobody in is changed all the same, and the plan says what that means.
        try await n1.write("local all all reject\nhost all all 127.0.0.1/32 reject\n", to: "pg_hba.conf")
        try await n1.instance.reloadByLog(deadline: soon)
        let third = ConfigureNode(try n1.node(), request, cluster: "n1")
        try await third.takeLock(holder: Holder())
        await third.close()
        let plan = try await n1.plan(request.change)
        #expect(plan.remarks.contains { $0.contains("nobody on another machine is kept from changing it at the same time") }, "\(plan.remarks)")
        try await n1.end()
    }

    @Test("an undo finds a node whose server does not start any more, and reloads where an earlier undo could not")
    func undoLater() async throws {
        let n1 = try await Configured()
        let broken = try await n1.set("shared_preload_libraries=no_such_library")
        try await n1.instance.stop(deadline: soon)
        await #expect(throws: InstanceError.self) { try await n1.instance.start(deadline: soon) }
        let target = try n1.order(broken).target
        #expect(target.dataDirectory == n1.instance.dataDirectory.path && target.binDirectory == ScratchArea.binaries)
        #expect(try await n1.undo(broken).isEmpty)
        try await n1.instance.start(deadline: soon)

        let journal = try await n1.set("work_mem=33MB"), rules = try #require(try await n1.read("pg_hba.conf"))
        try await n1.write(rules + "nonsense\n", to: "pg_hba.conf")
        #expect(try await !n1.undo(journal).isEmpty)
        #expect(try await n1.value("work_mem") == "33MB")
        try await n1.write(rules, to: "pg_hba.conf")
        #expect(try await n1.undo(journal).isEmpty)
        #expect(try await n1.value("work_mem") == "4MB")
        try await n1.end()
    }

    @Test("a start that failed is made good with the options that the server was started with")
    func options() async throws {
        let n1 = try await Configured(starting: false)
        try await n1.area.host.require(
            Command(ScratchArea.binaries + "/pg_ctl", "start", "-w", "-D", n1.instance.dataDirectory.path, "-l", (n1.area.directory / "log").path, "-o", "-c work_mem=7MB").as(
                "postgres"),
            deadline: soon)
        let error = await #expect(throws: Configured.ChangeFailed.self) { try await n1.set("unix_socket_directories=/nonexistent", restarts: true) }
        #expect(error?.description.contains("the files are as they were") == true, "\(String(describing: error))")
        #expect(try await n1.value("work_mem") == "7MB")
        try await n1.end()
    }

    @Test("a value that the asking role has for itself does not stand in the way, and is not what a list is made of")
    func roleSettings() async throws {
        let n1 = try await Configured(settings: "search_path = 'app, public'\n")
        _ = try await n1.instance.ask("SELECT set_config('x.y', '1', false) AS done")
        let connection = try await n1.instance.connect()
        for statement: SQL in ["ALTER ROLE postgres SET work_mem = '9MB'", "ALTER ROLE postgres SET search_path = x"] { _ = try await connection.query(statement, deadline: soon) }
        await connection.close()
        _ = try await n1.set("work_mem=21MB", "search_path+=Sales", "max_wal_senders=5", "max_worker_processes=8")
        let file = SettingsFile(try #require(try await n1.read("postgresql.conf")))
        #expect(file.value(of: "work_mem") == "21MB")
        #expect(file.value(of: "search_path") == "app, public, \"Sales\"")
        try await n1.end()
    }

    @Test(
        "no password is shown or written down, however it is given",
        arguments: [
            "postgresql://repl:s3cret@10.0.0.1/x", "host=n2 password=s3cret", "host=n2 password = 's3cret two'",
        ])
    func secrets(conninfo: String) async throws {
        let n1 = try await Configured(settings: "primary_conninfo = '\(conninfo.replacing("'", with: "''"))'\nprimary_conninfo = 'host=n2'\n")
        let plan = try await n1.plan(.settings([.init("primary_conninfo", .set, conninfo)]))
        #expect(plan.problems.count == 1)
        let other = try await n1.plan(.settings([.init("primary_conninfo", .set, "host=n3")]))
        #expect(!other.edits.isEmpty)
        #expect(!"\(plan) \(other.remarks) \(other.seen) \(other.edits.map(\.diff))".replacing("\(plan.edits)", with: "").contains("s3cret"), "\(other.remarks)")
        try await n1.end()
    }

    @Test(
        "a rule for everybody, or without a password over the network, needs a word of its own",
        arguments: [
            ("host all app 0.0.0.0/0 scram-sha-256", ["any-address"]), ("host all app ::/0 scram-sha-256", ["any-address"]),
            ("host all app all scram-sha-256", ["any-address"]), ("host replication all 127.0.0.1/0 trust", ["any-address", "trust-over-network"]),
            ("host all app 10.1.2.3/32 trust", ["trust-over-network"]),
        ])
    func risks(rule: String, flags: [String]) async throws {
        let n1 = try await Configured()
        let plan = try await n1.plan(.allow(rule: rule, accepting: []))
        #expect(plan.problems.compactMap(\.hint) == flags.map { "name the risk, if that is meant: --\($0)" })
        #expect(plan.edits.isEmpty)
        #expect(try await n1.plan(.allow(rule: rule, accepting: Array(flags.dropLast()))).problems.count == 1)
        #expect(try await n1.plan(.allow(rule: rule, accepting: flags)).problems.isEmpty)
        try await n1.end()
    }
}
