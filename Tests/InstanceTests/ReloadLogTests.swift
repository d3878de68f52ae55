import PostgresClient
import PostgresConfig
import RemoteHost
import Scratch
import Testing

@testable import Instance

@Suite("What a server says of its configuration") struct ReloadLogTests {
    struct Said: Sendable {
        var lines: [String], changed: [String] = [], pending: [String] = [], problems: [String] = []
    }

    static let said: [Said] = [
        Said(lines: ["LOG:  parameter \"work_mem\" changed to \"6MB\"", "LOG:  checkpoint starting: time"], changed: ["work_mem"]),
        Said(lines: ["LOG:  parameter \"work_mem\" removed from configuration file, reset to default"], changed: ["work_mem"]),
        Said(
            lines: [
                "2026-11-21 14:10:23.248 UTC [26140] LOG:  parameter \"max_connections\" cannot be changed without restarting the server",
                "2026-11-21 14:10:23.248 UTC [26140] LOG:  configuration file \"/d/postgresql.conf\" contains errors; unaffected changes were applied",
            ], pending: ["max_connections"]),
        Said(
            lines: [
                "LOG:  parameter \"max_connections\" cannot be changed without restarting the server", "LOG:  invalid value for parameter \"work_mem\": \"lots\"",
                "LOG:  configuration file \"/d/postgresql.conf\" contains errors; unaffected changes were applied",
            ], pending: ["max_connections"],
            problems: [
                "invalid value for parameter \"work_mem\": \"lots\"", "configuration file \"/d/postgresql.conf\" contains errors; unaffected changes were applied",
            ]),
        Said(
            lines: [
                "LOG:  syntax error in file \"/d/postgresql.conf\" line 3, near end of line",
                "LOG:  configuration file \"/d/postgresql.conf\" contains errors; no changes were applied",
            ],
            problems: [
                "syntax error in file \"/d/postgresql.conf\" line 3, near end of line",
                "configuration file \"/d/postgresql.conf\" contains errors; no changes were applied",
            ]),
        // Until 9.6, and from 10.
        Said(lines: ["LOG:  pg_hba.conf not reloaded"], problems: ["pg_hba.conf not reloaded"]),
        Said(lines: ["LOG:  /d/pg_hba.conf was not reloaded"], problems: ["/d/pg_hba.conf was not reloaded"]),
        // Taken all the same.
        Said(lines: ["LOG:  skipping missing configuration file \"/d/nowhere.conf\""]),
        Said(
            lines: [
                "LOG:  hostssl record cannot match because SSL is disabled", "HINT:  Set ssl = on in postgresql.conf.",
                "CONTEXT:  line 5 of configuration file \"/d/pg_hba.conf\"",
            ]),
        Said(
            lines: ["LOG:  invalid authentication method \"nonsense\"", "CONTEXT:  line 5 of configuration file \"/d/pg_hba.conf\"", "LOG:  /d/pg_hba.conf was not reloaded"],
            problems: ["invalid authentication method \"nonsense\"", "line 5 of configuration file \"/d/pg_hba.conf\"", "/d/pg_hba.conf was not reloaded"]),
        // Somebody else's words.
        Said(lines: ["ERROR:  invalid input syntax for type integer: \"x\"", "FATAL:  role \"nobody\" does not exist"]),
        Said(lines: []),
    ]

    @Test("is read from its log", arguments: said)
    func read(said: Said) {
        let log = ReloadLog(said.lines)
        #expect(log.changed == said.changed)
        #expect(log.pendingRestart == said.pending)
        #expect(log.problems == said.problems)
    }

    @Test(
        "a host name is the client's where the address has it, and it the address",
        arguments: [
            ("c1.example.org", true), ("C1.EXAMPLE.ORG", true), (".example.org", true), (".org", true), ("example.org", false), (".c1.example.org", false),
            ("c2.example.org", false),
        ])
    func hostName(wanted: String, expected: Bool) throws {
        let address = try #require(IPAddress("10.77.0.31"))
        #expect(ServerAnswers.isHost(wanted, address, in: "c1.example.org\n10.77.0.99\n10.77.0.31\n10.77.0.31\n") == expected)
        #expect(!ServerAnswers.isHost(wanted, address, in: "c1.example.org\n10.77.0.99\n"))
        #expect(!ServerAnswers.isHost(wanted, address, in: ""))
    }

    @Test("a server's own addresses and networks")
    func interfaces() throws {
        let found = ServerAnswers.interfaces(
            """
            1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
            1: lo    inet6 ::1/128 scope host \\       valid_lft forever preferred_lft forever
            2: eth0    inet 10.77.0.11/24 brd 10.77.0.255 scope global eth0\\       valid_lft forever preferred_lft forever
            3: tun0    inet 10.9.0.1 peer 10.9.0.2/32 scope global tun0\\       valid_lft forever
            """)
        #expect(found.map { "\($0.address)" } == ["127.0.0.1", "::1", "10.77.0.11", "10.9.0.1"])
        #expect(found[2].contains(try #require(IPAddress("10.77.0.200"))))
        #expect(!found[3].contains(try #require(IPAddress("10.9.0.2"))))
    }
}

@Suite("Configuration files on a host", .serialized) struct ConfigurationReadingTests {
    @Test("are found where the running server was told, where the last one was, and where Debian and PostgreSQL have them")
    func places() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1"), data = n1.dataDirectory, elsewhere = area.directory / "etc"
        #expect(try await n1.configurationFiles(deadline: soon).configFile == data / "postgresql.conf")
        try await area.host.require(
            .script(
                "mkdir \"$2\" && mv \"$1/postgresql.conf\" \"$1/pg_hba.conf\" \"$2\" && echo \"hba_file = '$1/rules/hba'\" >>\"$2/postgresql.conf\" && mkdir \"$1/rules\" && mv \"$2/pg_hba.conf\" \"$1/rules/hba\"",
                data.path, elsewhere.path
            ).as("postgres"), deadline: soon)
        try await area.host.require(
            Command(ScratchArea.binaries + "/pg_ctl", "start", "-w", "-D", data.path, "-l", (area.directory / "log").path, "-o", "-c config_file=\(elsewhere)/postgresql.conf")
                .as("postgres"), deadline: soon)
        let connection = try await n1.connect()
        let asked = try await n1.configurationFiles(through: connection, deadline: soon)
        #expect(asked.configFile == elsewhere / "postgresql.conf")
        await connection.close()
        for _ in 1...2 {
            #expect(try await n1.configurationFiles(deadline: soon).configFile == asked.configFile)
            #expect(try await n1.configurationFiles(deadline: soon).hbaFile == data / "rules/hba")
            try await n1.stop(deadline: soon)
        }
    }

    @Test("are read as a tree, through links, with what cannot be read")
    func tree() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", settings: "include_dir 'conf.d'\ninclude_if_exists 'nowhere.conf'\n"), data = n1.dataDirectory
        try await area.host.require(
            .script(
                """
                cd "$1" && mkdir conf.d conf.d/sub.conf && echo 'work_mem = 1MB' >conf.d/a.conf && echo 'work_mem = 2MB' >conf.d/b.conf
                echo 'work_mem = 9MB' >conf.d/.hidden.conf && echo 'work_mem = 9MB' >conf.d/readme && echo 'x.y = 1' >real && ln -s ../real conf.d/c.conf
                """, data.path
            ).as("postgres"), deadline: soon)
        let tree = try await n1.settingsTree(deadline: soon)
        #expect(tree.errors.isEmpty)
        #expect(tree.deciding("work_mem")?.file == "\(data)/conf.d/b.conf")
        #expect(tree.overridden("work_mem").map(\.file) == ["\(data)/conf.d/a.conf"])
        #expect(tree.deciding("x.y")?.file == "\(data)/conf.d/c.conf")
        try await area.host.require(.script("ln -s nowhere \"$1/conf.d/z.conf\"", data.path).as("postgres"), deadline: soon)
        let broken = try await n1.settingsTree(deadline: soon)
        #expect(broken.errors.map(\.text) == ["could not stat file \"\(data)/conf.d/z.conf\""], "\(broken.errors)")
    }

    @Test("a setting's value, line, what hides it and what it waits for")
    func report() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", settings: "work_mem = 4096kB\nwork_mem = 5MB\ndatestyle = 'iso, dmy'\nmax_connections = 40\n")
        try await n1.start(deadline: soon)
        let connection = try await n1.connect()
        for statement: SQL in ["CREATE ROLE app", "ALTER ROLE app IN DATABASE postgres SET work_mem = '1GB'"] { _ = try await connection.query(statement, deadline: soon) }
        try await area.append("work_mem = 6MB\nmax_connections = 50\nrandom_page_cost = 2\n", to: n1.dataDirectory / "postgresql.auto.conf")
        let now = try await n1.configuration(through: connection, deadline: soon)
        let memory = now.report("WORK_MEM")
        #expect(memory.name == "work_mem")
        #expect(memory.value == "5MB")
        #expect(memory.state == .waitsForReload("6MB"))
        #expect(memory.hidden.map(\.value) == ["4096kB", "5MB"])
        #expect(memory.overrides.map(\.description) == ["database postgres, role app: work_mem = 1GB"])
        #expect(now.report("max_connections").state == .waitsForRestart("50"))
        #expect(now.report("datestyle").state == .inForce)
        // Lines that have moved say what they said.
        let main = n1.dataDirectory / "postgresql.conf"
        try await area.host.write(
            Array("# one more\n".utf8) + (try #require(try await area.host.read(main, as: "postgres", deadline: soon))), to: main, as: "postgres", deadline: soon)
        let moved = try await n1.configuration(through: connection, deadline: soon)
        #expect(moved.report("datestyle").state == .inForce)
        #expect(moved.report("log_timezone").state == .inForce)
        #expect(now.report("autovacuum").decider == .nobody)
        #expect(now.report("no_such").isKnown == false)
        #expect(now.report("data_directory").decider == .commandLine(n1.dataDirectory.path))
        await connection.close()
        try await n1.stop(deadline: soon)
        let files = try await n1.configuration(through: nil, deadline: soon)
        #expect(files.report("work_mem").value == "6MB")
        #expect(files.report("work_mem").state == .unknown)
        #expect(try await n1.valueAtStart(of: "autovacuum", deadline: soon) == "on")
    }
}
