import Foundation
import PostgresConfig
import RemoteHost
import Report
import Run
import Testing

@testable import Procedures

@Suite("What a standby needs of its primary")
struct SenderSettingsTests {
    private func settings(_ changed: [String: String] = [:], _ edit: (inout SenderSettings) -> Void = { _ in }) -> SenderSettings {
        let stock = [
            "listen_addresses": "*", "wal_level": "replica", "max_wal_senders": "10", "max_replication_slots": "10", "archive_mode": "off", "archive_command": "(disabled)",
        ]
        var settings = SenderSettings(
            values: stock.merging(changed) { $1 }, features: ServerFeatures(.postgres(15)), address: "10.77.0.31", isUnreached: false, others: [], slots: 0, moreSenders: 2,
            needsSlot: true, archiveCommand: nil)
        edit(&settings)
        return settings
    }

    private func words(_ settings: SenderSettings) -> [String] { settings.needed.map { "\($0.name)=\($0.value)" } }

    @Test func `is changed where it is insufficient, and what is stronger stays`() {
        #expect(words(settings()) == [])
        #expect(words(settings(["wal_level": "logical", "max_wal_senders": "64", "max_replication_slots": "50"])) == [])
        #expect(words(settings(["wal_level": "minimal", "max_wal_senders": "0"])) == ["wal_level=replica", "max_wal_senders=10"])
        let crowded = settings { $0.others = (3...11).map { "db\($0)" } }
        #expect(words(crowded) == ["max_wal_senders=11"])
        // From 12 on those that are there would end their recovery.
        #expect(crowded.standbysFirst(on: "db1")?.fact.hasPrefix("db1: max_wal_senders has to be 11, and db3, ") == true)
        #expect(settings(["max_wal_senders": "0"]).standbysFirst(on: "db1") == nil)
        #expect(words(settings { $0.slots = 10 }) == ["max_replication_slots=11"])
        #expect(words(settings { ($0.slots, $0.needsSlot) = (10, false) }) == [])
        #expect(words(settings(["wal_level": "minimal"]) { $0.features = ServerFeatures(MajorVersion("9.5") ?? .postgres(15)) }) == ["wal_level=hot_standby"])
    }

    @Test func `listens where the standby looks for it, and no further`() {
        #expect(words(settings(["listen_addresses": "localhost"])) == [])
        #expect(words(settings(["listen_addresses": "localhost"]) { $0.isUnreached = true }) == ["listen_addresses=localhost,10.77.0.31"])
        // It listens, and a firewall is in the way.
        #expect(words(settings(["listen_addresses": "localhost, 10.77.0.31"]) { $0.isUnreached = true }) == [])
        #expect(words(settings { $0.isUnreached = true }) == [])
    }

    @Test func `archives where nobody has decided otherwise`() {
        let command = "cp %p /archive/%f"
        #expect(words(settings { $0.archiveCommand = command }) == ["archive_mode=on", "archive_command=\(command)"])
        #expect(words(settings(["archive_mode": "on", "archive_command": command]) { $0.archiveCommand = command }) == [])
        let other = settings(["archive_mode": "on", "archive_command": "push %p"]) { $0.archiveCommand = command }
        #expect(words(other) == [])
        #expect(other.archiveProblem == "archive_command is 'push %p'")
        #expect(settings(["archive_library": "basic_archive"]) { $0.archiveCommand = command }.archiveProblem == "archive_library is basic_archive")
    }

    /// Run by a shell, as the server does.
    @Test func `a segment is archived whole, once, and never over another one`() throws {
        let directory = NSTemporaryDirectory() + "pggraft archive's \(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(atPath: directory + "/100%", withIntermediateDirectories: true)
        let archive = ArchiveDirectory(path: try #require(HostPath(directory + "/100%")), onStandby: HostPath("/mnt/its archive"), isCleared: true)
        func shell(_ text: String) throws -> Int32 {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", text]
            try process.run()
            process.waitUntilExit()
            return process.terminationStatus
        }
        // As the server replaces it: %p, %f and %%.
        let segment = "\(directory)/segment"
        let command = archive.archiveCommand.replacing("%%", with: "\u{1}").replacing("%p", with: segment).replacing("%f", with: "000000010000000000000001").replacing(
            "\u{1}", with: "%")
        try "one".write(toFile: segment, atomically: true, encoding: .utf8)
        #expect(try shell(command) == 0)
        #expect(try shell(command) == 0)
        try "two".write(toFile: segment, atomically: true, encoding: .utf8)
        #expect(try shell(command) != 0)
        #expect(try String(contentsOfFile: directory + "/100%/000000010000000000000001", encoding: .utf8) == "one")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory + "/100%") == ["000000010000000000000001"])
        #expect(archive.restoreCommand == #"cp '/mnt/its archive'/%f "%p""#)
        #expect(archive.cleanupCommand == "pg_archivecleanup '/mnt/its archive' %r")
    }

    @Test func `hosts that do not match are told apart`() {
        let one = MachinesMatch.Machine("x86_64\nglibc 2.36\n72.1\n")
        func findings(_ text: String) -> [Finding] {
            MachinesMatch.findings(MachinesMatch.Machine(text), one, sorting: ["app (de_DE.UTF-8)"], on: "db2", sender: "db1")
        }
        func words(_ text: String) -> [String] { findings(text).map { "\($0.isMet) \($0.found)" } }
        #expect(words("x86_64\nglibc 2.36\n72.1") == ["true x86_64, glibc 2.36, as db1"])
        #expect(words("aarch64\nglibc 2.36\n72.1") == ["false aarch64, and db1 is x86_64"])
        #expect(words("x86_64\nglibc 2.31\n") == ["true glibc 2.31, and db1 has glibc 2.36", "true ICU none, and db1 has 72.1"])
        guard case .note(let hint?)? = findings("x86_64\nglibc 2.31\n").first?.verdict else {
            Issue.record("it is not told")
            return
        }
        #expect(hint.contains("gives wrong answers, in app (de_DE.UTF-8)") && hint.contains("REINDEX after a promotion"))
    }
}
