import Bed
import Foundation
import Glibc
import Run
import Testing

/// The standby of a pair, as the document sets it up.
@Suite("A hot standby", .serialized)
struct HotStandbyTests {
    @Test func `is made of a primary that lacks everything, has all that was acknowledged, feeds another one, and is taken back`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3)
            let pair = MadePair(bed: bed)
            try await spaces(on: bed)
            // A primary as it is where nobody ever thought of a standby.
            for setting in ["wal_level = minimal", "max_wal_senders = 0"] { try await bed.psql("db1", "ALTER SYSTEM SET \(setting)") }
            try await bed.host("db1").stopPostgres()
            let rules = "/var/lib/postgresql/15/main/pg_hba.conf"
            try await bed.host("db1").run(asUser: "postgres", "sed -i '3i host replication all 10.77.0.0/24 reject' \(rules)")
            try await bed.host("db1").startPostgres()
            // And a cluster in the standby's place, as a package makes it; nobody knows a password there.
            let own = "/var/lib/postgresql/15/main"
            try await bed.host("db2").run(
                asUser: "postgres",
                """
                \(pair.programs)/initdb -D \(own) --no-instructions >/dev/null && echo "unix_socket_directories = '/tmp'" >>\(own)/postgresql.conf
                \(pair.programs)/pg_ctl -s -w -D \(own) -l /tmp/own.log start && rm ~/.pgpass
                """)
            try await bed.host("db2").run("install -d -o postgres /srv")
            try await bed.host("db1").run("install -d /var/backups/pgsql")
            try await bed.host("db2").run("install -d -o postgres /var/backups/pgsql")
            let before = try await bed.looks(["db1", "db2"])

            let edits: KeyValuePairs = [
                "  # existing: refuse": "  existing: move-aside", "  # wal_directory: /srv/wal": "  wal_directory: /srv/wal",
                "  # tablespaces:\n  #   fast: /srv/fast": "  tablespaces:\n    fast: /srv/elsewhere/fast",
                "# archive:\n#   directory: /var/backups/pgsql/archive": "archive:\n  directory: /var/backups/pgsql/archive",
                "  # max_rate: 100MB": "  max_rate: 100MB", "  # compression: none": "  compression: gzip",
            ]
            let someone = try Operator(of: bed, with: "hot-standby", playbook: edits)
            try writeFile(try readFile(someone.pgpass).split(separator: "\n").filter { !$0.contains("replicator") }.joined(separator: "\n") + "\n", to: someone.pgpass, mode: 0o600)
            let refused = try await someone.pggraft("check", someone.playbook)
            #expect(refused.status == 1)
            #expect(refused.standardOutput.contains("as root on db1: install -d -o postgres -m 0700 /var/backups/pgsql/archive"), "\(refused.standardOutput)")
            #expect(
                refused.standardOutput.contains("db1 must be restarted: wal_level, max_wal_senders and archive_mode can be changed at a start only"), "\(refused.standardOutput)")
            try await pair.expectLooks(["db1", "db2"], before)

            try await bed.host("db1").run("chown postgres /var/backups/pgsql")
            try writeFile(try readFile(someone.playbook).replacing("# restart: no", with: "restart: yes"), to: someone.playbook)
            let plan = try await pair.succeeds(someone, "plan", someone.playbook)
            #expect(plan.contains("before `host replication all 10.77.0.0/24 reject`"), "\(plan)")
            #expect(plan.contains("db1: restart, fast: wal_level, max_wal_senders and archive_mode need it"), "\(plan)")
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.conninfo("db1", user: "app") }
            let output = try await pair.succeeds(someone, "run", "--yes", someone.playbook)
            #expect(output.contains("verified by pg_verifybackup"), "\(output)")
            #expect(try await bed.psql("db1", "SELECT state, usename FROM pg_stat_replication WHERE application_name = 'db2'") == "streaming|replicator", "\(output)")
            #expect(try await bed.psql("db1", "SELECT slot_name, slot_type, active FROM pg_replication_slots") == "db2|physical|t")
            #expect(
                try await bed.psql("db1", "SELECT rolconnlimit, rolsuper, left(rolpassword, 14) FROM pg_authid WHERE rolname = 'replicator'", database: "postgres")
                    == "5|f|SCRAM-SHA-256$")
            #expect(
                try await bed.psql("db2", "SELECT pg_is_in_recovery(), spcname, pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname IN ('fast', 'slow') ORDER BY 2")
                    == "t|fast|/srv/elsewhere/fast\nt|slow|/srv/slow")
            #expect(try await bed.host("db2").run("readlink \(own)/pg_wal; stat -c %a ~postgres/.pgpass") == "/srv/wal\n600")
            #expect(try await bed.host("db2").run("ls -d \(own).before-*/PG_VERSION").hasPrefix("\(own).before-"))

            // A cascade, made while writers write.
            let next = try Operator(
                of: bed, with: "hot-standby",
                playbook: [
                    "\nstandby:\n": "\nupstream: db2\nstandby:\n", "    db1:\n": "    db2:\n      address: 10.77.0.32\n    db1:\n",
                    "  name: db2\n  address: 10.77.0.32": "  name: db3\n  address: 10.77.0.33",
                ])
            // The password that was made is in one place only.
            let line = try await bed.host("db2").run("cat ~postgres/.pgpass")
            #expect(line.hasPrefix("10.77.0.31:5432:replication:replicator:") && line.split(separator: "\n").count == 1)
            try await bed.host("db3").run("install -d -o postgres /srv; cat >~postgres/.pgpass", input: line.replacing("10.77.0.31", with: "10.77.0.32") + "\n")
            let cascade = try await pair.succeeds(next, "run", "--yes", next.playbook)
            #expect(try await bed.psql("db2", "SELECT application_name, state FROM pg_stat_replication") == "db3|streaming", "\(cascade)")

            let ledger = try await writers.stop()
            try await pair.expectAll(of: ledger, on: ["db2", "db3"])
            try await pair.expectArchive("/var/backups/pgsql/archive")
            try await pair.expectNoSecret(output + cascade, someone, ["db1", "db2", "db3"])
            let again = try await pair.succeeds(someone, "run", "--yes", someone.playbook)
            #expect(!again.contains("✓"), "\(again)")

            // Without the flag the data stays, and with it what was moved aside.
            let kept = try await next.pggraft("undo", "--yes", try next.run())
            #expect(kept.status == 1 && kept.standardError.contains("pggraft undo RUN --purge-data"), "\(kept.standardOutput)\(kept.standardError)")
            try await pair.succeeds(next, "undo", "--yes", "--purge-data", try next.run())
            let undone = try await pair.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
            #expect(undone.contains("waits for a restart: archive_mode, max_wal_senders and wal_level"), "\(undone)")
            #expect(undone.contains("db1 keeps its WAL until it is restarted"), "\(undone)")
            try await bed.host("db1").stopPostgres()
            try await bed.host("db1").startPostgres()
            try await pair.expectLooks(["db1", "db2"], before)
            #expect(try await bed.host("db2").run(asUser: "postgres", "\(pair.programs)/pg_ctl -D \(own) status >/dev/null && echo runs") == "runs")
        }
    }

    /// Two tablespaces with something in them.
    private func spaces(on bed: Bed) async throws {
        try await bed.host("db1").run("install -d -o postgres -m 700 /srv/fast /srv/slow")
        for space in ["fast", "slow"] {
            try await bed.psql("db1", "CREATE TABLESPACE \(space) LOCATION '/srv/\(space)'")
            try await bed.psql("db1", "CREATE TABLE app.in_\(space) TABLESPACE \(space) AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i")
        }
    }

    @Test(arguments: [16, 18]) func `is made of other versions, and taken back`(_ version: Int) async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2, running: .wheel(version))
            let pair = MadePair(bed: bed, version: version)
            // The rule stands in the file, and the server has not read it.
            let rule = "host replication replicator 10.77.0.32/32 scram-sha-256"
            try await bed.host("db1").run(asUser: "postgres", "sed -i '1i \(rule)' /var/lib/postgresql/\(version)/main/pg_hba.conf")
            let before = try await bed.looks(["db1", "db2"])
            let someone = try Operator(
                of: bed, with: "hot-standby",
                playbook: ["  data_directory: /var/lib/postgresql/15/main\n  # What becomes": "  data_directory: /var/lib/postgresql/\(version)/main\n  # What becomes"])
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.conninfo("db1", user: "app") }
            let output = try await pair.succeeds(someone, "run", "--yes", someone.playbook)
            #expect(output.contains("\(rule); reloaded"), "\(output)")
            // The program of that version that is at hand crashes on every copy: that says nothing of this one.
            #expect(output.contains(version == 18 ? "not verified: pg_verifybackup was killed by SIGSEGV" : "verified by pg_verifybackup"), "\(output)")
            try await pair.expectAll(of: try await writers.stop(), on: ["db2"])
            try await pair.expectNoSecret(output, someone, ["db1", "db2"])
            try await pair.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
            try await pair.expectLooks(["db1", "db2"], before)
        }
    }

    @Test func `in a Debian layout it survives a wrong password and kills, and is undone from where it was killed`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2, layout: .debian)
            let pair = MadePair(bed: bed)
            let before = try await bed.looks(["db1", "db2"]), someone = try Operator(of: bed, with: "hot-standby", playbook: ["  # max_rate: 100MB": "  max_rate: 20MB"])
            // Killed while it copies, and undone.
            try await someone.killed(["run", "--yes", someone.playbook], in: "base-backup", after: .milliseconds(700))
            try await pair.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
            try await pair.expectLooks(["db1", "db2"], before)

            // Of a role that is there, the password is the wrong one.
            try await bed.psql("db1", "CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'another'")
            let wrong = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(wrong.status == 1 && wrong.standardError.contains("password authentication failed for user \"replicator\""), "\(wrong.standardOutput)\(wrong.standardError)")
            #expect((wrong.standardOutput + wrong.standardError).contains("is not the role's"), "\(wrong.standardError)")
            try await pair.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
            try await bed.psql("db1", "DROP ROLE replicator")
            try await pair.expectLooks(["db1", "db2"], before)

            // Killed again and again, it comes to its end.
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.conninfo("db1", user: "app") }
            try await someone.killed(["run", "--yes", someone.playbook], in: "allow-standby", after: .milliseconds(50))
            let run = try someone.run()
            try await someone.killed(["resume", run], in: "base-backup", after: .milliseconds(900))
            try await someone.killed(["resume", run], in: "start-standby", after: .milliseconds(50))
            let output = try await pair.succeeds(someone, "resume", run)
            try await pair.expectAll(of: try await writers.stop(), on: ["db2"])
            #expect(try await bed.psql("db1", "SELECT slot_name, active FROM pg_replication_slots") == "db2|t", "\(output)")
            // One that was promoted is nobody's to take back.
            try await bed.psql("db2", "SELECT pg_promote()")
            let kept = try await someone.pggraft("undo", "--yes", "--purge-data", run)
            #expect(kept.status == 1 && kept.standardError.contains("db2 is a primary by now"), "\(kept.standardOutput)\(kept.standardError)")
            #expect(try await bed.psql("db2", "SELECT pg_is_in_recovery()") == "f")
        }
    }

    @Test func `archives at once when it takes the primary's place, and not before; and a slot fills no disk`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2, running: .wheel(16))
            let pair = MadePair(bed: bed, version: 16), data = "/var/lib/postgresql/16/main", archive = "/var/lib/postgresql/archive"
            let edits: KeyValuePairs = [
                "  data_directory: /var/lib/postgresql/15/main\n  # What becomes": "  data_directory: \(data)\n  # What becomes", "# restart: no": "restart: yes",
                "# archive:\n#   directory: /var/backups/pgsql/archive": "archive:\n  directory: \(archive)", "  # max_rate: 100MB": "  max_rate: 4MB",
                "  # keep_free: 1GB": "  keep_free: 1GB",
            ]
            let someone = try Operator(of: bed, with: "hot-standby", playbook: edits)
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo() }
            // While it copies, the disk of the primary fills up.
            let program = try someone.start("run", "--yes", someone.playbook)
            try await eventually("the copy to begin", within: .seconds(120), every: .milliseconds(20)) {
                if program.hasEnded { return true }
                return try someone.journalText().contains(#""step":"base-backup""#)
            }
            try await bed.host("db1").fillDisk(mebibytes: 3000)
            let blown = try await program.wait(within: .seconds(120))
            #expect(blown.status == 1 && blown.standardError.contains("the slot db2"), "\(blown.standardOutput)\(blown.standardError)")
            #expect(blown.standardError.contains("is dropped, the copy ended"), "\(blown.standardError)")
            #expect(try await bed.psql("db1", "SELECT count(*) FROM pg_replication_slots") == "0")
            #expect(try await bed.host("db2").run("pgrep -x pg_basebackup || true") == "")
            let refused = try await someone.pggraft("check", someone.playbook)
            #expect(refused.status == 1 && refused.standardOutput.contains("make room on db1, or lower keep_free"), "\(refused.standardOutput)")
            try await bed.host("db1").freeDisk()
            try await pair.succeeds(someone, "resume", try someone.run())
            #expect(try await bed.psql("db1", "SELECT slot_name, active FROM pg_replication_slots") == "db2|t")

            // As a standby it archives nothing.
            try await pair.expectArchived(on: "db1")
            #expect(try await bed.psql("db2", "SHOW archive_mode") == "on")
            #expect(try await bed.host("db2").run("ls \(archive)") == "")
            let started = try await bed.psql("db2", "SELECT pg_postmaster_start_time()")
            let third = "    db3:\n      address: 10.77.0.33\n      data_directory: /var/lib/postgresql/15/main\n"
            let switched = try Operator(of: bed, with: "switchover", playbook: [third: ""])
            try writeFile(try readFile(switched.playbook).replacing("/postgresql/15/main", with: "/postgresql/16/main"), to: switched.playbook)
            try await pair.succeeds(switched, "run", "--yes", switched.playbook)
            let next = try await pair.expectArchived(on: "db2")
            #expect(try await bed.psql("db2", "SELECT pg_postmaster_start_time()") == started)
            #expect(try await bed.host("db2").run("ls \(archive)/\(next) && cat \(archive)/00000002.history | head -c 2") == "\(archive)/\(next)\n1\t")
            // The first one's archive has nothing of that.
            #expect(try await bed.host("db1").run("ls \(archive) | grep -c ^00000002 || true") == "0")
            try await pair.expectAll(of: try await writers.stop(), on: ["db1"], primary: "db2")
            // What belongs to a standby that was promoted is nobody's to take back, and the archives least of all.
            let kept = try await someone.pggraft("undo", "--yes", "--purge-data", try someone.run())
            #expect(kept.status == 1 && kept.standardError.contains("\(archive) is left as it is: db2 is a primary by now"), "\(kept.standardOutput)\(kept.standardError)")
            #expect(try await bed.host("db2").run("ls \(archive)/\(next)") == "\(archive)/\(next)")
            #expect(try await bed.host("db1").run("ls \(archive) | grep -c ^00000001") != "0")
        }
    }

    @Test func `is made of a pgBackRest copy, and taken back`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2)
            let pair = MadePair(bed: bed)
            try await bed.share(on: ["db1", "db2"])
            try await bed.psql("db1", "ALTER SYSTEM SET archive_mode = on")
            try await bed.host("db1").stopPostgres()
            try await bed.host("db1").startPostgres()
            let before = try await bed.looks(["db1", "db2"])
            let someone = try Operator(of: bed, with: "hot-standby", playbook: ["  method: pg_basebackup\n": "  method: pgbackrest\n  repository:\n    shared: /mnt/backup\n"])
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.conninfo("db1", user: "app") }
            // It is to stream from the start of the copy on; what was there when it was started is gone before it gets through.
            let run = try someone.start("run", "--yes", someone.playbook), db2 = try bed.host("db2")
            try await someone.reaches("restore")
            try await db2.run("ip route add unreachable 10.77.0.31")
            let settings = "\(Bed.dataDirectory)/postgresql.auto.conf"
            try await eventually("db2 to look for its primary, without its archive", within: .seconds(180)) {
                try await db2.execute(asUser: "postgres", "grep -q \"restore_command = ''\" \(settings) && test -e \(Bed.dataDirectory)/postmaster.pid").status == 0
            }
            let label = try await db2.run(asUser: "postgres", "cat \(Bed.dataDirectory)/backup_label")
            let segment = try #require(label.firstMatch(of: #/file ([0-9A-F]{24})/#)).1
            try await bed.host("db1").run(asUser: "postgres", "rm \(Bed.dataDirectory)/pg_wal/\(segment)")
            try await db2.run("ip route del unreachable 10.77.0.31")
            let output = try await run.wait(within: .seconds(300)), text = output.standardOutput + output.standardError
            #expect(output.status == 0 && text.contains("has already been removed") && text.contains("the archive is asked"), "\(text)")
            try await pair.expectAll(of: try await writers.stop(), on: ["db2"])
            #expect(try await bed.psql("db2", "SHOW restore_command").contains("archive-get"), "\(text)")
            // So it archives once it is promoted: the repository takes a segment from its host, which it has already.
            let push = try await bed.psql("db2", "SHOW archive_command")
            let held = try await bed.host("db2").run("ls \(Bed.dataDirectory)/pg_wal | grep -E '^[0-9A-F]{24}$' | head -n 1")
            #expect(try await bed.psql("db2", "SHOW archive_mode") == "on")
            // Not by its queue, which a server fills that is promoted.
            let command = push.replacing("%p", with: "--no-archive-async pg_wal/\(held)")
            let pushed = try await bed.host("db2").execute(asUser: "postgres", "cd \(Bed.dataDirectory) && \(command)")
            #expect(push.contains("archive-push") && pushed.status == 0, "\(push)\n\(pushed.standardOutput)\(pushed.standardError)")

            // Left behind and spoilt, it is brought back by what differs.
            try await bed.host("db2").stopPostgres()
            try await bed.psql("db1", "SELECT pg_drop_replication_slot('db2')")
            let file = try await bed.psql("db1", "SELECT pg_relation_filepath('app.bulk')")
            try await bed.host("db2").run(asUser: "postgres", "dd if=/dev/zero of=\(Bed.dataDirectory)/\(file) bs=8k count=4 conv=notrunc 2>/dev/null")
            let again = try Operator(
                of: bed, with: "hot-standby",
                playbook: [
                    "  method: pg_basebackup\n": "  method: pgbackrest\n  repository:\n    shared: /mnt/backup\n  backup: newest\n", "  # existing: refuse": "  existing: delta",
                ])
            let delta = try await pair.succeeds(again, "run", "--yes", again.playbook)
            #expect(delta.contains("went on with --delta"), "\(delta)")
            #expect(try await bed.psql("db2", "SELECT count(*), pg_is_in_recovery() FROM app.bulk") == "20000|t")
            try await pair.succeeds(again, "undo", "--yes", "--purge-data", try again.run())
            try await pair.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
            try await pair.expectLooks(["db1", "db2"], before)
        }
    }

    @Test func `of a primary that archives by pgBackRest it is copied by pg_basebackup, and archives into the same stanza after a switchover`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2)
            let pair = MadePair(bed: bed), replicas = ReplicaSet(bed: bed, nodes: ["db1", "db2"]), db1 = try bed.host("db1")
            try await bed.share(on: ["db1", "db2"])
            let configuration = "[app]\npg1-path=\(Bed.dataDirectory)\npg1-socket-path=/run/postgresql\nrepo1-path=/mnt/backup\n"
            try await db1.run("cat >/etc/pgbackrest.conf && chmod 644 /etc/pgbackrest.conf", input: configuration)
            try await bed.psql("db1", "ALTER SYSTEM SET archive_mode = on")
            try await bed.psql("db1", "ALTER SYSTEM SET archive_command = 'pgbackrest --stanza=app archive-push %p'")
            try await db1.stopPostgres()
            try await db1.startPostgres()
            try await db1.run(asUser: "postgres", "pgbackrest --stanza=app stanza-create && pgbackrest --stanza=app check")
            let edits: KeyValuePairs = ["# archive: none": "archive:\n  stanza: app\n  repository:\n    shared: /mnt/backup"]
            let someone = try Operator(of: bed, with: "hot-standby", playbook: edits)
            let other = try await someone.pggraft("check", try someone.playbook("hot-standby", ["# archive: none": "archive:\n  stanza: another"]))
            #expect(other.status == 1 && other.standardOutput.contains("archives into stanza 'app', and archive.stanza is another"), "\(other.standardOutput)")

            // What is written on the standby's host goes with it.
            let before = try await bed.looks(["db1", "db2"])
            try await pair.succeeds(someone, "run", "--yes", someone.playbook)
            try await pair.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
            try await pair.expectLooks(["db1", "db2"], before)

            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo() }
            let check = try await pair.succeeds(someone, "check", someone.playbook)
            #expect(check.contains("reaches the stanza app"), "\(check)")
            try await pair.succeeds(someone, "run", "--yes", someone.playbook)
            let made = try someone.run()
            #expect(try await bed.psql("db2", "SHOW restore_command").contains("archive-get"))
            #expect(try await bed.psql("db2", "SHOW archive_command").contains("archive-push"))
            let third = "    db3:\n      address: 10.77.0.33\n      data_directory: /var/lib/postgresql/15/main\n"
            try await pair.succeeds(someone, "run", "--yes", try someone.playbook("switchover", [third: ""]))
            try await replicas.expectOneWriter("db2")
            try await replicas.expectStreaming(["db1": "db2"])
            let segment = try await pair.expectArchived(on: "db2")
            #expect(segment.hasPrefix("00000002"))
            #expect(try await db1.run(asUser: "postgres", "find /mnt/backup/archive/app -name '\(segment)*' | wc -l") == "1")
            // By its configuration of pgBackRest it archives: that stays, whoever undoes the run that wrote it.
            let kept = try await someone.pggraft("undo", "--yes", "--purge-data", made)
            #expect(kept.status == 1 && kept.standardError.contains("/var/lib/postgresql/.pgbackrest/app.conf left as it is: db2 is a primary"), "\(kept.standardError)")
            try await pair.expectArchived(on: "db2")
            // The old primary finds it there, too.
            try await db1.run(asUser: "postgres", "pgbackrest --stanza=app archive-get \(segment) /tmp/\(segment) && test -s /tmp/\(segment)")
            try await pair.expectAll(of: try await writers.stop(), on: ["db1"], primary: "db2")
        }
    }

    @Test func `is dropped while commits wait for it, killed and undone, and when it is gone for good`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3)
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db2")
            let third = "    db2:\n      address: 10.77.0.32\n      data_directory: /var/lib/postgresql/15/main\n"
            let someone = try Operator(of: bed, with: "drop-standby", playbook: [third: third + third.replacing("db2", with: "db3").replacing("0.32", with: "0.33")])
            let pair = MadePair(bed: bed)
            let cascade = try await someone.pggraft("check", someone.playbook)
            #expect(cascade.status == 1 && cascade.standardOutput.contains("db3 streams from db2"), "\(cascade.standardOutput)\(cascade.standardError)")

            // db3 by the side of db2.
            try await bed.host("db3").stopPostgres()
            try await bed.psql("db2", "SELECT pg_drop_replication_slot('db3')")
            try await bed.host("db3").run("rm -rf /var/lib/postgresql/15/main/*")
            try await bed.standby("db3", of: "db1")
            try await bed.psql("db1", "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (db2, db3)'; SELECT pg_reload_conf()")
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.conninfo("db1", user: "app") }
            let state = """
                SELECT setting FROM pg_file_settings WHERE name = 'synchronous_standby_names' ORDER BY seqno DESC LIMIT 1;
                SELECT slot_name, active FROM pg_replication_slots ORDER BY 1
                """
            for step in ["synchronous", "stop-standby", "drop-slot"] {
                try await someone.killed(["run", "--yes", someone.playbook], in: step, after: .milliseconds(30))
                try await pair.succeeds(someone, "undo", "--yes", try someone.run())
                try await eventually("db2 to stream again after a kill in \(step)", within: .seconds(60)) {
                    try await bed.psql("db1", state) == "FIRST 1 (db2, db3)\ndb2|t\ndb3|t"
                }
            }
            try await someone.killed(["run", "--yes", someone.playbook], in: "stop-standby", after: .milliseconds(30))
            let output = try await pair.succeeds(someone, "resume", try someone.run())
            #expect(try await bed.psql("db1", state) == "FIRST 1 (db3)\ndb3|t", "\(output)")
            #expect(try await bed.host("db2").run("ls /var/lib/postgresql/15/main/PG_VERSION") != "")
            let data = try await someone.pggraft("run", "--yes", try someone.playbook("drop-standby", ["# data: keep": "data: remove"]))
            #expect(data.status == 0, "\(data.standardOutput)\(data.standardError)")
            #expect(try await bed.host("db2").run("ls -A /var/lib/postgresql/15/main") == "")

            // The other one loses power, and every commit waits.
            try await bed.host("db3").powerOff()
            let before = try writers.ledger().acknowledged
            let gone = try Operator(
                of: bed, with: "drop-standby", playbook: [third: third.replacing("db2", with: "db3").replacing("0.32", with: "0.33"), "standby: db2": "standby: db3"])
            let last = try await pair.succeeds(gone, "run", "--yes", gone.playbook)
            #expect(try await bed.psql("db1", state) == "", "\(last)")
            try await eventually("commits to go on", within: .seconds(60)) { try writers.ledger().acknowledged > before + 10 }
            let ledger = try await writers.stop()
            #expect(try await ledger.verify(on: ["db1"], of: bed, drained: false).isClean)
        }
    }
}

/// What tests of a pair ask of it.
struct MadePair: Sendable {
    let bed: Bed
    var version = 15

    var programs: String { version == 15 ? "/usr/lib/postgresql/15/bin" : "/usr/local/lib/pggraft/postgresql/\(version)/bin" }

    /// Runs pggraft to its end, and expects it to succeed.
    @discardableResult
    func succeeds(_ someone: Operator, _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let output = try await someone.start(arguments).wait(within: .seconds(400))
        #expect(output.status == 0, "pggraft \(arguments.joined(separator: " "))\n\(output.standardOutput)\(output.standardError)", sourceLocation: sourceLocation)
        return output.standardOutput + output.standardError
    }

    /// Everything is as it was.
    func expectLooks(_ nodes: [String], _ before: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let now = try await bed.looks(nodes).split(separator: "\n"), then = before.split(separator: "\n")
        #expect(now.filter { !then.contains($0) } == [], "new", sourceLocation: sourceLocation)
        #expect(then.filter { !now.contains($0) } == [], "gone", sourceLocation: sourceLocation)
        #expect(now.count == then.count, sourceLocation: sourceLocation)
    }

    /// Nothing that was acknowledged is missing, once these have replayed what the primary has.
    func expectAll(of ledger: Ledger, on standbys: [String], primary: String = "db1", sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let verification = try await ledger.verify(on: [primary], of: bed, drained: false)
        #expect(verification.isClean, "\(verification)", sourceLocation: sourceLocation)
        #expect(ledger.acknowledged > 0, sourceLocation: sourceLocation)
        let end = try await bed.psql(primary, "SELECT pg_current_wal_insert_lsn()")
        let hashes =
            "SELECT (SELECT count(*) || ':' || sum(hashtextextended(t::text, 0)) FROM app.ledger t), (SELECT count(*) || ':' || sum(hashtextextended(t::text, 0)) FROM app.events t)"
        let right = try await bed.psql(primary, hashes)
        for standby in standbys {
            try await eventually("\(standby) to replay \(end)", within: .seconds(90)) { try await bed.psql(standby, "SELECT pg_last_wal_replay_lsn() >= '\(end)'") == "t" }
            #expect(try await bed.psql(standby, hashes) == right, "\(standby)", sourceLocation: sourceLocation)
        }
    }

    /// Segments arrive whole; the same one once more is a success, another one of its name is none, and nothing half is left.
    func expectArchive(_ directory: String) async throws {
        let segment = try await expectArchived(on: "db1")
        let command = try await bed.psql("db1", "SHOW archive_command").replacing("%f", with: segment).replacing("%p", with: "/tmp/segment")
        let host = try bed.host("db1"), file = "\(directory)/\(segment)"
        #expect(try await host.run("stat -c '%U %a' \(directory); stat -c %s \(file)") == "postgres 700\n16777216")
        try await host.run(asUser: "postgres", "cp \(file) /tmp/segment")
        #expect(try await host.execute(asUser: "postgres", command).status == 0)
        try await host.run(asUser: "postgres", "echo other >>/tmp/segment")
        #expect(try await host.execute(asUser: "postgres", command).status != 0)
        #expect(try await host.run("stat -c %s \(file); find \(directory) -name '*.part'") == "16777216")
    }

    /// The segment that is written now is archived.
    @discardableResult
    func expectArchived(on node: String) async throws -> String {
        let segment = try await bed.psql(node, "SELECT pg_walfile_name(pg_switch_wal())")
        try await eventually("\(segment) to be archived", within: .seconds(60)) {
            try await bed.psql(node, "SELECT last_archived_wal >= '\(segment)' FROM pg_stat_archiver") == "t"
        }
        return segment
    }

    /// No secret is in the output, in a journal, or in a log of a server.
    func expectNoSecret(_ output: String, _ someone: Operator, _ nodes: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        var secrets = try someone.secrets()
        for node in nodes {
            secrets += try await bed.host(node).run("cut -d: -f5 ~postgres/.pgpass 2>/dev/null; true").split(separator: "\n").map(String.init)
        }
        var places = ["the output": output]
        for path in try someone.journals() { places[path] = try readFile(path) }
        for node in nodes { places["the log of \(node)"] = try await bed.host(node).run("cat /var/log/postgresql/*.log /var/lib/postgresql/*/main/log/* 2>/dev/null; true") }
        for (place, text) in places {
            for secret in secrets where secret.count > 6 { #expect(!text.contains(secret), "a secret in \(place)", sourceLocation: sourceLocation) }
        }
    }
}
