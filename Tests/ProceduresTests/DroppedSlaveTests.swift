import PostgresConfig
import Testing

@testable import Procedures

@Suite("What belongs to a slave that is dropped") struct DroppedSlaveTests {
    @Test(arguments: [
        ("rsync %p node02:/pgxc/datanode1_arclog/%f", true), ("cp %p '/pgxc/datanode1_arclog'", true), ("rsync %p node02:/pgxc/datanode1_arclog2/%f", false),
        ("cp %p /backup/pgxc/datanode1_arclog/%f", false), ("cp %p /pgxc/%f", false), ("", false),
    ]) func `the archive is known by its whole path`(_ command: String, _ isNamed: Bool) {
        #expect(EndArchive.names("/pgxc/datanode1_arclog", in: command) == isNamed)
        #expect(EndArchive.names("/pgxc/datanode1_arclog/", in: command) == isNamed)
    }

    @Test func `only lines for its address and for replication alone are its own`() {
        let file = HBAFile(
            """
            host replication postgres 10.0.0.2/32 trust
            host replication replicator 10.0.0.2 255.255.255.255 md5
            host replication postgres 10.0.0.0/24 trust
            host replication,app postgres 10.0.0.2/32 trust
            host all all 10.0.0.2/32 trust
            host replication postgres 10.0.0.3/32 trust
            host replication postgres 10.0.0.2/32 reject
            host replication postgres node02 md5

            """, for: HBAServer(.postgres(15)))
        #expect(ForbidSlave.rules(for: "10.0.0.2", in: file).map(\.method) == ["trust", "md5"])
        #expect(ForbidSlave.rules(for: "node02", in: file).count == 1)
    }
}
