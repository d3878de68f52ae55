import Instance
import PostgresConfig
import ProcedureKit
import Report
import Testing

@testable import Procedures

/// By which rule the new node lets a node in, from the source's `pg_hba.conf` as a text.
@Suite("How the new node lets a caller in")
struct AdmissionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        /// The source's file.
        var file: String
        /// The lines for n2 on the new node, with single blanks; or, after `✗`, what the problem says.
        var expects: [String]
        var sslmode: String?
        var sourceTLS = true
        var tls = CopiedTLS(isOn: true)
        var missingFile: String?
        var hasMaps = false
        var acceptsTrust = false
        var hasCertificate = false
        var testDescription: String { name }
    }

    static let scram = ["host app spock_admin 10.77.0.12/32 scram-sha-256"]
    static let plainScram = ["hostnossl app spock_admin 10.77.0.12/32 scram-sha-256"]
    static let off = CopiedTLS(isOn: false)

    static let cases: [Case] = [
        Case(name: "initdb's trust for the own host stands first", file: "host all all 127.0.0.1/32 trust\nhost all all 10.0.0.0/8 scram-sha-256\n", expects: scram),
        Case(
            name: "a rule for others stands first, whatever its method",
            file:
                "host all all 10.9.0.0/16 radius radiusservers=10.9.0.1 radiussecrets=x\nhost other all 10.0.0.0/8 md5\nhost all app 10.0.0.0/8 password\nhost all all 10.0.0.0/8 scram-sha-256\n",
            expects: scram),
        Case(
            name: "certificates are asked for first, and libpq goes on without TLS", file: "hostssl all all 10.0.0.0/8 cert\nhost all all 10.0.0.0/8 scram-sha-256\n",
            expects: plainScram),
        Case(
            name: "it has a certificate", file: "hostssl all all 10.0.0.0/8 cert clientname=CN\n", expects: ["hostssl app spock_admin 10.77.0.12/32 cert clientname=CN"],
            tls: CopiedTLS(isOn: true, authorityFile: "root.crt"), hasCertificate: true),
        Case(
            name: "it has a certificate, and the new node does not know by what", file: "hostssl all all 10.0.0.0/8 cert\n", expects: ["✗ no ssl_ca_file"],
            hasCertificate: true),
        Case(name: "it has no certificate and nothing else", file: "hostssl all all 10.0.0.0/8 cert\n", expects: ["✗ no line of pg_hba.conf of n1 lets n2 in"]),
        Case(name: "it must show a certificate", file: "hostssl all all 10.0.0.0/8 cert\n", expects: ["✗ no ssl_ca_file"], sslmode: "verify-full"),
        Case(name: "TLS only", file: "hostssl all all 10.0.0.0/8 scram-sha-256\n", expects: ["hostssl app spock_admin 10.77.0.12/32 scram-sha-256"]),
        Case(
            name: "TLS only, and the new node has none", file: "hostssl all all 10.0.0.0/8 scram-sha-256\n", expects: ["✗ ssl will be off on n4"], tls: off),
        Case(
            name: "TLS only, and a file is missing", file: "hostssl all all 10.0.0.0/8 scram-sha-256\n", expects: ["✗ /etc/x.pem is not on n4"],
            missingFile: "/etc/x.pem is not on n4"),
        Case(
            name: "without TLS it would be refused", file: "hostnossl all all all reject\nhost all all 10.0.0.0/8 md5\n",
            expects: ["hostssl app spock_admin 10.77.0.12/32 md5"]),
        Case(
            name: "with TLS and without, by different rules, and the new node has no TLS",
            file: "hostssl all all 10.0.0.0/8 md5\nhost all all 10.0.0.0/8 scram-sha-256\n", expects: plainScram, tls: off),
        Case(
            name: "its DSN says that it takes no TLS", file: "hostssl all all 10.0.0.0/8 trust\nhost all all 10.0.0.0/8 scram-sha-256\n", expects: plainScram, sslmode: "disable"),
        Case(
            name: "its DSN wants TLS, which the source has not", file: "host all all 10.0.0.0/8 scram-sha-256\n",
            expects: ["✗ n2 wants TLS (sslmode=require), and ssl is off on n1"],
            sslmode: "require", sourceTLS: false),
        Case(
            name: "its DSN wants TLS, which the new node has not", file: "host all all 10.0.0.0/8 scram-sha-256\n",
            expects: ["✗ n2 wants TLS (sslmode=require), and ssl will be off on n4"], sslmode: "require", tls: off),
        Case(
            name: "the source has no TLS, and its lines for it do not count", file: "hostssl all all 10.0.0.0/8 trust\nhost all all 10.0.0.0/8 scram-sha-256\n", expects: scram,
            sourceTLS: false, tls: off),
        Case(name: "nobody is asked", file: "host all all 10.0.0.0/8 trust\n", expects: ["✗ anyone from there could be spock_admin without a password"]),
        Case(
            name: "nobody is asked, and that is meant", file: "host all all 10.0.0.0/8 trust\n", expects: ["host app spock_admin 10.77.0.12/32 trust"], acceptsTrust: true),
        Case(name: "it is refused", file: "host all spock_admin all reject\nhost all all all md5\n", expects: ["✗ n1 refuses n2 (spock_admin from 10.77.0.12)"]),
        Case(name: "nothing lets it in", file: "host all all 127.0.0.1/32 md5\n", expects: ["✗ no line of pg_hba.conf of n1 lets n2 in"]),
        Case(
            name: "somebody else is asked", file: "host all all all radius radiusservers=10.9.0.1 radiussecrets=hunter2\n",
            expects: ["✗ whether n4 can ask by radius is not known before it runs"]),
        Case(name: "by GSSAPI", file: "host all all all gss\n", expects: ["✗ whether n4 can ask by gss is not known"]),
        Case(
            name: "by a user map that n4 has not", file: "hostssl all all all cert map=m\n", expects: ["✗ n4 has no user map m"],
            tls: CopiedTLS(isOn: true, authorityFile: "root.crt"), hasCertificate: true),
        Case(name: "the file is refused", file: "host all all all nonsense\n", expects: ["✗ n1 itself would not start"]),
        Case(name: "it depends", file: "host all +dba all md5\nhost all all all scram-sha-256\n", expects: ["✗ which line of pg_hba.conf of n1 decides over n2 is not known"]),
    ]

    private static func admission(_ it: Case) throws -> Admission {
        let address = try #require(IPAddress("10.77.0.12"))
        let source = HBAServer(.postgres(15), sslIsOn: it.sourceTLS)
        let rules = HBARules(file: "/etc/pg_hba.conf", in: FileSnapshot(files: ["/etc/pg_hba.conf": Array(it.file.utf8)]), for: source)
        let caller = Caller(
            name: "n2", user: "spock_admin", database: "app", sslmode: it.sslmode, addresses: [address],
            places: Routes("", targets: 1).places(of: "10.77.0.12"), hasCertificate: it.hasCertificate)
        let ground = Admission.Ground(
            source: "n1", newNode: "n4", sourceHasTLS: it.sourceTLS, tls: it.tls, missingFile: it.missingFile, hasMaps: it.hasMaps, acceptsTrust: it.acceptsTrust)
        let decisions = Dictionary(uniqueKeysWithValues: caller.attempts.map { ($0, rules.explain($0).decision) })
        return Admission(of: caller, from: address, on: ground, deciding: decisions)
    }

    private static func words(_ rule: HBARule) -> String { "\(rule)".split(separator: " ").joined(separator: " ") }

    @Test("by the rule by which the source does", arguments: cases)
    func rule(it: Case) throws {
        let admission = try Self.admission(it)
        guard let says = it.expects.first, says.hasPrefix("✗ ") else {
            #expect(admission.rules.map(Self.words) == it.expects)
            #expect(admission.problem == nil, "\(admission.problem.map(\.description) ?? "")")
            return
        }
        #expect(admission.rules.isEmpty)
        let problem = admission.problem?.description ?? ""
        #expect(problem.contains(says.dropFirst(2)), "\(problem)")
        #expect(!problem.contains("hunter2"))
        #expect(problem.contains("HINT"))
    }

    @Test func `what is closed lets in the nodes, pggraft and the OS user, and nobody else`() throws {
        let open = "host all all 127.0.0.1/32 trust\nhost all app 0.0.0.0/0 trust\nlocal all all trust\nhost all all 10.0.0.0/8 md5\n"
        var node = try Self.admission(Case(name: "", file: open, expects: [])), itself = node
        node.rules[0].address = .hostName("n2.example")
        itself.caller.name = NodeAccess.itself
        let closed = try Admissions([node, itself], osUser: "postgres", version: .postgres(15)).closed()
        #expect(
            closed.rules.map(Self.words) == [
                "local all postgres peer", "host app spock_admin n2.example md5", "host all spock_admin 10.77.0.12/32 md5",
            ])
    }

    @Test func `a host is known by the address it is given, and its own loopback counts last`() {
        let routes = Routes("0 10.77.0.12\n0 127.0.0.1\n1 127.0.0.1\ncertificate\n", targets: 2)
        #expect(routes.hasCertificate)
        #expect(routes.known(as: "10.9.9.9") == ["10.9.9.9"].compactMap { IPAddress($0) })
        #expect(routes.known(as: "n2.example") == ["10.77.0.12"].compactMap { IPAddress($0) })
        #expect(Routes("0 127.0.0.1\n", targets: 1).known(as: "localhost") == ["127.0.0.1"].compactMap { IPAddress($0) })
        #expect(
            routes.places(of: "n2.example").map { Self.words(HBARule(.host, databases: [.all], users: [.all], from: $0, method: "md5")) } == [
                "host all all n2.example md5", "host all all 10.77.0.12/32 md5", "host all all 127.0.0.1/32 md5",
            ])
        #expect(routes.places(of: "10.77.0.12").count == 2)
    }
}
