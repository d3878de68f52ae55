import PostgresClient
import RemoteHost
import Testing

@testable import PgBackRest

@Suite struct BackRestConfigurationTests {
    private let options = [
        BackRestOption("pg1-path", "/srv/n1"), BackRestOption("repo1-path", "/backup"),
        BackRestOption("compress-type", "lz4", .preferred),
    ]

    @Test func `an existing file gets a section and keeps everything else`() throws {
        let debian = "[global]\nrepo1-path=/var/lib/pgbackrest\n#repo1-retention-full=2\n\n#[main]\n#pg1-path=/x\n"
        let (configuration, added) = try BackRestConfiguration(ini(debian)).adding(options, to: stanza("n1"))
        #expect(text(configuration.file) == debian + "\n[n1]\npg1-path=/srv/n1\nrepo1-path=/backup\ncompress-type=lz4\n")
        #expect(added == options)
        #expect(text(configuration.removing(added.map { ($0.key, $0.value) }, from: try stanza("n1")).file) == debian)
    }

    @Test func `what already holds is not written again`() throws {
        let existing = "[global]\nrepo1-path=/backup\ncompress-type=zst\n[n1]\npg1-path=/srv/n1\n"
        let (configuration, added) = try BackRestConfiguration(ini(existing)).adding(options, to: stanza("n1"))
        #expect(text(configuration.file) == existing)
        #expect(added.isEmpty)
    }

    @Test func `options in included files count`() throws {
        let included = try ini("[n1]\npg1-path=/srv/n1\nrepo1-path=/backup\ncompress-type=gz\n", at: "/etc/pgbackrest/conf.d/n1.conf")
        let configuration = try BackRestConfiguration(ini(""), included: [included])
        #expect(try configuration.adding(options, to: stanza("n1")).added.isEmpty)
        #expect(configuration.stanzas == ["n1"])
    }

    @Test func `a command's section of global outweighs global itself`() throws {
        let configuration = try BackRestConfiguration(ini("[global]\nrepo1-path=/backup\n[global:backup]\nrepo1-path=/other\n"))
        #expect(try configuration.adding(options, to: stanza("n1")).added.map(\.key) == ["pg1-path", "repo1-path", "compress-type"])
    }

    @Test(
        arguments: [
            ("[n1]\npg1-path=/srv/other\n", 2, "pg1-path", "/srv/n1"),
            ("[n1]\npg1-path=/srv/n1\n[n1:archive-push]\nrepo1-path=/else\n", 4, "repo1-path", "/backup"),
            ("[global]\nrepo1-host=backup\n", 2, "repo1-host", nil),
            ("[global]\nrepo1-type=s3\n", 2, "repo1-type", nil),
            ("[global]\nrepo1-path=/backup\nrepo1-host-type=tls\n", 3, "repo1-host-type", nil),
        ] as [(String, Int, String, String?)])
    func `a value that cannot be reconciled is a conflict`(_ existing: String, _ line: Int, _ key: String, _ wanted: String?) throws {
        let configuration = try BackRestConfiguration(ini(existing))
        let conflict = try #require(throws: BackRestConfigurationConflict.self) { try configuration.adding(options, to: stanza("n1")) }
        #expect(conflict.setting.line == line)
        #expect(conflict.setting.key == key)
        #expect(conflict.wanted == wanted)
    }

    @Test func `a posix repository that is spelled out is none`() throws {
        let configuration = try BackRestConfiguration(ini("[global]\nrepo1-type=posix\n[n2]\nrepo1-host=backup\n"))
        #expect(try configuration.adding(options, to: stanza("n1")).added == options)
    }

    @Test func `a conflict says where, what and what to do`() throws {
        let configuration = try BackRestConfiguration(ini("[n1]\npg1-path=/srv/other\n"))
        let conflict = try #require(throws: BackRestConfigurationConflict.self) { try configuration.adding(options, to: stanza("n1")) }
        #expect(
            "\(conflict)" == """
                /etc/pgbackrest.conf line 2: [n1] has pg1-path=/srv/other, but stanza 'n1' needs pg1-path=/srv/n1
                  HINT: name the repository that this stanza already uses, choose another stanza name, or give pggraft a configuration file of its own.
                """)
    }

    @Test func `the setting that holds is found by pgBackRest's order of sections`() throws {
        let configuration = try BackRestConfiguration(
            ini(
                "[global]\nprocess-max=1\n[global:backup]\nprocess-max=2\n[n1]\nprocess-max=3\n[n1:backup]\nprocess-max=4\n"))
        #expect(configuration.setting("process-max", stanza: try stanza("n1"), command: "backup")?.value == "4")
        #expect(configuration.setting("process-max", stanza: try stanza("n1"))?.value == "3")
        #expect(configuration.setting("process-max", stanza: try stanza("n2"), command: "backup")?.value == "2")
        #expect(configuration.setting("process-max", stanza: try stanza("n2"))?.value == "1")
        #expect(configuration.setting("pg1-path", stanza: try stanza("n2")) == nil)
    }
}

@Suite struct BackRestLayoutTests {
    private func layout(_ repository: Repository) throws -> BackRestLayout {
        BackRestLayout(
            stanza: try stanza("n1"), repository: repository,
            source: BackRestInstance(
                ssh: SSHEndpoint(address: "10.77.0.11", user: "postgres"), dataDirectory: try path("/srv/n1"), port: 5432,
                socketDirectory: try path("/run/postgresql")),
            target: BackRestInstance(ssh: SSHEndpoint(address: "10.77.0.14", user: "postgres"), dataDirectory: try path("/srv/n4"), port: 5434))
    }

    private func rendered(_ layout: BackRestLayout, _ role: BackRestRole) throws -> String {
        try text(BackRestConfiguration(ini("")).adding(layout.options(for: role), to: layout.stanza).configuration.file)
    }

    @Test func `a repository on the source is reached from the target over SSH`() throws {
        let layout = try layout(.sourceDirectory(path("/backup")))
        #expect(layout.roles == [.source, .target])
        #expect(layout.repositoryRole == .source)
        #expect(layout.connections.map { "\($0.from) → \($0.to)" } == ["target → postgres@10.77.0.11"])
        #expect(
            try rendered(layout, .source) == """
                [n1]
                pg1-path=/srv/n1
                pg1-port=5432
                pg1-socket-path=/run/postgresql
                repo1-path=/backup
                repo1-bundle=y
                compress-type=lz4

                """)
        #expect(
            try rendered(layout, .target) == """
                [n1]
                pg1-path=/srv/n4
                pg1-port=5434
                repo1-host=10.77.0.11
                repo1-host-user=postgres
                repo1-path=/backup
                archive-async=y

                """)
    }

    @Test func `a shared directory needs no SSH`() throws {
        let layout = try layout(.sharedDirectory(path("/mnt/backup")))
        #expect(layout.connections.isEmpty)
        #expect(try rendered(layout, .target) == "[n1]\npg1-path=/srv/n4\npg1-port=5434\nrepo1-path=/mnt/backup\narchive-async=y\n")
    }

    @Test func `a repository host takes the backup itself and is written for in three places`() throws {
        var layout = try layout(.sshHost(SSHEndpoint(address: "backup", user: "pgbackrest", port: 2222), path: path("/backup")))
        layout.compression = .zst
        #expect(layout.roles == [.source, .repository, .target])
        #expect(layout.repositoryRole == .repository)
        #expect(layout.backRest(for: .repository).user == "pgbackrest")
        #expect(
            layout.connections.map { "\($0.from) → \($0.to)" } == [
                "source → pgbackrest@backup:2222", "repository host → postgres@10.77.0.11", "target → pgbackrest@backup:2222",
            ])
        #expect(
            try rendered(layout, .source) == """
                [n1]
                pg1-path=/srv/n1
                pg1-port=5432
                pg1-socket-path=/run/postgresql
                repo1-host=backup
                repo1-host-user=pgbackrest
                repo1-host-port=2222
                repo1-path=/backup
                repo1-bundle=y
                compress-type=zst

                """)
        #expect(
            try rendered(layout, .repository) == """
                [n1]
                pg1-host=10.77.0.11
                pg1-host-user=postgres
                pg1-path=/srv/n1
                pg1-port=5432
                pg1-socket-path=/run/postgresql
                repo1-path=/backup
                repo1-bundle=y
                compress-type=zst

                """)
        #expect(
            try rendered(layout, .target) == """
                [n1]
                pg1-path=/srv/n4
                pg1-port=5434
                repo1-host=backup
                repo1-host-user=pgbackrest
                repo1-host-port=2222
                repo1-path=/backup
                archive-async=y

                """)
    }

    @Test func `a passphrase goes only to the hosts that have the repository for themselves`() throws {
        func told(_ repository: Repository) throws -> [BackRestRole] {
            var layout = try layout(repository)
            layout.cipher = BackRestCipher(pass: Secret("s3cret"))
            return layout.roles.filter { layout.options(for: $0).contains(BackRestOption("repo1-cipher-pass", "s3cret")) }
        }
        #expect(try told(.sshHost(SSHEndpoint(address: "backup", user: "pgbackrest"), path: path("/backup"))) == [.repository])
        #expect(try told(.sourceDirectory(path("/backup"))) == [.source])
        #expect(try told(.sharedDirectory(path("/backup"))) == [.source, .target])
        let pass = BackRestCipher.random().pass.reveal()
        #expect(pass.count == 64 && BackRestCipher.random().pass.reveal() != pass)
        #expect(BackRestCipher(in: try ini("[n1]\nrepo1-cipher-pass=s3cret\n"), stanza: try stanza("n1"))?.pass == Secret("s3cret"))
        #expect(BackRestCipher(in: try ini("[n2]\nrepo1-cipher-pass=s3cret\n"), stanza: try stanza("n1")) == nil)
    }

    @Test func `the other side is told about a configuration file that is not in the default place`() throws {
        var layout = try layout(.sshHost(SSHEndpoint(address: "backup", user: "pgbackrest"), path: path("/backup")))
        layout.source.configuration = try path("/srv/n1.conf")
        layout.repositoryConfiguration = try path("/srv/repo.conf")
        #expect(layout.options(for: .source).contains(BackRestOption("repo1-host-config", "/srv/repo.conf")))
        #expect(layout.options(for: .target).contains(BackRestOption("repo1-host-config", "/srv/repo.conf")))
        #expect(layout.options(for: .repository).contains(BackRestOption("pg1-host-config", "/srv/n1.conf")))
    }
}
