import Bed
import Testing

@Suite("A pair on the bed", .serialized)
struct PairTests {
    @Test func `is a stock primary with empty hosts, whose standbys stream, and whose writers follow the primary`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3)
            #expect(try await bed.psql("db1", "SELECT pg_is_in_recovery(), count(*) FROM app.bulk") == "f|20000")
            #expect(try await bed.psql("db1", "SELECT count(*) FROM pg_roles WHERE rolreplication AND rolname <> 'postgres'") == "0")
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db2")
            #expect(try await bed.psql("db1", "SELECT application_name, state FROM pg_stat_replication") == "db2|streaming")
            #expect(try await bed.psql("db2", "SELECT application_name, state FROM pg_stat_replication") == "db3|streaming")

            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo() }
            try await bed.host("db1").stopPostgres()
            try await bed.psql("db2", "SELECT pg_promote()", database: "postgres")
            let before = try writers.ledger().acknowledged
            try await eventually("a writer to be acknowledged by the new primary", within: .seconds(60)) { try writers.ledger().acknowledged > before }
            let ledger = try await writers.stop()
            let verification = try await ledger.verify(on: ["db2"], of: bed, drained: false)
            #expect(verification.nodes["db2"]?.doubled == [])
            // db2 was asynchronous: nothing is promised, but that it is whole up to a point.
            #expect(verification.nodes["db2"]?.unexplained == [])
        }
    }
}
