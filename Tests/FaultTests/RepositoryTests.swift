import Bed
import Glibc
import Testing

/// Where the backup is, and what is there already.
struct RepositoryCase: Sendable, CustomTestStringConvertible {
    enum Place: String, Sendable, CaseIterable {
        case s3 = "S3", oneHost = "all nodes on one host", shared = "a shared directory", tls = "a TLS server", host = "a host", source = "the source itself"
    }

    enum Stanza: String, Sendable, CaseIterable {
        case new = "a new stanza", existing = "a stanza that is configured already", encrypted = "one that is encrypted"
    }

    var place: Place
    var stanza: Stanza

    var testDescription: String { "\(place.rawValue), \(stanza.rawValue)" }

    static func all() -> [RepositoryCase] {
        guard isWhole else {
            return [
                RepositoryCase(place: .s3, stanza: .new), RepositoryCase(place: .shared, stanza: .encrypted), RepositoryCase(place: .tls, stanza: .new),
            ]
        }
        return Place.allCases.flatMap { place in Stanza.allCases.map { RepositoryCase(place: place, stanza: $0) } }.asked(\.testDescription)
    }

    static let key = "AKIAOFTHEBED00000000", secret = "secret-key-of/the+bucket"
    static let credentials = "/run/pggraft-bed/aws-credentials"

    /// What differs in the shipped playbook.
    var playbook: KeyValuePairs<String, String> {
        let repository = "    host: repo\n", address = "    address: 10.77.0.20\n"
        if stanza != .new, place != .oneHost {
            switch place {
            // The host of the backup, as pggraft logs in to it; the rest is found.
            case .host: return [address: ""]
            case .s3, .source: return ["  repository:\n    # How your machine": "  repository: existing\n    # How your machine", repository: "", address: ""]
            case .tls, .shared, .oneHost: break
            }
        }
        switch place {
        case .host: return [:]
        case .shared: return [repository: "    shared: /mnt/backup\n", address: ""]
        case .source: return [repository: "    host: n1\n", address: "    address: 10.77.0.11\n"]
        case .s3:
            return [
                repository: """
                    s3:
                      bucket: backups
                      endpoint: repo
                      region: eu-central-1
                      port: 9443
                      uri_style: path
                      ca_file: /etc/pggraft-bed/ca.crt
                      credentials: \(Self.credentials)
                      profile: backup

                """, address: "",
            ]
        case .tls:
            return [
                repository: """
                    tls:
                      host: repo
                      address: repo
                      ca_file: /etc/pggraft-bed/ca.crt
                      cert_file: /etc/pggraft-bed/host.crt
                      key_file: /etc/pggraft-bed/host.key

                """, address: "",
            ]
        case .oneHost:
            return [
                "    n2:\n      address: 10.77.0.12\n": "    n2:\n      ssh: n1\n      address: 10.77.0.11\n      port: 5433\n",
                "    n3:\n      address: 10.77.0.13\n": "    n3:\n      ssh: n1\n      address: 10.77.0.11\n      port: 5434\n",
                "  name: n4\n  address: 10.77.0.14\n": "  name: n4\n  ssh: n1\n  address: 10.77.0.11\n  port: 5435\n",
                "\n  data_directory: /var/lib/postgresql/15/main\n": "\n  data_directory: /var/lib/postgresql/15/n4\n",
                repository: "    host: n1\n", address: "    address: 10.77.0.11\n",
            ]
        }
    }

    static let passphrase = "passphrase of the bed"

    func prepare(_ bed: Bed) async throws {
        try await serve(bed)
        if stanza != .new { try await configure(bed) }
    }

    /// The stanza as somebody has made it before: in pgBackRest's own place, archived into.
    private func configure(_ bed: Bed) async throws {
        let cipher = stanza == .encrypted ? "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=\(Self.passphrase)\n" : ""
        let directory = try bed.place(of: "n1")?.dataDirectory ?? Bed.dataDirectory
        let server = "pg1-path=\(directory)\npg1-socket-path=/run/postgresql\n",
            certificates = ["ca-file=/etc/pggraft-bed/ca.crt", "cert-file=/etc/pggraft-bed/host.crt", "key-file=/etc/pggraft-bed/host.key"]
        func tls(_ key: String) -> String { "\(key)-type=tls\n" + certificates.map { "\(key)-\($0)\n" }.joined() }
        var ofSource = "[global]\n", ofHost: String?
        switch place {
        case .source, .oneHost: ofSource += "repo1-path=/var/lib/pgbackrest\n" + cipher
        case .shared: ofSource += "repo1-path=/mnt/backup\n" + cipher
        case .s3:
            ofSource += """
                repo1-type=s3
                repo1-path=/pgbackrest
                repo1-s3-bucket=backups
                repo1-s3-endpoint=repo
                repo1-s3-region=eu-central-1
                repo1-s3-uri-style=path
                repo1-storage-port=9443
                repo1-storage-ca-file=/etc/pggraft-bed/ca.crt
                repo1-s3-key=\(Self.key)
                repo1-s3-key-secret=\(Self.secret)
                \(cipher)

                """
        case .host, .tls:
            let isTLS = place == .tls
            ofSource += "repo1-host=repo\nrepo1-path=/var/lib/pgbackrest\n" + (isTLS ? tls("repo1-host") : "repo1-host-user=postgres\n") + cipher
            ofHost = "[global]\nrepo1-path=/var/lib/pgbackrest\n\(cipher)[app]\npg1-host=n1\n" + (isTLS ? tls("pg1-host") : "pg1-host-user=postgres\n") + server
        }
        let write =
            "install -d -m 755 /etc/pgbackrest && cat >/etc/pgbackrest/pgbackrest.conf && chown postgres: /etc/pgbackrest/pgbackrest.conf && chmod 640 /etc/pgbackrest/pgbackrest.conf"
        try await bed.host("n1").run(write, input: ofSource + "[app]\n" + server)
        if let ofHost { try await bed.host("repo").run(write, input: ofHost) }
        let host = try bed.host(ofHost == nil ? "n1" : "repo")
        try await host.run(asUser: "postgres", "pgbackrest --stanza=app --log-level-console=warn stanza-create")
        try await bed.psql("n1", "ALTER SYSTEM SET archive_command = 'pgbackrest --stanza=app archive-push %p'; SELECT pg_reload_conf()")
        try await host.run(asUser: "postgres", "pgbackrest --stanza=app --log-level-console=warn check")
    }

    private func serve(_ bed: Bed) async throws {
        switch place {
        case .host, .source, .oneHost: break
        case .shared: try await bed.share(on: ["n1", "n4"])
        case .s3:
            try await bed.serveS3(on: "repo", bucket: "backups")
            try await bed.certify(["n1", "n4"])
            try writeFile("[default]\n[backup]\naws_access_key_id = \(Self.key)\naws_secret_access_key = \(Self.secret)\n", to: Self.credentials, mode: 0o600)
        case .tls:
            try await bed.certify(["n4"])
            try await bed.serveTLS(on: ["repo", "n1"])
        }
    }

    /// What is left in the repository of the stanza, a line each.
    func remains(_ bed: Bed) async throws -> String {
        let find = "find \(place == .shared ? "/mnt/backup" : "/var/lib/pgbackrest") -type f"
        switch place {
        case .s3:
            return try await bed.host("repo").run(
                """
                python3 -c '
                import http.client, re, ssl
                connection = http.client.HTTPSConnection("repo", 9443, context=ssl.create_default_context(cafile="/etc/pggraft-bed/ca.crt"), timeout=20)
                connection.request("GET", "/backups?list-type=2")
                print("\\n".join(re.findall("<Key>([^<]*)</Key>", connection.getresponse().read().decode())))'
                """)
        case .host, .tls: return try await bed.host("repo").run(find)
        case .source, .shared, .oneHost: return try await bed.host("n1").run(find)
        }
    }
}

/// Every place that a backup can have. Without the variable of the whole matrix three of them stand for it, and all nodes on the operator's own machine.
@Suite("Repositories", .serialized, .counted)
struct RepositoryTests {
    @Test("a node joins by way of it, killed in the restore and resumed, and is undone without a trace", arguments: RepositoryCase.all())
    func joins(_ each: RepositoryCase) async throws {
        try await withLoad("repository: \(each.testDescription)", onOneHost: each.place == .oneHost, prepare: each.prepare, playbook: each.playbook) { bed, writers, run in
            let before = try await Snapshot(of: bed), secrets = [RepositoryCase.key, RepositoryCase.secret, RepositoryCase.passphrase]
            let sampler = each.place == .s3 || each.stanza == .encrypted ? try await Sampler() : nil
            var said = ""
            func expect(_ arguments: [String]) async throws {
                let output = try await run.succeeds(arguments)
                said += output.standardOutput + output.standardError
            }

            try await expect(["plan", run.someone.playbook])
            // Nobody reads what it says until it is killed: it may not say more than a pipe holds.
            let killed = try await run.starts(run.begin, until: KillPoint(step: "restore", moment: .soon))
            killed.signal(SIGKILL)
            let first = try await killed.wait(within: .seconds(20))
            said += first.standardOutput + first.standardError
            try await expect(["resume", "--verbose", try run.name])
            try await expectMesh(of: bed, writers)
            let kept = try await each.remains(bed)
            #expect(!kept.isEmpty)
            try await expect(["undo", "--yes", "--purge-data", "--verbose", try run.name])
            try await expectNothingRunning(bed)
            let remains = try await each.remains(bed)
            // A backup belongs to the stanza that it was taken into: pgBackRest expires it as all others there.
            let differences = try await Snapshot(of: bed).differences(from: before).split(separator: "\n")
                .filter { each.stanza == .new || !$0.contains("/var/lib/pgbackrest/") }
                // The bed's own: what its TLS server says of clients that were killed.
                .filter { !$0.contains(" tmp/pgbackrest-server.log ") }
            #expect(differences.isEmpty, "\(differences)")
            #expect(remains.isEmpty == (each.stanza == .new))

            var seen = ""
            if let sampler {
                let (looks, commands, hits) = try await sampler.stop(for: secrets)
                #expect(hits.isEmpty, "\(hits)")
                #expect(looks > 100 && commands > 0)
                #expect(said.contains("pgbackrest"))
                let journal = try run.someone.journalText()
                for secret in secrets { #expect(!said.contains(secret) && !journal.contains(secret)) }
                for host in ["n1", "n4", "repo"] {
                    let logs = try await bed.host(host).execute("grep -rlF \(secrets.map { "-e '\($0)'" }.joined(separator: " ")) /var/log /tmp --include=*.log --include=pg*")
                    #expect(logs.standardOutput.isEmpty)
                }
                seen = "; secrets: 0 hits in \(looks) looks at all processes (\(commands) of pgBackRest seen), output, journal, plan and logs"
            }
            return "proven after kill and resume, undone without a trace\(seen)"
        }
    }

    /// `ssh: .` everywhere: nothing is reached by SSH, and nothing is forwarded.
    @Test func `all nodes are on the operator's own machine`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(onOneHost: true)
            let someone = try Operator(of: bed, playbook: RepositoryCase(place: .oneHost, stanza: .new).playbook), host = try bed.host("n1")
            let playbook = try readFile(someone.playbook).replacing("# ssh: n1\n", with: "ssh: .\n").replacing("ssh: n1\n", with: "ssh: .\n")
                .replacing("    host: n1\n", with: "    host: .\n")
            try await host.run("install -d -o dba /run/pggraft")
            try await host.run(asUser: "dba", "umask 077; cat >/run/pggraft/playbook.yaml", input: playbook)
            try await host.run(asUser: "dba", "umask 077; cat >/run/pggraft/pgpass", input: try readFile(someone.pgpass))
            let program = try programBesideThis("pggraft"), before = try await Snapshot(of: bed)
            func pggraft(_ arguments: String) async throws -> String {
                let output = try await host.execute(
                    asUser: "dba", "PGPASSFILE=/run/pggraft/pgpass PGGRAFT_STATE_DIR=/run/pggraft/state exec \(program) \(arguments)", within: .seconds(300))
                #expect(output.status == 0, "\(arguments)\n\(output.standardOutput)\(output.standardError)")
                return output.standardOutput
            }
            let check = try await pggraft("check /run/pggraft/playbook.yaml")
            #expect(check.contains("n2, n3 and n4 are there too"))
            let writers = try await Writers.start(of: bed, perNode: 1, rate: 15)
            _ = try await pggraft("run --yes /run/pggraft/playbook.yaml")
            try await expectMesh(of: bed, writers)
            let run = try await host.run("basename /run/pggraft/state/*.jsonl .jsonl")
            _ = try await pggraft("undo --yes --purge-data \(run)")
            let differences = try await Snapshot(of: bed).differences(from: before)
            #expect(differences.isEmpty, "\(differences)")
        }
    }
}
