import PostgresClient
import PostgresConfig
import RemoteHost
import Scratch
import Testing

@testable import Instance

@Suite("Rules that the server does not take over", .serialized) struct RefusedRulesTests {
    @Test("are named with its own reason, also where only it can tell", arguments: ScratchArea.versions)
    func refused(binaries: String) async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", binaries: binaries)
        try await n1.start(deadline: soon)
        let connection = try await n1.connect(), file = n1.dataDirectory / "pg_hba.conf"
        let client = HBAConnection(user: "app", database: "app", from: .address(try #require(IPAddress("10.1.1.1"))))
        var judged = 0
        for line in ["host all /^(ab 10.1.1.1/32 trust", "host all \"/[\" all trust", "host all all 10.1.1.1/32 nonsense", "host all /^app$ 10.1.1.1/32 trust"] {
            try await area.host.write(Array("local all all trust\nhost all all 127.0.0.1/32 trust\n\(line)\n".utf8), to: file, as: "postgres", deadline: soon)
            let rows = try await connection.query("SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL", deadline: soon)
            let theirs: [String] = try rows.map { try $0.get("error") }
            let configuration = try await n1.configuration(through: connection, deadline: soon)
            let access = try await n1.accessRules(configuration, through: connection, deadline: soon)
            let decision = try await n1.explain(client, by: access, through: connection, deadline: soon).decision
            guard case .filesRefused(let entries) = decision else {
                #expect(theirs.isEmpty, "\(n1.version): \(line): \(decision)")
                continue
            }
            judged += 1
            #expect(entries.map(\.line) == [3])
            #expect(entries.compactMap(access.reason) == theirs, "\(n1.version): \(line)")
        }
        // Before 16 a slash begins a name like any other.
        #expect(judged == (n1.features.hasHBAIncludes ? 3 : 1))
        await connection.close()
        try await n1.stop(deadline: soon)
    }
}
