import Bed
import Foundation
import Run
import Testing

/// db1 and db2 on a bed, one of them the primary and the other its standby, which change their places from round to round.
struct PairUnderLoad: Sendable {
    let bed: Bed
    private(set) var primary = "db1"
    private(set) var standby = "db2"

    static let nodes = ["db1", "db2"]
    /// Those of the group: the third one streams from whoever is the primary.
    let nodes: [String]
    private static let db2 = "    db2:\n      address: 10.77.0.32\n      data_directory: /var/lib/postgresql/15/main\n"
    private static let db3 = "    db3:\n      address: 10.77.0.33\n      data_directory: /var/lib/postgresql/15/main\n"

    /// Brings both up.
    /// - Parameters:
    ///   - hosts: 2, or 3 with another standby beside them.
    ///   - settings: of all, from before the copy on.
    init(_ bed: Bed, hosts: Int = 2, settings: [String] = []) async throws {
        self.bed = bed
        nodes = Array(Bed.pairNodes.prefix(hosts))
        try await bed.pair(hosts: hosts)
        // What pg_rewind needs: without the second one the recovery of a crashed server would take away what it reads.
        for setting in ["wal_log_hints = on", "wal_keep_size = '256MB'"] + settings { try await bed.psql("db1", "ALTER SYSTEM SET \(setting)") }
        try await bed.host("db1").stopPostgres()
        try await bed.host("db1").startPostgres()
        for standby in nodes.dropFirst() { try await bed.standby(standby, of: "db1") }
    }

    /// Brings both up, with nothing on the standby yet.
    init(emptyStandby bed: Bed) async throws {
        self.bed = bed
        nodes = Self.nodes
        try await bed.pair(hosts: 2)
    }

    /// The two in each other's place.
    var swapped: PairUnderLoad {
        var other = self
        other.swap()
        return other
    }

    mutating func swap() { (primary, standby) = (standby, primary) }

    /// A shipped playbook for the two as they are now: the failover of the primary, the rejoin of the standby, the switchover to the standby, and so on.
    /// - Parameter edits: text that stands in it once, and what stands there instead.
    func playbook(_ name: String, of someone: Operator, _ edits: KeyValuePairs<String, String> = [:]) throws -> String {
        let path = try someone.playbook(name, edits)
        var text = try readFile(path).replacing(Self.db3, with: "")
        if nodes.count > 2 { text = text.replacing(Self.db2, with: Self.db2 + Self.db3) }
        text = text.replacing("\nto: db2", with: "\nto: \(standby)").replacing("\nprimary: db1", with: "\nprimary: \(primary)")
            .replacing("\nnode: db1", with: "\nnode: \(standby)").replacing("\nstandbys: FIRST 1 (db2)", with: "\nstandbys: FIRST 1 (\(standby))")
            .replacing("\nstandby: db2", with: "\nstandby: \(standby)")
        try writeFile(text, to: path)
        return path
    }

    /// Commits wait for the standby from now on, or for nobody.
    func synchronous(_ isOn: Bool = true) async throws {
        try await bed.psql(primary, "ALTER SYSTEM SET synchronous_standby_names = '\(isOn ? "FIRST 1 (\(standby))" : "")'")
        try await bed.psql(primary, "SELECT pg_reload_conf()")
        try await eventually("\(standby) to be waited for: \(isOn)", within: .seconds(60)) {
            try await bed.psql(primary, "SELECT sync_state FROM pg_stat_replication WHERE application_name = '\(standby)'") == (isOn ? "sync" : "async")
        }
    }

    /// Clients of the primary, whichever that is; those of one name are told apart from all the others.
    func writers(_ name: String) async throws -> Writers { try await Writers.start(on: [name], of: bed) { _ in try bed.primaryConninfo() } }

    /// Starts the server of a host that had lost power, as an init system would.
    func powerOn(_ node: String, startingServer: Bool = true) async throws {
        let host = try bed.host(node)
        try await host.powerOn()
        try await host.run("install -d -o postgres -g postgres -m 2775 /run/postgresql")
        if startingServer { try await host.startPostgres() }
    }

    /// Expects at most one node of the group to take writes.
    /// - Returns: it.
    @discardableResult
    func expectOneWriterAtMost(_ words: String = "", sourceLocation: SourceLocation = #_sourceLocation) async throws -> String? {
        let writers = try await bed.writable(nodes)
        #expect(writers.count < 2, "two primaries: \(writers) \(words)", sourceLocation: sourceLocation)
        return writers.first
    }

    /// Expects `standby` to stream from `primary`, and only that to take writes.
    func expectPair(_ words: String = "", sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await bed.awaitStreaming(standby, from: primary)
        #expect(try await bed.writable(Self.nodes) == [primary], "\(words)", sourceLocation: sourceLocation)
        for node in Self.nodes { #expect(try await bed.psql(node, "SHOW default_transaction_read_only") == "off", "\(node) \(words)", sourceLocation: sourceLocation) }
    }
}

extension WatchedRun {
    /// Resumes the run, where it has not come to its end by itself.
    func goesOn(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        guard try entries.last?.text != "finished" else { return }
        try await succeeds(["resume", try name], sourceLocation: sourceLocation)
    }
}

extension Writers {
    /// Waits until so many more transactions are acknowledged.
    func goOn(_ more: Int = 20, within deadline: Duration = .seconds(60)) async throws {
        let seen = try ledger().acknowledged
        try await eventually("\(more) more transactions to be acknowledged", within: deadline) { try ledger().acknowledged >= seen + more }
    }
}
