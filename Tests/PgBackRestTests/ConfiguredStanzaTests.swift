import FoundationEssentials
import PostgresClient
import RemoteHost
import Report
import Testing

@testable import PgBackRest

@Suite struct ConfiguredStanzaTests {
    private func configured(_ text: String, included: String? = nil, environment: [String: Secret] = [:]) throws -> ConfiguredStanza? {
        let files = try included.map { [try ini($0, at: "/etc/pgbackrest/conf.d/a.conf")] } ?? []
        return ConfiguredStanza(try stanza("n1"), in: BackRestConfiguration(try ini(text), included: files, environment: environment))
    }

    private func instance(_ address: String, _ directory: String, _ port: UInt16) throws -> BackRestInstance {
        BackRestInstance(ssh: SSHEndpoint(address: address, user: "postgres"), dataDirectory: try path(directory), port: port)
    }

    private func optionsOfTarget(_ text: String, included: String? = nil, environment: [String: Secret] = [:], shared: String? = nil) throws -> [String] {
        let stanza = try #require(try configured(text, included: included, environment: environment))
        let source = try instance("10.77.0.11", "/srv/n1", 5432), target = try instance("10.77.0.14", "/srv/n4", 5434)
        return stanza.options(from: target, source: source) { $0 == shared }.map { "\($0.key)=\($0.value)" }
    }

    @Test func `a stanza is there by its server, wherever that is said`() throws {
        #expect(try configured("[global]\nrepo1-path=/backup\n") == nil)
        #expect(try configured("[n2]\npg1-path=/srv/n2\n") == nil)
        #expect(try configured("[n1]\npg1-path=/srv/n1\n") != nil)
        #expect(try configured("[n1]\ndb-path=/srv/n1\n")?.servers.map(\.dataDirectory.path) == ["/srv/n1"])
        #expect(try configured("", included: "[n1]\npg2-path=/srv/n1\npg2-host=a\npg2-port=5433\n")?.servers.map(\.port) == [5433])
        #expect(try configured("", environment: ["PGBACKREST_PG1_PATH": Secret("/srv/n1")])?.servers.map(\.number) == [1])
    }

    @Test func `a local directory is reached on the source, with all that is said of it`() throws {
        #expect(
            try optionsOfTarget("[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=two words\nrepo1-retention-full=2\nrepo1-bundle=y\n[n1]\npg1-path=/srv/n1\n")
                == ["repo1-host=10.77.0.11", "repo1-host-user=postgres"])
        #expect(
            try optionsOfTarget(
                "[n1]\npg1-path=/srv/n1\nrepo1-path=/mnt/backup\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=two words\n", shared: "/mnt/backup")
                == ["repo1-cipher-pass=two words", "repo1-cipher-type=aes-256-cbc", "repo1-path=/mnt/backup"])
        // A process that is started from elsewhere has not that environment.
        #expect(
            try optionsOfTarget("[n1]\npg1-path=/srv/n1\n", environment: ["PGBACKREST_REPO1_CIPHER_PASS": Secret("two words")])
                == ["repo1-host=10.77.0.11", "repo1-host-user=postgres", "repo1-cipher-pass=two words"])
        #expect(try optionsOfTarget("[n1]\npg1-path=/srv/n1\nrepo1-path=/mnt/backup\n", shared: "/mnt/backup") == ["repo1-path=/mnt/backup"])
    }

    @Test func `several repositories of every kind`() throws {
        let text = """
            [global]
            repo1-host=repo
            repo1-host-user=keeper
            repo1-path=/backup
            repo2-type=s3
            repo2-s3-bucket=b
            repo2-s3-key=id
            repo2-s3-key-secret=s3cret
            repo2-path=/x
            io-timeout=30
            [n1]
            pg1-path=/srv/n1
            """
        let stanza = try #require(try configured(text))
        #expect(stanza.repositories.map(\.type) == ["posix", "s3"])
        #expect(
            try optionsOfTarget(text) == [
                "repo1-host=repo", "repo1-host-user=keeper", "repo1-path=/backup", "repo2-path=/x", "repo2-s3-bucket=b", "repo2-s3-key=id",
                "repo2-s3-key-secret=s3cret", "repo2-type=s3", "io-timeout=30",
            ])
        // The repository's host is the target's own.
        #expect(try optionsOfTarget("[n1]\npg1-path=/srv/n1\nrepo1-host=10.77.0.14\nrepo1-path=/backup\n") == ["repo1-path=/backup"])
    }

    @Test func `environment and command line outweigh the files, and a section of the stanza outweighs global`() throws {
        #expect(
            try optionsOfTarget(
                "[global]\nrepo1-host=a\nrepo1-path=/global\n[n1]\npg1-path=/srv/n1\nrepo1-path=/stanza\n", environment: ["PGBACKREST_REPO1_HOST": Secret("b")])
                == ["repo1-host=b", "repo1-path=/stanza"])
    }

    @Test func `secrets are shown nowhere`() throws {
        let option = BackRestOption("repo1-cipher-pass", "two words")
        #expect("\(option)" == "repo1-cipher-pass=‹redacted›")
        let conflict = try #require(throws: BackRestConfigurationConflict.self) {
            try BackRestConfiguration(ini("[n1]\nrepo1-cipher-pass=xyz zyx\n")).adding([option], to: stanza("n1"))
        }
        #expect(!"\(conflict)".contains("words") && !"\(conflict)".contains("zyx"))
        #expect(text(try ini("[n1]\nrepo1-s3-key = a b c\nrepo1-path=/x\n")) == "[n1]\nrepo1-s3-key = a b c\nrepo1-path=/x\n")
        #expect(String(decoding: try ini("[n1]\nrepo1-s3-key = a b c\nrepo1-path=/x\n").withoutSecrets, as: UTF8.self) == "[n1]\nrepo1-s3-key=‹redacted›\nrepo1-path=/x\n")
        let command = BackRest(stanza: try stanza("n1")).info(telling: [option])
        #expect(!command.words.joined().contains("two words"))
        #expect(String(decoding: command.input, as: UTF8.self) == "[n1]\nrepo1-cipher-pass=two words\n")
    }

    @Test(
        arguments: [
            ("pgbackrest --stanza=n1 archive-push %p", "pgbackrest", nil, [:]),
            ("cp %p /wal/%f", nil, nil, [:]),
            (
                "PGBACKREST_REPO1_PATH=/r /opt/b/pgbackrest --config=/srv/a.conf --config-include-path /srv/d --stanza n1 --no-archive-async --log-level-console=info archive-push %p",
                "/opt/b/pgbackrest", "/srv/a.conf",
                ["PGBACKREST_REPO1_PATH": "/r", "PGBACKREST_CONFIG_INCLUDE_PATH": "/srv/d", "PGBACKREST_ARCHIVE_ASYNC": "n"]
            ),
        ] as [(String, String?, String?, [String: String])])
    func `what archive_command tells pgBackRest`(_ setting: String, _ program: String?, _ configuration: String?, _ environment: [String: String]) {
        let called = BackRestInvocation(setting)
        #expect(called?.program == program)
        #expect(called?.configuration?.path == configuration)
        #expect(called?.environment.mapValues { $0.reveal() } ?? [:] == environment)
    }
}

@Suite struct BackRestLookTests {
    private func look(_ text: String, configuration: String? = nil) throws -> BackRestLook {
        try BackRestLook(text, BackRestLook.Request(try stanza("n1"), user: "postgres"), on: "n4")
    }

    private func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    @Test func `one answer tells it all`() throws {
        let look = try look(
            """
            version pgBackRest 2.45
            home /var/lib/postgresql
            variable PGBACKREST_REPO1_CIPHER_PASS=a=b
            file \(encoded("[n1]\npg1-path=/srv/n4\nlock-path=/run/locks\narchive-async=y\n")) /etc/pgbackrest/pgbackrest.conf
            file - /etc/pgbackrest/conf.d/secret.conf
            file  /etc/pgbackrest/conf.d/empty.conf
            own \(encoded("[n1]\n")) /var/lib/postgresql/.pgbackrest/n1.conf
            stop /tmp/pgbackrest/n1.stop
            spool closed /var/spool/pgbackrest
            missing /etc/certs/a b.crt
            process   12 pgbackrest --stanza=n1 restore
            process   13 pgbackrest --stanza=other restore
            """)
        #expect(look.version == .minimum)
        #expect(look.configuration.value("repo1-cipher-pass", stanza: try stanza("n1")) == "a=b")
        #expect(look.configuration.value("pg1-path", stanza: try stanza("n1")) == "/srv/n4")
        #expect(look.closedFiles.map(\.path) == ["/etc/pgbackrest/conf.d/secret.conf"])
        #expect(look.ownFile != nil)
        // The locks are elsewhere: that stop is not in force.
        #expect(look.stopFile(of: try stanza("n1")) == nil)
        #expect(look.spool(of: try stanza("n1"))?.isOpen == false)
        #expect(look.missingPaths.map(\.path) == ["/etc/certs/a b.crt"])
        #expect(look.processes.map(\.pid) == [12])
    }

    @Test func `a host without the program`() throws {
        let look = try look("version \nhome /home/pg\nstop /tmp/pgbackrest/all.stop")
        #expect(look.version == nil)
        #expect(look.stopFile(of: try stanza("n1"))?.path == "/tmp/pgbackrest/all.stop")
    }
}

@Suite struct BackRestConfigurationFindingsTests {
    private func looks(source: String = "[n1]\npg1-path=/srv/n1\n", repository: String = "", target: String = "", version: String = "2.45") throws -> [BackRestRole: BackRestLook] {
        func look(_ text: String, _ host: String) throws -> BackRestLook {
            try BackRestLook(
                "version pgBackRest \(version)\nhome /h\nfile \(Data(text.utf8).base64EncodedString()) /etc/pgbackrest.conf\nspool closed /var/spool/pgbackrest",
                BackRestLook.Request(try stanza("n1"), user: "postgres"), on: host)
        }
        return [.source: try look(source, "n1"), .repository: try look(repository, "repo"), .target: try look(target, "n4")]
    }

    private func findings(_ looks: [BackRestRole: BackRestLook], repository: Repository, server: Int = 15, isTargetConfigured: Bool = false, takesBackup: Bool = true) throws
        -> [String]
    {
        var layout = BackRestLayout(
            stanza: try stanza("n1"), repository: repository,
            source: BackRestInstance(ssh: SSHEndpoint(address: "10.77.0.11", user: "postgres"), dataDirectory: try path("/srv/n1"), port: 5432),
            target: BackRestInstance(ssh: SSHEndpoint(address: "10.77.0.14", user: "postgres"), dataDirectory: try path("/srv/n4"), port: 5432))
        layout.existing = try looks[.source].flatMap { ConfiguredStanza(try stanza("n1"), in: $0.configuration) }
        layout.isTargetConfigured = isTargetConfigured
        return layout.findConfiguration(looks, server: server, sockets: [try path("/run/postgresql")], takesBackup: takesBackup).map(\.fact)
    }

    @Test func `what is right has no findings`() throws {
        #expect(try findings(looks(), repository: .sourceDirectory(path("/b"))).isEmpty)
        let both = try looks(source: "[n1]\npg1-path=/srv/n1\npg1-socket-path=/run/postgresql\n", repository: "[n1]\npg1-path=/srv/s\npg1-host=s\npg2-path=/srv/n1\npg2-host=n1\n")
        #expect(try findings(both, repository: .sshHost(SSHEndpoint(address: "repo", user: "postgres"), path: path("/b"))).isEmpty)
    }

    @Test func `another server, on source and repository host`() throws {
        let repository = Repository.sshHost(SSHEndpoint(address: "repo", user: "postgres"), path: try path("/b"))
        #expect(
            try findings(looks(source: "[n1]\npg1-path=/srv/old\n"), repository: repository) == [
                "n1: pgBackRest has pg1-path=/srv/old for stanza 'n1', the server's is /srv/n1",
                "repo: pgBackRest's configuration has no server of stanza 'n1' there",
            ])
        #expect(
            try findings(
                looks(source: "[n1]\npg1-path=/srv/n1\npg1-port=5433\n", repository: "[n1]\npg1-host=n1\npg1-path=/srv/n1\npg1-socket-path=/tmp\n"), repository: repository)
                == [
                    "n1: pgBackRest has pg1-port=5433 for stanza 'n1', the server's is 5432",
                    "repo: pgBackRest has pg1-socket-path=/tmp for stanza 'n1', the server's is /run/postgresql",
                ])
    }

    @Test(arguments: [(15, "2.39", true), (16, "2.45", false), (16, "2.46", true), (17, "2.51", false), (18, "2.55", false), (18, "2.56", true), (14, "2.45", true)])
    func `versions that know the server`(_ server: Int, _ version: String, _ isKnown: Bool) throws {
        let found = try findings(looks(version: version), repository: .sourceDirectory(path("/b")), server: server)
        #expect(found == (isKnown ? [] : ["n1: pgBackRest \(version) does not know PostgreSQL \(server)", "n4: pgBackRest \(version) does not know PostgreSQL \(server)"]))
    }

    @Test func `a spool that is closed matters where segments are fetched ahead`() throws {
        let target = "[n1]\npg1-path=/srv/n4\n"
        #expect(try findings(looks(target: target), repository: .sourceDirectory(path("/b")), isTargetConfigured: true).isEmpty)
        #expect(
            try findings(looks(target: target + "archive-async=y\n"), repository: .sourceDirectory(path("/b")), isTargetConfigured: true)
                == ["n4: archive-async is on, and postgres cannot write to its spool directory /var/spool/pgbackrest"])
    }

    @Test func `a full backup on a host that the playbook does not name`() throws {
        #expect(
            try findings(looks(), repository: .otherHost("repo", path: path("/b")))
                == ["n1: the repository of stanza 'n1' is on repo, where a full backup is taken, and the playbook does not say how to log in there"])
        #expect(try findings(looks(), repository: .otherHost("repo", path: path("/b")), takesBackup: false).isEmpty)
    }
}
