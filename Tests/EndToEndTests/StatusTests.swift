import Bed
import EventLoop
import Glibc
import Run
import Testing

/// A pair that is looked at, and watched.
@Suite("The status of a pair", .serialized)
struct StatusTests {
    @Test func `tells what is wrong, and watched with leave to, has commits wait for nobody when their standby has lost power`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2)
            try await bed.standby("db2", of: "db1")
            let someone = try Operator(of: bed, with: "synchronous")
            let well = try await someone.pggraft("status", someone.playbook)
            #expect(well.status == 0, "\(well.standardOutput)\(well.standardError)")
            #expect(well.standardOutput.hasLine("db2 … standby … db1 … async … db2"), "\(well.standardOutput)")
            try await bed.psql("db1", "SELECT pg_create_physical_replication_slot('left_over', true)")
            let slots = try await someone.pggraft("status", "--output", "json", someone.playbook)
            #expect(slots.status == 1 && slots.standardOutput.contains("nobody reads the slot left_over"), "\(slots.standardOutput)\(slots.standardError)")
            let doctor = try await someone.pggraft("doctor", someone.playbook)
            #expect(doctor.status == 1 && doctor.standardOutput.contains("1 finding on db1"), "\(doctor.standardOutput)\(doctor.standardError)")
            #expect(doctor.standardOutput.contains("db1: slot left_over") && doctor.standardOutput.contains("SELECT pg_drop_replication_slot('left_over')"))
            try await bed.psql("db1", "SELECT pg_drop_replication_slot('left_over')")
            let healthy = try await someone.pggraft("doctor", someone.playbook)
            #expect(healthy.status == 0, "\(healthy.standardOutput)\(healthy.standardError)")

            let on = try await someone.pggraft("run", "--yes", someone.playbook)
            try #require(on.status == 0, "\(on.standardOutput)\(on.standardError)")
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo(of: ["db1"]) }
            let watch = try someone.start("status", "--watch", "--interval", "1s", "--degrade-after", "8s", someone.playbook)
            try await bed.host("db2").powerOff()
            try await eventually("commits to wait for nobody", within: .seconds(90)) { try await bed.psql("db1", "SHOW synchronous_standby_names") == "" }
            let freed = try writers.ledger().acknowledged
            try await eventually("commits to return", within: .seconds(30)) { try writers.ledger().acknowledged > freed + 5 }
            // The run that did it is over.
            try await eventually("the journal to say so", within: .seconds(60)) { try someone.entries().contains { $0.event == .ended } }
            watch.signal(SIGINT)
            let output = try await watch.wait(within: .seconds(60))
            #expect(output.status == 130)
            #expect(output.standardError.contains("from now on they wait for no standby (--degrade-after)"), "\(output.standardOutput)\(output.standardError)")
            #expect(output.standardOutput.contains("db2 cannot be reached"), "\(output.standardOutput)")
            #expect(try someone.journals().count == 2)
            let ledger = try await writers.stop(), verification = try await ledger.verify(on: ["db1"], of: bed, drained: false)
            #expect(verification.isClean, "\(verification)")
            report("longest gap of the writers: \(ledger.longestGap())")
        }
    }
}
