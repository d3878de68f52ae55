import Bed
import Testing

/// A Postgres-XC cluster that is looked at: the real one where `PGGRAFT_XC_BINDIR` is set, else a stand-in.
@Suite("The status of a Postgres-XC cluster", .serialized)
struct DatanodeStatusTests {
    @Test func `says where each coordinator has each datanode, who is a slave, and what is in doubt`() async throws {
        try await withXC { cluster in
            try await cluster.synchronousSlave()
            let someone = try cluster.failover()
            let text = try readFile(someone.playbook), second = try #require(text.firstRange(of: "    datanode2_slave:\n")),
                end = try #require(text.firstRange(of: "\n# The datanode whose"))
            // There is one slave only.
            try writeFile(String(text[..<second.lowerBound] + text[end.lowerBound...]), to: someone.playbook)

            let well = try await someone.pggraft("status", someone.playbook)
            #expect(well.status == 0, "\(well.standardOutput)\(well.standardError)")
            for line in ["coord1 … coordinator … runs … 0", "datanode1_slave … datanode1 … slave … datanode1 … 0 B … 0", "coord2 … datanode1 … 10.77.0.61:20006 … datanode1 … yes"]
            {
                #expect(well.standardOutput.hasLine(line), "\(line): \(well.standardOutput)")
            }
            // By that line the slave was made.
            let doctor = try await someone.pggraft("doctor", someone.playbook), line = "found   host replication postgres 10.77.0.0/24 trust"
            #expect(doctor.status == 1 && doctor.standardOutput.contains("2 findings on coord1, coord2, datanode1, datanode2 and datanode1_slave."), "\(doctor.standardOutput)")
            #expect(doctor.standardOutput.ranges(of: line).count == 2, "\(doctor.standardOutput)\(doctor.standardError)")

            try await cluster.reach("datanode1", at: "10.77.0.62", port: 20010, on: ["coord2"])
            let split = try await someone.pggraft("status", someone.playbook)
            #expect(split.status == 1)
            let words = "coord2 has datanode1 at 10.77.0.62:20010, which is datanode1_slave; it is datanode1 at 10.77.0.61:20006 that takes writes"
            #expect(split.standardOutput.contains(words) && !split.standardOutput.contains("coord1 has datanode1 at 10"), "\(split.standardOutput)")
            try await cluster.reach("datanode1", at: "10.77.0.61", port: 20006, on: ["coord2"])
            try await cluster.leaveInDoubt()
            let doubtful = try await someone.pggraft("status", "--output", "json", someone.playbook)
            #expect(doubtful.standardOutput.contains(#""in_doubt":2,"is_streaming":false,"lag_bytes":null,"node":"datanode1","#), "\(doubtful.standardOutput)")
            try await cluster.stop("coord1")
            let stopped = try await someone.pggraft("status", someone.playbook)
            #expect(stopped.status == 1 && stopped.standardOutput.contains("coord1 cannot be reached"), "\(stopped.standardOutput)")
        }
    }
}
