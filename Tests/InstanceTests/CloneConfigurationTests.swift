import Foundation
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Scratch
import Testing

@testable import Instance

@Suite("The configuration of a copy") struct CloneConfigurationTests {
    typealias Line = SourceSettings.FileLine

    static func path(_ text: String) throws -> HostPath { try #require(HostPath(text)) }

    static func files(data: String, config: String? = nil) throws -> ConfigurationFiles {
        let directory = try path(config ?? data)
        return ConfigurationFiles(
            dataDirectory: try path(data), configFile: directory / "postgresql.conf", hbaFile: directory / "pg_hba.conf",
            identFile: directory / "pg_ident.conf")
    }

    static let inForce: [SourceSettings.InForce] = [
        .init(name: "hot_standby", value: "on", source: "default"),
        .init(name: "max_connections", value: "200", source: "configuration file"),
        .init(name: "max_locks_per_transaction", value: "64", source: "default"),
        .init(name: "max_prepared_transactions", value: "0", source: "default"),
        .init(name: "max_replication_slots", value: "10", source: "default"),
        .init(name: "max_wal_senders", value: "12", source: "command line"),
        .init(name: "max_worker_processes", value: "8", source: "default"),
        .init(name: "shared_preload_libraries", value: "pg_stat_statements, spock", source: "configuration file"),
        .init(name: "ssl_cert_file", value: "/etc/ssl/certs/x.pem", source: "configuration file"),
        .init(name: "track_commit_timestamp", value: "on", source: "configuration file"),
        .init(name: "wal_level", value: "logical", source: "configuration file"),
        .init(name: "work_mem", value: "65536", source: "session"),
    ]

    static let hba = HBAFile(only: [HBARule(localTo: [.all], users: [.named("postgres")], method: "peer")], comment: "closed until joined", for: HBAServer(.postgres(15)))
    static let hbaText = "# closed until joined\nlocal   all             postgres                                peer\n"

    static func debianLines() -> [Line] {
        func line(_ name: String, _ value: String, applied: Bool = true) -> Line {
            Line(file: "/etc/postgresql/15/main/postgresql.conf", name: name, value: value, isApplied: applied)
        }
        return [
            line("data_directory", "/var/lib/postgresql/15/main"), line("port", "5432"), line("max_connections", "100", applied: false),
            line("ssl", "on"), line("ssl_cert_file", "/etc/ssl/certs/x.pem"), line("cluster_name", "15/main"), line("work_mem", "64MB"),
            line("stats_temp_directory", "/run/x"), line("wal_level", "logical"), line("track_commit_timestamp", "on"), line("archive_mode", "on"),
            line("shared_preload_libraries", "pg_stat_statements, spock"), line("log_line_prefix", "%m ''%d "),
            Line(file: "/etc/postgresql/15/main/conf.d/mem.conf", name: "max_connections", value: "200", isApplied: true),
            Line(file: "/etc/postgresql/15/main/conf.d/mem.conf", name: "spock.exception_behaviour", value: "sub_disable", isApplied: true),
            Line(file: "/etc/postgresql/15/main/conf.d/mem.conf", name: "spock.readonly", value: "user", isApplied: true),
            Line(file: "/var/lib/postgresql/15/main/postgresql.auto.conf", name: "work_mem", value: "32MB", isApplied: true),
        ]
    }

    @Test(arguments: [false, true]) func `of a server that reads no postgresql.auto.conf stands in its postgresql.conf, where it decides`(_ includes: Bool) throws {
        let (master, slave) = (try Self.files(data: "/pgxc/datanode"), try Self.files(data: "/pgxc/slave"))
        let config = "port = 20006\n#hot_standby = off\nsynchronous_standby_names = 'other'\narchive_mode = on\narchive_command = 'x'\n" + (includes ? "include 'more.conf'\n" : "")
        let names = [("port", "20006"), ("synchronous_standby_names", "other"), ("archive_mode", "on"), ("archive_command", "x")]
        let clone = CloneConfiguration(
            source: SourceSettings(
                files: master, lines: names.map { Line(file: master.configFile.path, name: $0.0, value: $0.1, isApplied: true) },
                inForce: [.init(name: "hot_standby", value: "off", source: "default"), .init(name: "archive_mode", value: "on", source: "configuration file")]),
            features: ServerFeatures(try #require(MajorVersion("9.3"))),
            target: .init(files: slave, port: 20010, content: [slave.configFile: Array(config.utf8), slave.dataDirectory / "recovery.done": []]), withoutLibraries: [],
            primaryConninfo: Conninfo(["host": "node01", "port": "20006", "user": "replicator", "application_name": "slave"]), restoreCommand: "cp /arclog/%f \"%p\"",
            archiveCleanupCommand: "pg_archivecleanup /arclog %r")
        let edits = try clone.edits(hba: Self.hba), texts = Dictionary(uniqueKeysWithValues: edits.map { ($0.path.name, $0.after.map { String(decoding: $0, as: UTF8.self) }) })
        #expect(Set(texts.keys) == ["pg_hba.conf", "postgresql.conf", "recovery.conf", "recovery.done"])
        let written = try #require(texts["postgresql.conf"] ?? nil), file = SettingsFile(Array(written.utf8))
        for (name, value) in [("port", "20010"), ("synchronous_standby_names", ""), ("archive_mode", "off"), ("hot_standby", "on")] {
            #expect(file.settings.filter { $0.name == name }.map(\.value) == [value], "\(written)")
        }
        // Behind what is included nothing overrides it.
        if includes, let include = written.range(of: "include 'more.conf'") { #expect(written[include.upperBound...].contains("port = ")) }
        let recovery = SettingsFile(Array(try #require(texts["recovery.conf"] ?? nil).utf8))
        #expect(recovery.value(of: "standby_mode") == "on" && recovery.value(of: "restore_command") == "cp /arclog/%f \"%p\"")
        #expect(
            recovery.value(of: "archive_cleanup_command") == "pg_archivecleanup /arclog %r" && recovery.value(of: "primary_conninfo")?.contains("application_name=slave") == true)
        #expect(texts["recovery.done"] == .some(nil))
    }

    @Test("of a Debian source in a plain directory: nothing but the data directory came with it")
    func debianToPlain() throws {
        let source = SourceSettings(
            files: try Self.files(data: "/var/lib/postgresql/15/main", config: "/etc/postgresql/15/main"), lines: Self.debianLines(), inForce: Self.inForce)
        let target = try Self.files(data: "/srv/n4")
        let clone = CloneConfiguration(
            source: source, features: ServerFeatures(.postgres(15)),
            target: .init(
                files: target, port: 5433, listenAddresses: "10.77.0.14",
                content: [
                    target.autoConfFile: Array(
                        """
                        # Do not edit this file manually!
                        # It will be overwritten by the ALTER SYSTEM command.
                        work_mem = '32MB'
                        recovery_target_time = '2025-01-01'
                        restore_command = 'pgbackrest --stanza=x archive-get %f "%p"'

                        """.utf8)
                ]),
            withoutLibraries: ["spock"],
            primaryConninfo: Conninfo(["host": "n1", "user": "repl", "passfile": "/var/lib/postgresql/.pgpass"]), primarySlotName: "n4")
        let edits = try clone.edits(hba: Self.hba)
        #expect(
            edits.map(\.path.path)
                == ["/srv/n4/pg_hba.conf", "/srv/n4/postgresql.conf", "/srv/n4/standby.signal", "/srv/n4/postgresql.auto.conf"])
        #expect(edits.map(\.before) == [nil, nil, nil, clone.target.content[target.autoConfFile]])
        #expect(text(edits[0].after) == Self.hbaText)
        #expect(text(edits[1].after) == "# All settings are in postgresql.auto.conf.\n")
        #expect(edits[2].after == [])
        #expect(
            text(edits[3].after) == """
                # Do not edit this file manually!
                # It will be overwritten by the ALTER SYSTEM command.
                work_mem = '32MB'
                restore_command = 'pgbackrest --stanza=x archive-get %f "%p"'
                wal_level = 'logical'
                track_commit_timestamp = 'on'
                log_line_prefix = '%m ''''%d '
                max_connections = '200'
                spock.exception_behaviour = 'sub_disable'
                max_wal_senders = '12'
                max_prepared_transactions = '0'
                max_locks_per_transaction = '64'
                max_worker_processes = '8'
                max_replication_slots = '10'
                port = '5433'
                listen_addresses = '10.77.0.14'
                shared_preload_libraries = 'pg_stat_statements'
                archive_mode = 'off'
                synchronous_standby_names = ''
                primary_conninfo = 'host=n1 user=repl passfile=/var/lib/postgresql/.pgpass'
                primary_slot_name = 'n4'

                """)
    }

    @Test("of a plain source in a plain directory: the files came with it, and what names the source's places goes")
    func plainToPlain() throws {
        func line(_ name: String, _ value: String, _ file: String = "/srv/n1/postgresql.conf", applied: Bool = true) -> Line {
            Line(file: file, name: name, value: value, isApplied: applied)
        }
        let source = SourceSettings(
            files: try Self.files(data: "/srv/n1"),
            lines: [
                line("data_directory", "/srv/n1"), line("work_mem", "1MB"), line("recovery_target_action", "promote"), line("spock.readonly", "user"),
                line("autovacuum", "off", "/srv/n1/extra/a.conf"), line("max_connections", "300", "/etc/pg/common.conf"),
                line("shared_preload_libraries", "spock"), line("recovery_target_name", "x", "/srv/n1/postgresql.auto.conf"),
            ],
            inForce: Self.inForce.map { $0.name == "shared_preload_libraries" ? .init(name: $0.name, value: "spock", source: $0.source) : $0 })
        let target = try Self.files(data: "/srv/n4")
        let conf = """
            data_directory = '/srv/n1'  # moved
            work_mem = 1MB
            recovery_target_action = promote
            spock.readonly = user
            include_dir 'extra'
            include '/etc/pg/common.conf'
            include_if_exists = '/srv/n1/local.conf'
            include '../outside.conf'
            shared_preload_libraries = 'spock'

            """
        let clone = CloneConfiguration(
            source: source, features: ServerFeatures(.postgres(15)),
            target: .init(
                files: target, port: 5433,
                content: [
                    target.configFile: Array(conf.utf8), target.hbaFile: Self.hba.render(), target.dataDirectory / "standby.signal": [],
                    target.autoConfFile: Array("recovery_target_name = 'x'\nport = '5432' # n1\n".utf8),
                ]),
            withoutLibraries: ["spock"], primaryConninfo: nil)
        let edits = try clone.edits(hba: Self.hba)
        // The rules and the signal file are as they shall be already.
        #expect(edits.map(\.path.path) == ["/srv/n4/postgresql.conf", "/srv/n4/postgresql.auto.conf"])
        #expect(
            text(edits[0].after) == """
                #data_directory = '/srv/n1'  # moved  # names a place of the node this is a copy of
                work_mem = 1MB
                recovery_target_action = promote
                spock.readonly = user
                include_dir 'extra'
                #include '/etc/pg/common.conf'  # not in the copy; its settings are in postgresql.auto.conf
                #include_if_exists = '/srv/n1/local.conf'  # not in the copy; its settings are in postgresql.auto.conf
                #include '../outside.conf'  # not in the copy; its settings are in postgresql.auto.conf
                shared_preload_libraries = 'spock'

                """)
        #expect(
            text(edits[1].after) == """
                port = '5433' # n1
                max_connections = '300'
                max_wal_senders = '12'
                recovery_target_action = 'pause'
                spock.readonly = 'off'
                shared_preload_libraries = ''
                archive_mode = 'off'
                synchronous_standby_names = ''

                """)
    }

    @Test("under Debian's tools: the cluster's own file stays as it is")
    func plainToDebian() throws {
        let source = SourceSettings(
            files: try Self.files(data: "/srv/n1"),
            lines: [
                Line(file: "/srv/n1/postgresql.conf", name: "max_connections", value: "200", isApplied: true),
                Line(file: "/srv/n1/postgresql.conf", name: "work_mem", value: "1MB", isApplied: true),
            ], inForce: Self.inForce)
        let target = try Self.files(data: "/var/lib/postgresql/15/n4", config: "/etc/postgresql/15/n4")
        let clone = CloneConfiguration(
            source: source, features: ServerFeatures(.postgres(15)),
            target: .init(
                files: target, port: 5433,
                content: [
                    target.configFile: Array("data_directory = '/var/lib/postgresql/15/n4'\n".utf8), target.hbaFile: Array("local all all peer\n".utf8),
                ]),
            withoutLibraries: [], primaryConninfo: nil)
        let edits = try clone.edits(hba: Self.hba)
        #expect(
            edits.map(\.path.path) == [
                "/etc/postgresql/15/n4/pg_hba.conf", "/var/lib/postgresql/15/n4/standby.signal", "/var/lib/postgresql/15/n4/postgresql.auto.conf",
            ])
        let auto = SettingsFile(edits[2].after ?? [])
        #expect(auto.value(of: "max_connections") == "200")
        #expect(auto.value(of: "work_mem") == "1MB")
        #expect(auto.value(of: "track_commit_timestamp") == "on")
        #expect(auto.value(of: "shared_preload_libraries") == nil)
    }

    @Test("leftovers of a standby do nothing until it has joined, and stand again as they stood")
    func leftovers() throws {
        func line(_ name: String, _ value: String, _ file: String = "/srv/n1/postgresql.conf") -> Line { Line(file: file, name: name, value: value, isApplied: true) }
        let auto = "/srv/n1/postgresql.auto.conf"
        let source = SourceSettings(
            files: try Self.files(data: "/srv/n1"),
            lines: [
                line("primary_slot_name", "n0"), line("recovery_end_command", "/usr/local/bin/take-address"), line("archive_cleanup_command", "rm /archive/%r"),
                line("recovery_min_apply_delay", "1h", "/srv/n1/conf.d/delay.conf"), line("promote_trigger_file", "/tmp/go"), line("restore_command", "cp /archive/%f %p"),
                line("recovery_target_timeline", "3"), line("recovery_target_inclusive", "on"), line("hot_standby", "off"),
                line("primary_slot_name", "older", auto), line("recovery_end_command", "/bin/false", auto), line("max_logical_replication_workers", "7", auto),
            ],
            inForce: Self.inForce.filter { $0.name != "hot_standby" } + [
                .init(name: "hot_standby", value: "off", source: "configuration file"),
                .init(name: "spock.pg_standby_slot_names", value: "ha_standby", source: "configuration file"),
            ])
        let target = try Self.files(data: "/srv/n4")
        let conf = "primary_slot_name = n0\ninclude_dir conf.d\n",
            held = "primary_slot_name = 'older'\nrecovery_end_command = '/bin/false'\nmax_logical_replication_workers = '7'\n"
        func clone(_ auto: [UInt8]) -> CloneConfiguration {
            CloneConfiguration(
                source: source, features: ServerFeatures(.postgres(15)),
                target: .init(
                    files: target, port: 5433, content: [target.configFile: Array(conf.utf8), target.autoConfFile: auto],
                    lines: [line("archive_cleanup_command", "rm /other/%r", "/srv/n4/own.conf"), line("recovery_min_apply_delay", "0", "/srv/n4/own.conf")]),
                withoutLibraries: ["spock", "pglogical"], withoutSubscriptions: true, primaryConninfo: Conninfo(["host": "n1"]), restoreCommand: "pgbackrest archive-get %f %p")
        }
        let first = try #require(try clone(Array(held.utf8)).edits(hba: Self.hba).first { $0.path == target.autoConfFile }?.after)
        #expect(
            text(first) == """
                max_logical_replication_workers = '0'
                max_wal_senders = '12'
                primary_slot_name = ''
                recovery_end_command = ''
                archive_cleanup_command = ''
                recovery_min_apply_delay = '0'
                promote_trigger_file = ''
                recovery_target_timeline = 'latest'
                port = '5433'
                shared_preload_libraries = 'pg_stat_statements'
                archive_mode = 'off'
                synchronous_standby_names = ''
                spock.pg_standby_slot_names = ''
                hot_standby = 'on'
                primary_conninfo = 'host=n1'
                restore_command = 'pgbackrest archive-get %f %p'

                """)
        // Once written, it is as it shall be; and what is put back is known from the source, not from what was written.
        #expect(try !clone(first).edits(hba: Self.hba).contains { $0.path == target.autoConfFile })
        for auto in [Array(held.utf8), first] {
            #expect(
                clone(auto).putBack().map { "\($0.name)=\($0.value ?? "nothing")" } == [
                    "primary_slot_name=nothing", "recovery_end_command=nothing", "archive_cleanup_command=nothing", "recovery_min_apply_delay=nothing",
                    "promote_trigger_file=nothing", "recovery_target_timeline=nothing", "hot_standby=nothing", "max_logical_replication_workers=7",
                ])
        }
        // A standby that may take its primary's place goes on with the subscriptions.
        var standby = clone(Array(held.utf8))
        standby.withoutSubscriptions = false
        #expect(SettingsFile(try #require(try standby.edits(hba: Self.hba).first { $0.path == target.autoConfFile }?.after)).value(of: "max_logical_replication_workers") == "7")
    }

    @Test("a minimum that waits for the primary's restart is what the primary runs with")
    func pendingRestart() throws {
        let source = SourceSettings(
            files: try Self.files(data: "/srv/n1"),
            lines: [Line(file: "/srv/n1/postgresql.auto.conf", name: "max_connections", value: "50", isApplied: false)], inForce: Self.inForce)
        let target = try Self.files(data: "/srv/n4")
        let clone = CloneConfiguration(
            source: source, features: ServerFeatures(.postgres(15)),
            target: .init(
                files: target, port: 1,
                content: [
                    target.configFile: Array("max_connections = 200\n".utf8), target.autoConfFile: Array("max_connections = '50'\n".utf8),
                ]), withoutLibraries: [], primaryConninfo: nil)
        let auto = try #require(try clone.edits(hba: Self.hba).first { $0.path == target.autoConfFile })
        #expect(SettingsFile(auto.after ?? []).value(of: "max_connections") == "200")
    }

    @Test("until version 11 in recovery.conf")
    func recoveryConf() throws {
        let target = try Self.files(data: "/srv/n4")
        let clone = CloneConfiguration(
            source: SourceSettings(files: try Self.files(data: "/srv/n1"), lines: [], inForce: []), features: ServerFeatures(.postgres(11)),
            target: .init(
                files: target, port: 1,
                content: [
                    target.configFile: [], target.dataDirectory / "recovery.conf": Array("restore_command = 'x'\nrecovery_target_time = 'y'\n".utf8),
                ]), withoutLibraries: [], primaryConninfo: Conninfo(["host": "n1"]))
        let edits = try clone.edits(hba: Self.hba)
        #expect(edits.map(\.path.name) == ["pg_hba.conf", "recovery.conf", "postgresql.auto.conf"])
        #expect(
            text(edits[1].after) == """
                restore_command = 'x'
                standby_mode = 'on'
                recovery_target_timeline = 'latest'
                primary_conninfo = 'host=n1'

                """)
        #expect(SettingsFile(edits[2].after ?? []).value(of: "primary_conninfo") == nil)
    }

    @Test("never takes a password")
    func password() throws {
        let files = try Self.files(data: "/srv/n1")
        let clone = CloneConfiguration(
            source: SourceSettings(files: files, lines: [], inForce: []), features: ServerFeatures(.postgres(15)),
            target: .init(files: files, port: 1, content: [:]), withoutLibraries: [],
            primaryConninfo: Conninfo(["host": "n1", "password": "s3cret"]))
        let error = #expect(throws: UnusableSetting.self) { try clone.edits(hba: Self.hba) }
        #expect(error?.description.contains("s3cret") == false)
    }

    @Test("gets its rules back")
    func opening() throws {
        let target = try Self.files(data: "/srv/n4")
        let clone = CloneConfiguration(
            source: SourceSettings(files: try Self.files(data: "/srv/n1"), lines: [], inForce: Self.inForce), features: ServerFeatures(.postgres(15)),
            target: .init(files: target, port: 1, content: [:]), withoutLibraries: ["spock"], primaryConninfo: nil)
        let rule = HBARule(.host, databases: [.named("app")], users: [.named("spock")], from: .network(try #require(IPNetwork("10.77.0.11"))), method: "scram-sha-256")
        let edits = clone.opening(
            sourceHBA: Array("host all all all reject\n".utf8), sourceIdent: Array("m a b\n".utf8), ensuring: [rule],
            current: [target.hbaFile: Self.hba.render()])
        #expect(edits.map(\.path) == [target.identFile, target.hbaFile])
        #expect(text(edits[0].after) == "m a b\n")
        #expect(text(edits[1].after) == "\(rule)\nhost all all all reject\n")
        #expect(text(edits[1].before) == Self.hbaText)
    }
}
