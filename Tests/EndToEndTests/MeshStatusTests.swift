import Bed
import EventLoop
import Foundation
import Glibc
import Testing

/// A Spock cluster that is looked at, and watched.
@Suite("The status of a Spock cluster", .serialized)
struct MeshStatusTests {
    @Test func `tells what is wrong, and is watched through a subscription that is disabled and a node that is frozen`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed)
            let well = try await someone.pggraft("status", someone.playbook)
            #expect(well.status == 0, "\(well.standardOutput)\(well.standardError)")
            for line in ["n1 … member … off … 0 ", "n4 … no member", "sub_n1_n2 … n1 … n2 … replicating … yes"] {
                #expect(well.standardOutput.hasLine(line), "\(line): \(well.standardOutput)")
            }

            let watch = try someone.start("status", "--watch", "--output", "json", someone.playbook)
            async let watched = watch.wait(within: .seconds(300))
            try await seen(bed, on: ["n1", "n2", "n3"])
            try await bed.psql("n2", "SELECT spock.sub_disable('sub_n1_n2')")
            try await eventually("the slot to be unread", within: .seconds(30)) {
                try await bed.psql("n1", "SELECT NOT active FROM pg_replication_slots WHERE slot_name LIKE '%sub_n1_n2'") == "t"
            }
            let disabled = try await someone.pggraft("status", someone.playbook)
            #expect(disabled.status == 1)
            #expect(disabled.standardOutput.contains("sub_n1_n2 (n1 to n2) is disabled: nobody reads its slot"), "\(disabled.standardOutput)\(disabled.standardError)")
            try await seen(bed, on: ["n1", "n2"])
            try await bed.psql("n2", "SELECT spock.sub_enable('sub_n1_n2')")
            try await bed.waitUntilWhole()
            try await seen(bed, on: ["n1", "n2"])

            // Nothing answers there, and nothing is refused either.
            try await bed.host("n3").freeze()
            try await seen(bed, on: ["n1", "n2"], looks: 4)
            try await bed.host("n3").thaw()
            try await seen(bed, on: ["n3"])
            try await bed.host("n3").stopPostgres()
            let stopped = try await someone.pggraft("status", someone.playbook)
            #expect(stopped.status == 1 && stopped.standardOutput.contains("n3 cannot be asked"), "\(stopped.standardOutput)\(stopped.standardError)")
            try await bed.host("n3").startPostgres()
            try await bed.waitUntilWhole()
            try await seen(bed, on: ["n3"])
            watch.signal(SIGINT)
            let output = try await watched
            #expect(output.status == 130)
            let screens = output.standardOutput.split(separator: "\n").map(String.init)
            #expect(screens.count { $0.contains("sub_n1_n2 (n1 to n2) is disabled") } > 0, "\(screens)")
            #expect(screens.count { $0.contains("n3 has given no answer for") } >= 2, "\(screens)")
            let frozen = try #require(screens.first { $0.contains("n3 has given no answer for") })
            #expect(frozen.contains(#""node":"n1","position""#), "the others are shown: \(frozen)")
            let first = try #require(screens.first { $0.contains(#""problems":[]"#) }), object = try JSONSerialization.jsonObject(with: Data(first.utf8)) as? [String: Any]
            #expect((object?["subscriptions"] as? [Any])?.count == 6)
        }
    }

    /// Waits until a watch has looked at each of `nodes` so many times from now on.
    private func seen(_ bed: Bed, on nodes: [String], looks: Int = 2) async throws {
        for node in nodes {
            var last = try await bed.psql(node, "SELECT clock_timestamp()")
            for _ in 0..<looks {
                try await eventually("a look at \(node)", within: .seconds(60)) {
                    let newer = try await bed.psql(node, "SELECT max(query_start) FROM pg_stat_activity WHERE application_name = 'pggraft status' AND query_start > '\(last)'")
                    if !newer.isEmpty { last = newer }
                    return !newer.isEmpty
                }
            }
        }
    }
}
