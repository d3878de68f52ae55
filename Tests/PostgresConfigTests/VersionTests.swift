import PostgresConfig
import Testing

@Suite("Versions") struct VersionTests {
    @Test("are read from PG_VERSION, program output and server_version_num", arguments: [
        ("15", "15"), ("9.6", "9.6"), ("15.18", "15"), ("9.6.24", "9.6"), ("18beta1", "18"), ("10.23", "10"),
    ])
    func text(text: String, expected: String) {
        #expect(MajorVersion(text)?.description == expected)
    }

    @Test("of nothing are nothing", arguments: ["", "x", "9", ".5", "-1"])
    func invalid(text: String) {
        #expect(MajorVersion(text) == nil)
    }

    @Test("server_version_num", arguments: [(150018, "15"), (90624, "9.6"), (100001, "10"), (90100, "9.1")])
    func number(number: Int, expected: String) {
        #expect(MajorVersion(serverVersionNumber: number).description == expected)
    }

    @Test("the table of differences", arguments: [
        ("9.3", "pg_xlog", false, false, true), ("9.6", "pg_xlog", true, false, true), ("10", "pg_wal", true, true, true),
        ("11", "pg_wal", true, true, true), ("12", "pg_wal", true, true, false), ("18", "pg_wal", true, true, false),
    ])
    func features(version: String, wal: String, fileSettings: Bool, hbaRules: Bool, recoveryConf: Bool) throws {
        let features = ServerFeatures(try #require(MajorVersion(version)))
        #expect(features.walDirectory == wal)
        #expect(features.hasFileSettingsView == fileSettings)
        #expect(features.hasHBARulesView == hbaRules)
        #expect((features.standbyMarker == .recoveryConf) == recoveryConf)
    }

    @Test("a standby's minima")
    func minima() throws {
        #expect(ServerFeatures(.postgres(15)).hotStandbyMinima
            == ["max_connections", "max_prepared_transactions", "max_locks_per_transaction", "max_worker_processes", "max_wal_senders"])
        #expect(!ServerFeatures(.postgres(11)).hotStandbyMinima.contains("max_wal_senders"))
    }
}
