import Foundation
import PostgresConfig
import Testing

@Suite("Settings that do not go together, judged by the server's program", .serialized) struct StartConflictTests {
    private static let combinations: [[String: String]] = [
        [:], ["wal_level": "minimal"], ["wal_level": "minimal", "max_wal_senders": "0"], ["wal_level": "minimal", "max_wal_senders": "0", "archive_mode": "on"],
        ["wal_level": "minimal", "max_wal_senders": "0", "archive_mode": "always"], ["archive_mode": "on"], ["superuser_reserved_connections": "99"],
        ["superuser_reserved_connections": "100"], ["max_connections": "3"], ["max_connections": "4"], ["max_connections": "10", "max_wal_senders": "20"],
        ["wal_level": "logical", "max_wal_senders": "0"], ["max_connections": "13", "reserved_connections": "10"], ["max_connections": "14", "reserved_connections": "10"],
        ["wal_level": "minimal", "max_wal_senders": "0", "summarize_wal": "on"], ["summarize_wal": "on"],
    ]

    @Test("are those with which it does not begin to start", arguments: Programs.judges.indices)
    func conflicts(judge: Int) throws {
        let (version, bin) = Programs.judges[judge]
        let directory = try Programs.run(["mktemp", "-d", "/tmp/pggraft-config.XXXXXX"], asPostgres: true).trimmingCharacters(in: .whitespacesAndNewlines)
        defer { do { try FileManager.default.removeItem(atPath: directory) } catch { Issue.record(error) } }
        let data = directory + "/data", names = StartConflict.names(in: version)
        try Programs.run(["\(bin)/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"], asPostgres: true)
        func says(_ name: String, _ values: [String: String]) throws -> String {
            try Programs.run(
                ["\(bin)/postgres", "-C", name, "-D", data] + values.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }, asPostgres: true, accepting: [0, 1],
                isQuiet: true
            ).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        var refused = 0
        for values in Self.combinations where values.keys.allSatisfy(names.contains) {
            // The program knows each value, and only as it begins to start whether they go together.
            let known = try Dictionary(uniqueKeysWithValues: names.map { ($0, try says($0, values)) })
            let starts = try !says("shared_memory_size", values).isEmpty, ours = StartConflict.all(in: version, known)
            #expect(ours.isEmpty == starts, "\(version): \(values): \(ours)")
            refused += starts ? 0 : 1
        }
        #expect(refused > 4)
    }

    @Test("before 12 senders have their places among the connections")
    func older() {
        let values = ["max_connections": "10", "superuser_reserved_connections": "3", "max_wal_senders": "7", "wal_level": "replica", "archive_mode": "off"]
        #expect(!StartConflict.all(in: .postgres(11), values).isEmpty)
        #expect(StartConflict.all(in: .postgres(12), values).isEmpty)
        #expect(StartConflict.all(in: .postgres(11), values.merging(["max_wal_senders": "6"]) { $1 }).isEmpty)
    }
}
