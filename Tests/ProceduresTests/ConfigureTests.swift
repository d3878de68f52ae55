import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Scratch
import Synchronization
import Testing

@testable import Procedures

/// A server of its own, and an operator who changes its configuration.
struct Configured: Sendable {
    let area: ScratchArea
    let instance: Instance
    private let journals: String

    init(settings: String = "", binaries: String = ScratchArea.binaries, starting: Bool = true) async throws {
        area = try await ScratchArea()
        instance = try await area.cluster("n1", settings: settings, binaries: binaries)
        journals = area.directory.path + "/journals"
        if starting { try await instance.start(deadline: soon) }
    }

    var store: RunStore { RunStore(environment: ["PGGRAFT_STATE_DIR": journals]) }

    func node(role: String = "postgres", through host: any RemoteHost.Host = LocalHost(name: "n1")) throws -> ConfiguredNode {
        try ConfiguredNode(
            NodeTarget(name: "n1", ssh: "n1", port: instance.port, role: role, dataDirectory: instance.dataDirectory.path, binDirectory: instance.binaries.directory.path),
            Ways { _, _, _ in host })
    }

    /// Performs a change, as the command line does.
    /// - Returns: what was done, and the journal.
    @discardableResult
    func change(_ change: ConfigurationRequest.Change, restarts: Bool = false, by node: ConfiguredNode? = nil) async throws -> Journal {
        let configure = ConfigureNode(try node ?? self.node(), ConfigurationRequest(change, restarts: restarts), cluster: "n1")
        let (_, journal) = try store.begin(configure, from: try await configure.origin(), steps: configure.steps.map(\.id.name))
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
    /// Of a server that runs.
    private static let untried = "; its program accepts the files, and whether it starts with them only a start shows"

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
        #expect(journal.result == "written and accepted, as the server's log says; waits for a restart: max_connections" + Self.untried)
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
        #expect(try await n1.set("max_connections=33").result == "written and read back; waits for a restart: max_connections" + Self.untried)
        #expect(try await n1.value("max_connections") == "100")
        #expect(try await n1.set("max_connections=33", restarts: true).result == "restarted and read back")
        #expect(try await n1.value("max_connections") == "33")

        // The server takes such a file, and does not start with it.
        let before = try await n1.read("postgresql.conf")
        let error = await #expect(throws: Configured.ChangeFailed.self) { try await n1.set("unix_socket_directories=/nonexistent", restarts: true) }
        #expect(error?.description.contains("could not create lock file \"/nonexistent/") == true, "\(String(describing: error))")
        #expect(error?.description.contains("the files are as they were, and the server, which was stopped for it, was started again as it had been") == true)
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
        try await n1.end()
    }

    @Test(
        "an element that is there already, or is not there, changes nothing and asks for nothing",
        arguments: [
            ("shared_preload_libraries", "+=auto_explain"), ("shared_preload_libraries", "+=pg_stat_statements"), ("shared_preload_libraries", "-=nowhere"),
            ("search_path", "+=my schema"), ("search_path", "-=nowhere"), ("synchronous_standby_names", "+=B"), ("synchronous_standby_names", "-=nowhere"),
            // What no file sets is what the server has by default.
            ("log_destination", "+=stderr"), ("log_destination", "-=syslog"), ("temp_tablespaces", "-=nowhere"),
        ])
    func nothingToDo(name: String, change: String) async throws {
        let n1 = try await Configured(
            settings:
                "shared_preload_libraries = 'pg_stat_statements,auto_explain'\nsearch_path='\"$user\"  ,\"my schema\"'\nsynchronous_standby_names = 'any 1(a,b)'\nsynchronous_commit = local\n"
        )
        let before = try await n1.read("postgresql.conf"), value = try await n1.value(name)
        let assignment = try #require(ConfigurationRequest.Assignment(name + change))
        let plan = try await n1.plan(.settings([assignment]), restarts: true)
        #expect(plan.problems.isEmpty && plan.edits.isEmpty && !plan.needsReload && !plan.needsRestart && plan.waitingForRestart.isEmpty, "\(plan)")
        #expect(try await n1.set(name + change, restarts: true).result == nil)
        #expect(try await n1.read("postgresql.conf") == before)
        #expect(try await n1.kept().isEmpty)
        // The server waits for nothing either.
        #expect(try await n1.instance.ask("SELECT count(*)::text FROM pg_settings WHERE pending_restart") == "0")
        #expect(try await n1.value(name) == value)
        try await n1.end()
    }

    @Test("a list that would wait for more standbys than it names is not written")
    func hangs() async throws {
        let n1 = try await Configured()
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
            ("primary_conninfo=host=n2 password=s3cret", "holds a password"), ("app.jwt_secret=s3cret", "holds a password"),
        ])
    func obstacles(assignment: String, said: String) async throws {
        let n1 = try await Configured()
        let plan = try await n1.plan(.settings([try #require(ConfigurationRequest.Assignment(assignment))]))
        #expect(plan.problems.count == 1)
        #expect(plan.problems.first?.description.contains(said) == true, "\(plan.problems)")
        #expect(!plan.problems.description.contains("s3cret"))
        try await n1.end()
    }

    @Test("a name that the server does not know is not reset either, and what was meant is said")
    func unknown() async throws {
        let n1 = try await Configured()
        for operation in [ConfigurationRequest.Assignment.Operation.set, .add, .reset] {
            let plan = try await n1.plan(.settings([.init("wrk_mem", operation, "1MB")]))
            #expect(plan.problems.map(\.description) == ["n1: the server knows no setting wrk_mem\n  HINT: did you mean work_mem?"])
        }
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
            plan.remarks.contains("the rule becomes line 3, before `host all all 0.0.0.0/0 reject`: behind that it would have done nothing, or not for all it is for"),
            "\(plan.remarks)")
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
        let expected = "n1: another pggraft changes the configuration of this server (pggraft run 20261128-010101-n1, pid "
        #expect(refused?.fact.hasPrefix(expected) == true, "\(String(describing: refused))")
        await first.close()
        // Its server hears of that a moment later.
        try await wait(for: "the first one's session to end", until: soon, every: .milliseconds(20)) { () -> Look<Void> in
            do { return .found(try await second.takeLock(holder: Holder())) } catch let taken as LockTaken { return .notYet(taken.fact) }
        }
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
        let broken = try await n1.set("unix_socket_directories=/nonexistent")
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
        // Where it logs is the kernel's to say.
        let pid = try await n1.instance.postmaster(deadline: soon).pid
        #expect(try await n1.area.host.require(Command("readlink", "/proc/\(pid)/fd/2"), deadline: soon).text == (n1.area.directory / "log").path)
        #expect(try await n1.area.host.stat(n1.instance.dataDirectory / "log", deadline: soon) == nil)
        try await n1.end()
    }

    @Test("settings that only new sessions have are read back from one", arguments: ScratchArea.versions)
    func backend(binaries: String) async throws {
        let n1 = try await Configured(binaries: binaries)
        // All that this server has of the kind, and can be turned on: each the other way round.
        let text = try await n1.instance.ask(
            """
            SELECT string_agg(name || '=' || CASE setting WHEN 'on' THEN 'off' ELSE 'on' END, ' ' ORDER BY name) AS all FROM pg_settings
            WHERE context IN ('backend', 'superuser-backend') AND vartype = 'bool' OR name = 'log_connections'
            """)
        let assignments = text.split(separator: " ").compactMap { ConfigurationRequest.Assignment(String($0)) }
        #expect(assignments.map(\.name).contains("log_connections") && assignments.map(\.name).contains("log_disconnections"), "\(text)")
        let journal = try await n1.change(.settings(assignments))
        #expect(journal.result == "reloaded and read back")
        for assignment in assignments { #expect(try await n1.value(assignment.name) == assignment.value, "\(assignment)") }
        #expect(try await n1.undo(journal).isEmpty)
        #expect(try await n1.value("log_disconnections") == "off")
        try await n1.end()
    }

    @Test("lines that the server takes, and says something about, are no refusals where its log judges")
    func harmless() async throws {
        let n1 = try await Configured(settings: "logging_collector = on\ninclude_if_exists = 'nowhere.conf'\n")
        let rules = try #require(try await n1.read("pg_hba.conf"))
        try await n1.write(rules + "hostssl all all 10.9.9.9/32 reject\n", to: "pg_hba.conf")
        let journal = try await n1.change(.settings([.init("work_mem", .set, "6MB")]), by: n1.node(role: "nobody"))
        #expect(journal.result == "reloaded and accepted, as the server's log says")
        #expect(try await n1.value("work_mem") == "6MB")
        // What is put back after a refusal is taken as well.
        let refused = await #expect(throws: Configured.ChangeFailed.self) { try await n1.change(.settings([.init("work_mem", .set, "lots")]), by: n1.node(role: "nobody")) }
        let words = try #require(refused).description
        #expect(words.contains("the files are as they were") && !words.contains("takes nothing of them"), "\(words)")
        #expect(try await n1.undo(journal).isEmpty)
        #expect(try await n1.value("work_mem") == "4MB")
        // The server's own word for it.
        #expect(try await n1.instance.ask("SELECT count(*)::text FROM pg_hba_file_rules WHERE address = '10.9.9.9'") == "1")
        try await n1.end()
    }

    @Test(
        "a log that is not read here, now or after the change, is found before anything is changed",
        arguments: [
            ("log_destination = syslog\n", "work_mem", "6MB", "it writes its messages to syslog, which is not read here (log_destination)"),
            ("log_destination = 'csvlog'\nlogging_collector = on\n", "work_mem", "6MB", "it writes its messages to csvlog, which is not read here (log_destination)"),
            ("log_min_messages = fatal\n", "work_mem", "6MB", "it does not write down what it makes of its files (log_min_messages = fatal)"),
            ("", "log_destination", "syslog", "it writes its messages to syslog, which is not read here (log_destination)"),
            ("lc_messages = 'de_DE.UTF-8'\n", "work_mem", "6MB", "its messages are not in English (lc_messages = de_DE.UTF-8)"),
        ])
    func unreadableLog(settings: String, name: String, value: String, why: String) async throws {
        let n1 = try await Configured(settings: settings, starting: !settings.hasPrefix("lc_messages"))
        if settings.hasPrefix("lc_messages") {
            // The machine may not have that language: the server is told so when it runs.
            try await n1.write(try #require(try await n1.read("postgresql.conf")).replacing(settings, with: ""), to: "postgresql.conf")
            try await n1.instance.start(deadline: soon)
            try await n1.area.append(settings, to: n1.instance.dataDirectory / "postgresql.conf")
        }
        let before = try await n1.read("postgresql.conf"), began = ContinuousClock.now
        let error = await #expect(throws: Configured.ChangeFailed.self) { try await n1.change(.settings([.init(name, .set, value)]), by: n1.node(role: "nobody")) }
        #expect(error?.description.contains(why) == true, "\(String(describing: error))")
        #expect(began.duration(to: .now) < .seconds(25), "it waited for a word that never comes")
        #expect(try await n1.read("postgresql.conf") == before)
        #expect(try await n1.kept().isEmpty)
        try await n1.end()
    }

    @Test(
        "a value with which the server could not start is refused, in its program's own words",
        arguments: [
            ("wal_level=minimal", "WAL streaming (max_wal_senders > 0) requires wal_level \"replica\" or \"logical\""),
            ("superuser_reserved_connections=100", "superuser_reserved_connections (100) must be less than max_connections (100)"),
            ("shared_preload_libraries=no_such_library", "could not access file \"no_such_library\""),
            ("wal_level=replica", "wal_level < logical, and there are logical replication slots (1)"),
            ("max_replication_slots=1", "max_replication_slots = 1, and there are more replication slots (2)"),
            ("max_prepared_transactions=0", "max_prepared_transactions = 0, and there are more prepared transactions (1)"),
        ], [true, false])
    func unstartable(assignment: (String, String), isRunning: Bool) async throws {
        let n1 = try await Configured(settings: "wal_level = logical\nmax_replication_slots = 2\nmax_prepared_transactions = 2\n")
        let connection = try await n1.instance.connect()
        for statement: SQL in [
            "SELECT pg_create_logical_replication_slot('l', 'pgoutput')", "SELECT pg_create_physical_replication_slot('p')", "CREATE TABLE t (i integer)",
        ] {
            _ = try await connection.query(statement, deadline: soon)
        }
        _ = try await connection.script("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'x'", deadline: soon)
        await connection.close()
        if !isRunning { try await n1.instance.stop(deadline: soon) }
        let request = try #require(ConfigurationRequest.Assignment(assignment.0)), before = try await n1.read("postgresql.conf")
        // What the server holds is asked of it, where it runs.
        let isOfServer = assignment.1.contains("there are")
        if isRunning || !isOfServer {
            let error = await #expect(throws: Configured.ChangeFailed.self) { try await n1.change(.settings([request])) }
            let words = isRunning && request.value == "minimal" ? "wal_level < replica, and there are physical replication slots (1)" : assignment.1
            #expect(error?.description.contains(words) == true, "\(String(describing: error))")
            #expect(try await n1.read("postgresql.conf") == before)
            if isRunning { #expect(try await n1.value("wal_level") == "logical") }
        }
        // The judge: with that value it does not start.
        try await n1.write(try #require(before) + "\(request.name) = '\(request.value)'\n", to: "postgresql.conf")
        if isRunning { try await n1.instance.stop(deadline: soon) }
        await #expect(throws: InstanceError.self) { try await n1.instance.start(deadline: soon) }
        n1.area.end()
    }

    @Test("what keeps a server from starting already does not keep it from being mended step by step")
    func mending() async throws {
        let n1 = try await Configured(settings: "wal_level = minimal\nshared_preload_libraries = no_such_library\n", starting: false)
        let first = try await n1.set("shared_preload_libraries=")
        #expect(first.result?.contains("it would not start with its files, as it would not before: WAL streaming (max_wal_senders > 0) requires") == true, "\(first.result ?? "")")
        #expect(try await n1.set("wal_level=replica").result == "the server does not run; its programs accept the files")
        try await n1.instance.start(deadline: soon)
        try await n1.end()
    }

    @Test("a run's settings are taken back one by one from a file that others have changed since")
    func undoBySetting() async throws {
        let n1 = try await Configured(settings: "work_mem = 5MB # mine\n"), original = try #require(try await n1.read("postgresql.conf"))
        let first = try await n1.set("work_mem=16MB", "random_page_cost=3"), second = try await n1.set("jit=off")
        #expect(try await n1.undo(first).isEmpty)
        #expect(try await n1.value("work_mem") == "5MB")
        #expect(try await n1.value("random_page_cost") == "4")
        #expect(try await n1.value("jit") == "off")
        #expect(try await n1.undo(first).isEmpty)
        #expect(try await n1.undo(second).isEmpty)
        #expect(try await n1.read("postgresql.conf") == original)
        #expect(try await n1.kept().isEmpty)

        // Of two settings somebody has changed one since.
        let third = try await n1.set("work_mem=17MB", "jit=off")
        _ = try await n1.set("jit=on")
        let left = try await n1.undo(third)
        #expect(left.map(\.fact) == ["n1: jit in \(n1.instance.dataDirectory)/postgresql.conf was changed since by someone else: left alone"])
        #expect(try await n1.value("work_mem") == "5MB")
        #expect(try await n1.value("jit") == "on")
        // A line that was taken out comes back.
        let reset = try await n1.change(.settings([.init("work_mem", .reset)]))
        _ = try await n1.set("random_page_cost=2")
        #expect(try await n1.undo(reset).isEmpty)
        #expect(try await n1.value("work_mem") == "5MB")
        #expect(try await n1.value("random_page_cost") == "2")
        try await n1.end()
    }

    @Test("nothing waits for a restart that was never in force")
    func neverInForce() async throws {
        let n1 = try await Configured()
        let journal = try await n1.set("max_connections=33")
        let said = Mutex<[String]>([]), configure = try n1.again(journal)
        let left = try await Runner(steps: configure.steps) { event in if case .undone(_, _, let lines) = event { said.withLock { $0 += lines } } }.undo(journal)
        #expect(left.isEmpty)
        await configure.close()
        let lines = said.withLock { $0 }
        #expect(lines.contains("reloaded"), "\(lines)")
        try await n1.end()
    }

    @Test("what keeps the files from being taken is named for what it is")
    func advice() async throws {
        let n1 = try await Configured(), main = n1.instance.dataDirectory / "postgresql.conf", text = try #require(try await n1.read("postgresql.conf"))
        func hint(_ content: String) async throws -> String? {
            try await n1.write(content, to: "postgresql.conf")
            return try await n1.plan(.settings([.init("jit", .set, "off")])).problems.first?.hint
        }
        for start in ["\u{FEFF}# saved elsewhere\n", "\u{FEFF}work_mem = 4MB\n"] {
            #expect(try await hint(start + text)?.contains("the file begins with a byte-order mark") == true)
            // The server takes it for a part of the first word.
            #expect(try await n1.instance.ask("SELECT count(*)::text FROM pg_file_settings WHERE error IS NOT NULL AND sourceline = 1") == "1")
        }
        #expect(try await hint("work_mem 4 MB\n" + text) == "correct that line first")
        #expect(try await hint(text + "include 'theirs.conf'\n") == "correct that line first")
        try await n1.area.host.require(
            .script("echo 'jit = on' >\"$1\" && chown root:root \"$1\" && chmod 600 \"$1\"", (n1.instance.dataDirectory / "theirs.conf").path), deadline: soon)
        #expect(try await hint(text + "include 'theirs.conf'\n")?.hasPrefix("let postgres, the server's OS user, read what it cannot open") == true)
        try await n1.area.host.require(Command("chown", "root:root", main.path), deadline: soon)
        try await n1.area.host.require(Command("chmod", "600", main.path), deadline: soon)
        let plan = try await n1.plan(.settings([.init("jit", .set, "off")]))
        #expect(plan.problems.first?.hint?.hasPrefix("let postgres, the server's OS user, read what it cannot open") == true, "\(plan.problems)")
        try await n1.area.host.require(Command("chown", "postgres", main.path), deadline: soon)
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
            ("host all app 10.1.2.3/32 trust", ["trust-over-network"]), ("host all app 0.0.0.0/1 scram-sha-256", ["any-address"]),
            ("host all app 10.1.2.3/32 password", ["clear-text-over-network"]), ("host all app .com scram-sha-256", ["any-address"]),
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
