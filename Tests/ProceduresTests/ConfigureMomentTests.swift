import Instance
import Procedures
import Rehearsal
import Run
import Scratch
import Testing

@Suite("A change of the configuration that is killed between any two lines of its journal") struct ConfigureMomentTests {
    @Test("is gone on with or taken back")
    func everyMoment() async throws {
        let n1 = try await Configured(settings: "work_mem = 8MB\n")
        let wanted = ConfigurationRequest(.settings([.init("work_mem", .set, "16MB")]), restarts: false)
        let failures = try await EveryMoment(
            of: { header in
                let request = try header.map { try ConfigureNode.Order(try $0.origin()).request } ?? wanted
                return ConfigureNode(try n1.node(), request, cluster: "n1")
            },
            world: {
                // A kept file bears the name of its run.
                let kept = try await n1.kept().map { $0.prefix { $0 != "-" } }
                return try await "\(n1.read("postgresql.conf") ?? "") \(kept) \(n1.value("work_mem"))"
            }
        ).failures()
        #expect(failures == [])
        try await n1.end()
    }
}
