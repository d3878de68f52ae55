import Bed
import PgBackRest
import ProcedureKit
import Rehearsal
import RemoteHost
import Report
import Run
import Testing

/// A second procedure on the parts that procedures share.
@Suite("A hot standby", .serialized)
struct HotStandbyTests {
    @Test func `is made of the shared parts, streams, and is taken back`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let before = try await looks(bed)
            try await withStore { store in
                let make: @Sendable (RunHeader?) throws -> any Procedure = { _ in try procedure(bed) }
                let ending = try await RunSession(try make(nil), in: store, console: TestConsole()).run()
                guard case .done(let run, _) = ending else { throw BedError.unexpected("it ended as \(ending)") }
                #expect(try await bed.psql("n1", "SELECT state, usename FROM pg_stat_replication WHERE application_name = 'n4'") == "streaming|replicator")
                #expect(try await bed.psql("n4", "SELECT pg_is_in_recovery()") == "t")

                try await bed.psql("n1", "INSERT INTO app.events (node, writer, seq) VALUES ('before the standby reads it', 0, 1)")
                try await eventually("n4 to have what was written on n1", within: .seconds(60)) {
                    try await bed.psql("n4", "SELECT count(*) FROM app.events WHERE node = 'before the standby reads it'") == "1"
                }

                let again = try await RunSession(try make(nil), in: store, console: TestConsole()).plan()
                guard case .mayNotRun = again else { throw BedError.unexpected("once more it ended as \(again)") }

                let undone = try await RunSession.undo(run, in: store, console: TestConsole(), make: make)
                guard case .undone(_, left: let left) = undone else { throw BedError.unexpected("the undo ended as \(undone)") }
                #expect(left == [])
            }
            #expect(try await looks(bed) == before)
        }
    }

    /// What the procedure may change, as it is now.
    private func looks(_ bed: Bed) async throws -> [String] {
        [
            try await bed.psql("n1", "SELECT name, setting FROM pg_file_settings ORDER BY seqno"),
            try await bed.psql("n1", "SELECT application_name FROM pg_stat_replication WHERE application_name = 'n4'"),
            try await bed.psql("n1", "SELECT slot_name FROM pg_replication_slots ORDER BY 1"),
            try await bed.host("n4").run("ls -A \(Bed.dataDirectory) 2>/dev/null || true"),
            try await bed.host("n4").run("ls ~postgres/.pgbackrest /etc/pgbackrest.conf 2>/dev/null || true"),
            try await bed.host("n1").run("ls ~postgres/.pgbackrest /etc/pgbackrest.conf 2>/dev/null || true"),
            try await bed.host("repo").run("find /var/lib/pgbackrest -name backup.info"),
        ]
    }

    private func procedure(_ bed: Bed) throws -> HotStandby {
        func entry(_ name: String, dataDirectory: String? = nil, copyOf: String? = nil) throws -> Roster.Entry {
            Roster.Entry(
                name: name, ssh: name, address: try bed.host(name).address, dataDirectory: try dataDirectory.map(HostPath.init(checking:)),
                binDirectory: try HostPath(checking: bed.binaryDirectory), copyOf: copyOf)
        }
        let repository = try bed.host("repo").address
        let order = BackRestCopy.Order(
            stanza: try #require(StanzaName("pair")),
            repository: .host(ssh: "repo", address: repository, path: try HostPath(checking: "/var/lib/pgbackrest"), user: "postgres"), replicationUser: "replicator")
        let roster = Roster(
            [try entry("n1"), try entry("n4", dataDirectory: Bed.dataDirectory, copyOf: "n1")],
            otherHosts: [Roster.Entry(name: "repo", ssh: "repo", address: repository)], database: "app", role: "spock_admin")
        let passwords = try readFile(bed.pgpass).split(separator: "\n").map { $0.split(separator: ":") }, config = bed.sshConfig
        let ways = Ways(askPassword: { role in passwords.first { $0.count == 5 && $0[3] == role }.map { String($0[4]) } }) {
            try await SSHHost.connect(SSHTarget($0, configFile: config), name: $1, deadline: $2)
        }
        return HotStandby("n4", of: "n1", in: roster, cluster: "pair", copying: order, ways)
    }
}
