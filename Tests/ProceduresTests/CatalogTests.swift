import Instance
import Playbook
import ProcedureKit
import Report
import Run
import Testing

@testable import Procedures

@Suite("The catalog")
struct CatalogTests {
    private func playbook(_ change: (String) -> String = { $0 }) throws -> Playbook {
        let path = String(#filePath.dropLast("/Tests/ProceduresTests/CatalogTests.swift".count)) + "/playbooks/spock-add-node.yaml"
        return try Playbook.parse(change(try Playbook.load(path: path).text), name: "p.yaml")
    }

    private let catalog = Catalog(Ways { _, name, _ in throw Problem("\(name) is not to be reached here") })

    @Test func `a run is made again from what its journal has kept, whatever its playbook says now`() async throws {
        let first = try catalog.procedure(for: try playbook(), at: "/gone/p.yaml")
        let header = RunHeader(
            run: "r", cluster: first.cluster, procedure: first.name, startedBy: "me@here", steps: first.steps.map(\.id.name), from: try await first.origin())
        #expect(header.playbook == "/gone/p.yaml")
        let again = try catalog.procedure(of: header)
        #expect(again.cluster == first.cluster)
        #expect(again.steps.map { "\($0.id): \($0.title)" } == first.steps.map { "\($0.id): \($0.title)" })
        #expect(try await again.origin() == (try await first.origin()))
    }

    @Test func `a change of one node is made again from its request`() async throws {
        let target = NodeTarget(name: "n1", ssh: "ann@n1", port: 5433, dataDirectory: "/data", manager: .systemd(unit: "postgresql@15-main"))
        let order = ConfigureNode.Order(target: target, request: ConfigurationRequest(.settings([.init("jit", .set, "off")]), restarts: true))
        let header = RunHeader(
            run: "r", cluster: "node-n1-5433", procedure: order.request.procedure, startedBy: "me@here", steps: ["configure"], from: try order.origin())
        #expect(try ConfigureNode.Order(try header.origin()) == order)
        let again = try catalog.procedure(of: header)
        #expect(again.name == "conf-set" && again.cluster == "node-n1-5433" && again.isTakenBackOnFailure)
    }

    static let services: [(said: String, manager: ServiceManager?)] = [
        ("", nil), ("      service: pg_ctl\n", .pgCtl), ("      service: systemd:postgresql@15-main\n", .systemd(unit: "postgresql@15-main")),
    ]

    @Test(arguments: services.indices)
    func `a node that is named by a playbook keeps everything that the playbook says of it`(index: Int) throws {
        let (said, manager) = Self.services[index]
        let text = """
            procedure: add-spock-node
            cluster:
              name: app
              database: app
              user: spock_admin
              os_user: pg
              nodes:
                n1:
                  address: 10.77.0.11
                  port: 5433
                  ssh: ann@db1
                  data_directory: /srv/n1
                  bin_directory: /opt/pg/bin
            \(said)    n2: {address: 10.77.0.12}
            source: n1
            new_node: {name: n4, address: 10.77.0.14, data_directory: /srv/n4}
            copy:
              repository: {host: repo, address: 10.77.0.20}
              replication_user: replicator
            handover: {mode: read-only}
            """
        let (roster, cluster) = try Catalog.roster(of: try Playbook.parse(text, name: "p.yaml"))
        #expect(cluster == "app")
        let target = NodeTarget(
            name: "n1", ssh: "ann@db1", address: "10.77.0.11", port: 5433, osUser: "pg", role: "spock_admin", database: "app", dataDirectory: "/srv/n1",
            binDirectory: "/opt/pg/bin", manager: manager)
        #expect(NodeTarget("n1", in: roster) == target)
        #expect(NodeTarget("repo", in: roster) == nil)
        #expect(roster.entries.map(\.name) == ["n1", "n2", "n4"])
    }
}
