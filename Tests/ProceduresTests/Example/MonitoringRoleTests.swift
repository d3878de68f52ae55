import Instance
import PostgresClient
import ProcedureKit
import Rehearsal
import RemoteHost
import Run
import Scratch
import Testing

@testable import Playbook

@Suite("The worked example, a procedure of two steps") struct MonitoringRoleTests {
    /// A role that is not there, and one that is, with a limit of its own.
    @Test(arguments: [[], ["CREATE ROLE monitor CONNECTION LIMIT 7"]] as [[SQL]])
    func `planned, run, killed at every moment, resumed and undone, it leaves what it should`(before: [SQL]) async throws {
        let area = try await ScratchArea(), n1 = try await area.cluster("n1")
        try await n1.start(deadline: soon)
        let connection = try await n1.connect()
        for statement in before { try await connection.script(statement, deadline: soon) }
        await connection.close()
        let ways = Ways { _, name, _ in LocalHost(name: name) }, playbook = Self.playbook(n1)
        let failures = try await EveryMoment(
            of: { header in
                let origin = try header?.origin() ?? RunOrigin(path: nil, content: playbook)
                return try MonitoringRole(try Self.read(origin), from: origin, ways)
            },
            world: { try await n1.ask("SELECT coalesce(string_agg(rolname || ' ' || rolconnlimit, ', ' ORDER BY rolname), '') FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%'") }
        ).failures()
        #expect(failures == [])
        try await n1.stop(mode: .immediate, deadline: soon)
        area.end()
    }

    /// As Playbook reads what begins with `procedure: monitoring-role`, once that stands among its forms.
    private static func read(_ origin: RunOrigin) throws -> Playbook.MonitoringRole {
        try Playbook.read(SourceText(origin.content, name: "example.yaml")) { section in
            _ = section.required("procedure", .choice([(MonitoringRole.name, true)]), example: MonitoringRole.name)
            return Playbook.MonitoringRole(section)
        }
    }

    private static func playbook(_ n1: Instance) -> String {
        """
        procedure: monitoring-role
        cluster:
          name: example
          database: postgres
          user: postgres
          nodes:
            n1: {ssh: here, address: 127.0.0.1, port: \(n1.port), data_directory: \(n1.dataDirectory), bin_directory: \(n1.binaries.directory)}
        node: n1
        """
    }
}
