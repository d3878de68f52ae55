import Bed
import Glibc
import Run
import Testing

/// Clusters whose pgBackRest works already: what root has configured stays as it is, byte for byte, and no secret of it is seen anywhere.
@Suite("A stanza that is configured already", .serialized)
struct StanzaTests {
    private static let everyHost = Bed.meshNodes + ["n4", "repo"]
    private static let pass = "Vergiss mein nicht/7+x=="

    /// Files as an administrator has them: below /etc, root's, in pgBackRest's own places.
    private func configure(_ bed: Bed, cipher: Bool = true) async throws {
        let n1 = try bed.host("n1").address, repo = try bed.host("repo").address
        let encryption = cipher ? "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=\(Self.pass)\n" : ""
        try await write(
            """
            # the administrator's
            [global]
            repo1-path=/srv/backup
            repo1-retention-full=3
            start-fast=y
            \(encryption)
            [app]
            pg1-host=\(n1)
            pg1-host-user=postgres
            pg1-path=\(Bed.dataDirectory)
            pg1-socket-path=/run/postgresql
            """, to: "/etc/pgbackrest/pgbackrest.conf", on: "repo", bed)
        try await bed.host("repo").run("install -d -o postgres -g postgres -m 750 /srv/backup")
        try await write("[global]\nrepo1-host=\(repo)\nrepo1-host-user=postgres\nprocess-max=2\n", to: "/etc/pgbackrest/pgbackrest.conf", on: "n1", bed)
        try await write("[app]\npg1-path=\(Bed.dataDirectory)\npg1-socket-path=/run/postgresql\n", to: "/etc/pgbackrest/conf.d/app.conf", on: "n1", bed)
        try await bed.psql("n1", "ALTER SYSTEM SET archive_command = 'pgbackrest --stanza=app archive-push %p'; SELECT pg_reload_conf()")
        try await bed.host("repo").run(asUser: "postgres", "pgbackrest --stanza=app --log-level-file=off stanza-create && pgbackrest --stanza=app --log-level-file=off check")
    }

    private func write(_ text: String, to path: String, on host: String, _ bed: Bed) async throws {
        try await bed.host(host).run(
            "d=$(dirname \(path)) && { [ -d $d ] || install -d -m 750 -g postgres $d; } && cat >\(path) && chgrp postgres \(path) && chmod 640 \(path)", input: text + "\n")
    }

    /// What pgBackRest reads on the hosts, with owners and modes.
    private func configuration(_ bed: Bed) async throws -> [String] {
        var found: [String] = []
        for host in Self.everyHost {
            found.append(
                try await bed.host(host).run("find /etc/pgbackrest* ~postgres/.pgbackrest -printf '%p %M %u %g %T@\\n' -type f -exec cat {} \\; 2>/dev/null || true"))
        }
        return found
    }

    private func isExisting(_ bed: Bed) throws -> Operator {
        try Operator(of: bed, playbook: ["    address: 10.77.0.20\n": ""])
    }

    /// Begins a run and kills it when it has begun `step`. What it says all the while is read, lest it waits for a reader.
    private func killed(_ someone: Operator, at step: String) async throws -> CommandOutput {
        let run = try someone.start("run", "--yes", "--verbose", someone.playbook)
        async let output = run.wait(within: .seconds(300))
        try await someone.reaches(step)
        run.signal(SIGKILL)
        return try await output
    }

    /// Looks for `secret` in everything that was sampled, printed and kept.
    private func expectUnseen(_ secret: String, _ sampler: Sampler, _ someone: Operator, _ outputs: [CommandOutput]) async throws {
        let (looks, commands, hits) = try await sampler.stop(for: [secret])
        #expect(hits.isEmpty, "process lists: \(hits)")
        #expect(looks > 100 && commands > 10)
        for output in outputs { #expect(!(output.standardOutput + output.standardError).contains(secret), "output") }
        for journal in try someone.journals() { #expect(try !readFile(journal).contains(secret), "\(journal)") }
        report("  \(looks) looks at all processes (\(commands) of pgBackRest seen), \(outputs.count) outputs and the journal: 0 hits")
    }

    @Test func `in root's files and encrypted: nothing is edited, n4 is made of it, killed in the restore it goes on, and undo leaves the rest`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await configure(bed)
            let before = try await configuration(bed), mesh = try await MeshBefore(bed), someone = try isExisting(bed)
            let backups = try await bed.host("repo").run(asUser: "postgres", "pgbackrest --stanza=app info | grep -c 'full backup:' || true")
            var outputs: [CommandOutput] = []
            let sampler = try await Sampler()
            outputs.append(try await someone.pggraft("plan", "--verbose", someone.playbook))
            #expect(outputs[0].status == 0, "\(outputs[0].standardOutput)\(outputs[0].standardError)")
            #expect(outputs[0].standardOutput.contains("n4: /var/lib/postgresql/.pgbackrest/app.conf"))
            #expect(!outputs[0].standardOutput.contains("n1: /var/lib/postgresql/.pgbackrest"))
            let writers = try await Writers.start(of: bed, perNode: 1, rate: 10)
            outputs.append(try await killed(someone, at: "restore"))
            outputs.append(try await someone.pggraft("resume", "--verbose", try someone.lastRun()))
            #expect(outputs[2].status == 0, "\(outputs[2].standardOutput)\(outputs[2].standardError)")
            let verification = try await writers.stop().verify(on: Bed.meshNodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            try await expectUnseen(Self.pass, sampler, someone, outputs)
            report("an encrypted stanza in root's files: \(bed.spockDescription)")
            let after = try await configuration(bed)
            #expect(Array(after[0...2]) == Array(before[0...2]), "n1, n2 and n3")
            #expect(after[4] == before[4], "repo")
            #expect(
                try await bed.host("n4").run("stat -c '%a %U' ~postgres/.pgbackrest/app.conf && cat ~postgres/.pgbackrest/app.conf")
                    == """
                    600 postgres
                    [app]
                    pg1-path=\(Bed.dataDirectory)
                    pg1-port=5432
                    repo1-host=10.77.0.20
                    repo1-host-user=postgres
                    archive-async=y
                    spool-path=/var/lib/postgresql/.pgbackrest/app.spool
                    """)
            try await mesh.expectUntouched(bed)

            outputs.append(try await someone.pggraft("undo", "--yes", "--purge-data", try someone.lastRun(), within: .seconds(400)))
            #expect(outputs[3].status == 0, "\(outputs[3].standardOutput)\(outputs[3].standardError)")
            #expect(try await configuration(bed) == before)
            #expect(try await bed.host("n4").run("ls -A ~postgres/.pgbackrest 2>/dev/null || true") == "")
            #expect(try await bed.psql("n1", "SHOW archive_command") == "pgbackrest --stanza=app archive-push %p")
            let left = try await bed.host("repo").run(asUser: "postgres", "pgbackrest --stanza=app info | grep -c 'full backup:' || true")
            #expect(Int(left) == (Int(backups) ?? 0) + 1, "a backup in a stanza that was there stays")
        }
    }

    @Test func `local to the source, by archive_command's own file, with the newest backup`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let file = "/srv/backrest/here.conf"
            try await bed.host("n1").run("install -d -o postgres -g postgres -m 750 /srv/backup")
            try await write(
                "[global]\nrepo1-path=/srv/backup\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=\(Self.pass)\n[app]\npg1-path=\(Bed.dataDirectory)\npg1-socket-path=/run/postgresql",
                to: file, on: "n1", bed)
            try await bed.psql("n1", "ALTER SYSTEM SET archive_command = '/usr/bin/pgbackrest --config=\(file) --stanza=app archive-push %p'; SELECT pg_reload_conf()")
            let backRest = "pgbackrest --config=\(file) --stanza=app --log-level-file=off"
            try await bed.host("n1").run(asUser: "postgres", "\(backRest) stanza-create && \(backRest) backup --type=full --start-fast 2>/dev/null", within: .seconds(120))
            let host =
                "  repository:\n    # How your machine reaches it, like `ssh` above.\n    host: repo\n    # How the source and the new node reach it.\n    address: 10.77.0.20\n"
            let someone = try Operator(of: bed, playbook: [host: "  repository: existing\n", "  # backup: full\n": "  backup: newest\n"])
            let output = try await someone.pggraft("run", "--yes", someone.playbook)
            try #require(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            try await bed.expectMember()
            #expect(try await bed.host("n1").run("ls ~postgres/.pgbackrest 2>/dev/null || true") == "")
            #expect(
                try await bed.host("n4").run("grep -E 'repo1|cipher' ~postgres/.pgbackrest/app.conf")
                    == "repo1-host=10.77.0.11\nrepo1-host-user=postgres\nrepo1-host-config=\(file)\nrepo1-path=/srv/backup")
        }
    }

    @Test func `a new stanza is encrypted with a passphrase that only the repository's host has, also when the run was killed at once`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed, playbook: ["  # cipher: none\n": "  cipher: aes-256-cbc\n"]), before = try await configuration(bed)
            var outputs: [CommandOutput] = []
            let sampler = try await Sampler()
            outputs.append(try await killed(someone, at: "archiving"))
            let file = "~postgres/.pgbackrest/app.conf", read = "sed -n 's/^repo1-cipher-pass=//p' \(file)"
            let pass = try await bed.host("repo").run(read)
            #expect(pass.count == 64)
            #expect(try await bed.host("repo").run("stat -c %a \(file)") == "600")
            outputs.append(try await someone.pggraft("resume", "--verbose", try someone.lastRun()))
            #expect(outputs[1].status == 0, "\(outputs[1].standardOutput)\(outputs[1].standardError)")
            #expect(try await bed.host("repo").run(read) == pass)
            for host in ["n1", "n4"] { #expect(try await bed.host(host).run("\(read) || true") == "", "\(host)") }
            try await expectUnseen(pass, sampler, someone, outputs)
            #expect(try await bed.host("repo").run(asUser: "postgres", "pgbackrest --config=$HOME/.pgbackrest/app.conf --stanza=app info").contains("cipher: aes-256-cbc"))
            try await bed.expectMember()
            report("a new encrypted stanza: \(bed.spockDescription)")
            let undone = try await someone.pggraft("undo", "--yes", "--purge-data", try someone.lastRun(), within: .seconds(400))
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            #expect(try await configuration(bed) == before)
            #expect(try await bed.host("repo").run("find /var/lib/pgbackrest -name 'backup.info*'") == "")
        }
    }

    @Test func `what is wrong with it is found by a check`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await configure(bed)
            let someone = try isExisting(bed)
            func check(_ says: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws {
                let output = try await someone.pggraft("check", someone.playbook), text = output.standardOutput + output.standardError
                #expect(output.status == (says.isEmpty ? 0 : 1), "\(text)", sourceLocation: sourceLocation)
                for words in says { #expect(text.contains(words), "\(words)\n\(text)", sourceLocation: sourceLocation) }
                #expect(!text.contains(Self.pass), sourceLocation: sourceLocation)
            }
            let repo = try bed.host("repo"), n1 = try bed.host("n1")
            try await check()

            try await repo.run(asUser: "postgres", "pgbackrest --stanza=app --log-level-file=off stop")
            try await n1.run("sed -i 's|^pg1-path=.*|pg1-path=/var/lib/postgresql/14/main|' /etc/pgbackrest/conf.d/app.conf")
            try await check(
                "repo: pgbackrest stop is in force for stanza 'app' (/tmp/pgbackrest/app.stop)", "pgbackrest --stanza=app start on repo",
                "n1: pgBackRest has pg1-path=/var/lib/postgresql/14/main for stanza 'app', the server's is \(Bed.dataDirectory)")
            try await repo.run(asUser: "postgres", "pgbackrest --stanza=app --log-level-file=off start")
            try await n1.run("sed -i 's|^pg1-path=.*|pg1-path=\(Bed.dataDirectory)|' /etc/pgbackrest/conf.d/app.conf")

            // The repository's host: no section, then a damaged repository.
            try await repo.run("cp -p /etc/pgbackrest/pgbackrest.conf /root/conf && sed -i '/^\\[app\\]/,$d' /etc/pgbackrest/pgbackrest.conf")
            try await check("repo: pgBackRest's configuration has no server of stanza 'app' there", "[app]", "pg1-path=\(Bed.dataDirectory)")
            try await repo.run("cp -p /root/conf /etc/pgbackrest/pgbackrest.conf")
            try await repo.run(asUser: "postgres", "cd /srv/backup/backup/app && for f in backup.info backup.info.copy; do cp -p $f /tmp/$f; echo garbage >$f; done")
            try await check("repo1 of stanza 'app': [CryptoError] unable to load info file")
            try await repo.run(asUser: "postgres", "cd /srv/backup/backup/app && for f in backup.info backup.info.copy; do mv /tmp/$f $f; done")

            // The playbook against what is there.
            try someone.write(playbook: ["    address: 10.77.0.20\n    # path: /var/lib/pgbackrest\n": "    path: /var/lib/pgbackrest\n"])
            try await check("n1: pgBackRest has stanza 'app' in /srv/backup on postgres@10.77.0.20, but the playbook says copy.repository.path: /var/lib/pgbackrest")
            let keys =
                "  repository:\n    # How your machine reaches it, like `ssh` above.\n    host: repo\n    # How the source and the new node reach it.\n    address: 10.77.0.20\n"
            try someone.write(playbook: [keys: "  repository: existing\n"])
            try await check("the repository of stanza 'app' is on 10.77.0.20, where a full backup is taken")
            try someone.write(playbook: [keys: "  repository: existing\n", "  # backup: full\n": "  backup: newest\n"])
            try await check("the repository has no such backup: there are none")
            try await repo.run(asUser: "postgres", "pgbackrest --stanza=app --log-level-file=off --log-level-console=off backup --type=full", within: .seconds(120))
            try await check()
            let label = try await repo.run("cd /srv/backup/backup/app && ls -d *F")
            try await repo.run("rm /srv/backup/backup/app/\(label)/backup.manifest")
            try await check("backup \(label): requested backup not found")
        }
    }

    @Test func `without a spool directory that it may write to, a standby that fetches ahead is told so`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await configure(bed, cipher: false)
            try await write(
                "[global]\nrepo1-host=10.77.0.20\nrepo1-host-user=postgres\narchive-async=y\nspool-path=/srv/spool\n[app]\npg1-path=\(Bed.dataDirectory)",
                to: "/etc/pgbackrest.conf",
                on: "n4", bed)
            let someone = try isExisting(bed), before = try await configuration(bed)
            let refused = try await someone.pggraft("check", someone.playbook), text = refused.standardOutput + refused.standardError
            #expect(refused.status == 1)
            #expect(text.contains("n4: archive-async is on, and postgres cannot write to its spool directory /srv/spool"), "\(text)")
            try await bed.host("n4").run("install -d -o postgres -m 750 /srv/spool")
            try someone.write(playbook: ["    address: 10.77.0.20\n": "", "  # cipher: none\n": "  cipher: aes-256-cbc\n"])
            let plain = try await someone.pggraft("check", someone.playbook)
            #expect((plain.standardOutput + plain.standardError).contains("a repository that is not encrypted, but the playbook says copy.cipher: aes-256-cbc"))
            try someone.write(playbook: ["    address: 10.77.0.20\n": ""])
            let output = try await someone.pggraft("run", "--yes", someone.playbook)
            try #require(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            try await bed.expectMember()
            #expect(try await configuration(bed) == before, "n4 has its own: nothing is written anywhere")
        }
    }
}
