import RemoteHost
import Testing

@testable import PgBackRest

@Suite struct RemoteRepositoryTests {
    private func layout(_ repository: (BackRestLayoutPaths) throws -> Repository) throws -> BackRestLayout {
        func path(_ text: String) throws -> HostPath { try #require(HostPath(text)) }
        return BackRestLayout(
            stanza: try #require(StanzaName("app")), repository: try repository(BackRestLayoutPaths(path: path)),
            source: BackRestInstance(
                ssh: SSHEndpoint(address: "10.0.0.1", user: "postgres"), dataDirectory: try path("/data/n1"), port: 5432, socketDirectory: try path("/run/pg"),
                configuration: try path("/home/app.conf")),
            target: BackRestInstance(
                ssh: SSHEndpoint(address: "10.0.0.4", user: "postgres"), dataDirectory: try path("/data/n4"), port: 5435, configuration: try path("/home/app.5435.conf"),
                spool: try path("/home/app.spool")), repositoryConfiguration: try path("/home/repo.conf"))
    }

    private struct BackRestLayoutPaths {
        let path: (String) throws -> HostPath
    }

    private func lines(_ layout: BackRestLayout, _ role: BackRestRole) -> [String] { layout.options(for: role).map { "\($0.key)=\($0.value)" } }

    @Test func `a bucket is reached by source and target alike, with the key`() throws {
        var layout = try layout {
            .s3(
                S3Store(bucket: "backups", endpoint: "store", region: "eu", port: 9443, namesBucketInPath: true, caFile: try $0.path("/ca.crt"), verifies: false),
                path: try $0.path("/pgb"))
        }
        layout.key = S3Key(identifier: "AKIA", secret: "s3cr3t", token: "t0k3n")
        let store = [
            "repo1-type=s3", "repo1-s3-bucket=backups", "repo1-s3-endpoint=store", "repo1-s3-region=eu", "repo1-storage-port=9443", "repo1-s3-uri-style=path",
            "repo1-storage-ca-file=/ca.crt", "repo1-storage-verify-tls=n", "repo1-s3-key=AKIA", "repo1-s3-key-secret=s3cr3t", "repo1-s3-token=t0k3n", "repo1-path=/pgb",
        ]
        #expect(lines(layout, .source) == ["pg1-path=/data/n1", "pg1-port=5432", "pg1-socket-path=/run/pg"] + store + ["repo1-bundle=y", "compress-type=lz4"])
        #expect(lines(layout, .target) == ["pg1-path=/data/n4", "pg1-port=5435"] + store + ["archive-async=y", "spool-path=/home/app.spool"])
        #expect(layout.roles == [.source, .target] && layout.repositoryRole == .source && layout.connections.isEmpty)
        let shown = layout.options(for: .target).map(\.description)
        #expect(shown.filter { $0.contains("‹redacted›") } == ["repo1-s3-key=‹redacted›", "repo1-s3-key-secret=‹redacted›", "repo1-s3-token=‹redacted›"])
        let kept = layout.options(for: .target).filter(\.isSecret).map(\.key)
        #expect(kept == ["repo1-s3-key", "repo1-s3-key-secret", "repo1-s3-token"])
    }

    @Test(arguments: [(S3Store.KeyType.auto, "auto"), (.webIdentity, "web-id")])
    func `hosts with a role of their own have no key`(_ type: S3Store.KeyType, _ word: String) throws {
        let layout = try layout { .s3(S3Store(bucket: "b", endpoint: "s3.eu.amazonaws.com", region: "eu", keyType: type), path: try $0.path("/pgb")) }
        #expect(
            lines(layout, .source).filter { $0.hasPrefix("repo1-") }
                == [
                    "repo1-type=s3", "repo1-s3-bucket=b", "repo1-s3-endpoint=s3.eu.amazonaws.com", "repo1-s3-region=eu", "repo1-s3-key-type=\(word)", "repo1-path=/pgb",
                    "repo1-bundle=y",
                ])
    }

    @Test func `by TLS the host reads the source, and both others ask the host`() throws {
        let layout = try layout {
            .tlsHost(
                SSHEndpoint(address: "repo", user: "postgres"), TLSAccess(caFile: try $0.path("/ca"), certFile: try $0.path("/c"), keyFile: try $0.path("/k")),
                path: try $0.path("/backup"))
        }
        func access(_ key: String, _ address: String, _ file: String) -> [String] {
            ["\(key)=\(address)"] + ["type=tls", "port=8432", "ca-file=/ca", "cert-file=/c", "key-file=/k", "config=\(file)"].map { "\(key)-\($0)" }
        }
        #expect(lines(layout, .source).filter { $0.hasPrefix("repo1-host") } == access("repo1-host", "repo", "/home/repo.conf"))
        #expect(lines(layout, .target).filter { $0.hasPrefix("repo1-host") } == access("repo1-host", "repo", "/home/repo.conf"))
        #expect(lines(layout, .repository).filter { $0.hasPrefix("pg1-host") } == access("pg1-host", "10.0.0.1", "/home/app.conf"))
        #expect(lines(layout, .repository).contains("repo1-path=/backup"))
        #expect(layout.roles == [.source, .repository, .target] && layout.repositoryRole == .repository && layout.connections.isEmpty)
        #expect(layout.options(for: .source).allSatisfy { !$0.isSecret })
    }

    @Test func `on one host nothing is reached by SSH, and nothing is fetched ahead`() throws {
        var layout = try layout { .sourceDirectory(try $0.path("/backup")) }
        #expect(layout.connections.count == 1 && lines(layout, .target).contains("repo1-host=10.0.0.1"))
        layout.targetIsOnSource = true
        #expect(layout.connections.isEmpty)
        #expect(lines(layout, .target) == ["pg1-path=/data/n4", "pg1-port=5435", "repo1-path=/backup"])
        layout.repository = .sshHost(SSHEndpoint(address: "repo", user: "postgres"), path: layout.repository.path)
        #expect(layout.connections.count == 3)
        (layout.targetIsOnSource, layout.targetIsOnRepository) = (false, true)
        #expect(layout.connections.count == 2)
        #expect(!lines(layout, .target).contains { $0.hasPrefix("repo1-host") })
    }

    @Test(
        arguments: [
            (
                "[ProtocolError] HTTP request failed with 404 (NOT FOUND):\n*** Path/Query ***:\nGET /nothere/\n<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>",
                "[ProtocolError] HTTP request failed with 404 (NOT FOUND): NoSuchBucket", "make the bucket"
            ),
            (
                "[ProtocolError] HTTP request failed with 403 (Forbidden):\n<Code>InvalidAccessKeyId</Code>",
                "[ProtocolError] HTTP request failed with 403 (Forbidden): InvalidAccessKeyId", "correct the key"
            ),
            ("[CryptoError] unable to verify certificate presented by 'repo:9443': [20] unable to get local issuer certificate", nil, "name the authority"),
            ("[CryptoError] unable to find hostname '10.77.0.11' in certificate common name or subject alternative names", nil, "the certificate of that host"),
            ("[CryptoError] unable to set user-defined CA certificate location: [2147483650] no details available", nil, "ca_file is not there"),
            ("[HostConnectError] unable to get address for 'nowhere': [-3] Temporary failure in name resolution", nil, "correct the name"),
            ("[HostConnectError] unable to connect to 'repo:9444': [111] Connection refused", nil, "is it running there"),
            ("[HostConnectError] unable to connect to '169.254.169.254:80': [101] Network is unreachable", nil, "give the host a role"),
            (
                "[FileReadError] key file '/k' has group or other permissions\nHINT: file must have permissions u=rw (0600)",
                "[FileReadError] key file '/k' has group or other permissions", "cert_file and key_file"
            ),
            ("[CryptoError] unable to load key file '/k': [2147483661] no details available", nil, "cert_file and key_file"),
            ("[AccessError] raised from remote-0 tls protocol on 'repo': access denied", nil, "let the certificate's name in"),
            ("[ServiceError] TLS error [1:167773208] tlsv1 alert unknown ca", nil, "the host that was asked does not accept this host's certificate"),
        ] as [(String, String?, String)])
    func `what pgBackRest says of a repository that it cannot reach leads to what to do`(_ text: String, _ message: String?, _ hint: String) {
        let refusal = RepositoryRefusal(text)
        #expect(refusal.message == message ?? text)
        #expect(refusal.hint.hasPrefix(hint))
    }

    @Test func `a key is read back from the file that has it`() throws {
        let path = try #require(HostPath("/x")), stanza = try #require(StanzaName("app"))
        let file = try IniFile(Array("[app]\nrepo1-s3-key=AKIA\nrepo1-s3-key-secret=a/b=c\n".utf8), path: path)
        #expect(S3Key(in: file, of: stanza) == S3Key(identifier: "AKIA", secret: "a/b=c"))
        #expect(S3Key(in: try IniFile(Array("[app]\nrepo1-s3-key=AKIA\n".utf8), path: path), of: stanza) == nil)
    }
}
