import PostgresConfig
import RemoteHost
import Testing

@testable import Instance

/// What of TLS the server of a copy will have, as its files will say it.
@Suite("TLS on a copy") struct CopiedTLSTests {
    struct Case: Sendable {
        /// Where the source's postgresql.conf is, and the copy's.
        var source = "/srv/n1", target = "/srv/n4"
        /// Of the source: file, name, value.
        var lines: [(file: String, name: String, value: String)]
        /// Of the copy: its postgresql.conf.
        var config: String?
        var auto = ""
        var expects: CopiedTLS
    }

    static let cases = [
        // The file comes along, and with it what it names.
        Case(
            lines: [("/srv/n1/postgresql.conf", "ssl", "on"), ("/srv/n1/postgresql.conf", "ssl_cert_file", "/etc/ssl/n1.crt")],
            config: "ssl = on\nssl_cert_file = '/etc/ssl/n1.crt'\n", expects: CopiedTLS(isOn: true, certificateFile: "/etc/ssl/n1.crt")),
        Case(lines: [("/srv/n1/extra/a.conf", "ssl", "on")], config: "include 'extra/a.conf'\n", expects: CopiedTLS(isOn: true)),
        Case(
            lines: [("/srv/n1/postgresql.auto.conf", "ssl", "on")], config: "ssl = off\n", auto: "ssl = 'on'\nssl_ca_file = 'root.crt'\n",
            expects: CopiedTLS(isOn: true, authorityFile: "root.crt")),
        Case(lines: [], config: "", expects: CopiedTLS(isOn: false)),
        // It stays where it is: the copy goes by its own, and by what was put into postgresql.auto.conf for it.
        Case(
            source: "/etc/postgresql/15/main", lines: [("/etc/postgresql/15/main/postgresql.conf", "ssl", "on")], expects: CopiedTLS(isOn: true)),
        Case(
            source: "/etc/postgresql/15/main",
            lines: [("/etc/postgresql/15/main/postgresql.conf", "ssl", "on"), ("/etc/postgresql/15/main/postgresql.conf", "ssl_cert_file", "/etc/ssl/n1.crt")],
            expects: CopiedTLS(isOn: false)),
        Case(
            source: "/etc/postgresql/15/main", target: "/etc/postgresql/15/main", lines: [], config: "ssl = on\nssl_key_file = '/etc/ssl/n4.key'\n",
            expects: CopiedTLS(isOn: true, keyFile: "/etc/ssl/n4.key")),
    ]

    @Test("is what its files will say", arguments: cases.indices)
    func tls(index: Int) throws {
        let it = Self.cases[index]
        let files = try CloneConfigurationTests.files(data: "/srv/n1", config: it.source)
        let source = SourceSettings(
            files: files, lines: it.lines.map { .init(file: $0.file, name: $0.name, value: $0.value, isApplied: true) },
            inForce: CloneConfigurationTests.inForce.filter { $0.name != "ssl_cert_file" } + it.lines.map { .init(name: $0.name, value: $0.value, source: "configuration file") })
        let target = try CloneConfigurationTests.files(data: "/srv/n4", config: it.target)
        var content = [target.autoConfFile: Array(it.auto.utf8)]
        content[target.configFile] = it.config.map { Array($0.utf8) }
        let clone = CloneConfiguration(
            source: source, features: ServerFeatures(.postgres(15)), target: .init(files: target, port: 5432, content: content), withoutLibraries: [],
            primaryConninfo: nil)
        #expect(try clone.tls() == it.expects)
    }
}
