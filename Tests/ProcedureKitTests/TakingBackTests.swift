import RemoteHost
import Report
import Run
import Server
import Testing

@testable import PgBackRest
@testable import ProcedureKit

/// What undo does about each state it may find.
@Suite("Taking a copy and a closed window back")
struct TakingBackTests {
    private static let ours = "pgbackrest --stanza=app archive-push %p"

    @Test(
        arguments: [
            (now: ours, before: nil, expected: "restore"),
            (now: ours, before: "", expected: "restore"),
            (now: nil, before: nil, expected: "reload"),
            (now: "", before: "", expected: "reload"),
            (
                now: "cp %p /wal/%f", before: nil,
                expected: "n1: archive_command in postgresql.auto.conf is 'cp %p /wal/%f', which this run did not set: left alone (it was not set before)"
            ),
            (now: nil, before: "", expected: "n1: archive_command in postgresql.auto.conf is not set, which this run did not set: left alone (it was '' before)"),
            (
                now: "SECRET=s3cret push %p", before: nil,
                expected: "n1: archive_command in postgresql.auto.conf is 'SECRET=‹redacted› push %p', which this run did not set: left alone (it was not set before)"
            ),
        ] as [(now: String?, before: String?, expected: String)])
    func `archive_command is put back while it is ours, and named when it is neither ours nor what it was`(_ row: (now: String?, before: String?, expected: String)) {
        let found =
            switch ArchiveCommand(ours: Self.ours, before: row.before).takingBack(from: row.now, on: "n1") {
            case .restore: "restore"
            case .reload: "reload"
            case .left(let problem): problem.fact
            }
        #expect(found == row.expected)
    }

    private static let section = "[app]\npg1-path=/data\nrepo1-path=/repo\n"
    private static let global = "[global]\nlog-level-console=info\n"

    @Test(arguments: [
        (file: section, own: true, expected: "remove"),
        (file: "[app]\npg1-path=/data\n", own: true, expected: "remove"),
        (file: "\n", own: true, expected: "remove"),
        (file: section + "process-max=4\n", own: true, expected: "h: /f, which this run made, holds more than this run wrote: left alone"),
        (file: section + "# mine\n", own: true, expected: "h: /f, which this run made, holds more than this run wrote: left alone"),
        (file: "[app]\npg1-path=/data\nrepo1-path=/other\n", own: true, expected: "h: /f says something else in [app] than this run wrote (line 3, repo1-path): left alone"),
        (file: global + "\n" + section, own: false, expected: global),
        (file: global, own: false, expected: "nothing"),
        (file: global + "\n[app]\nrepo1-path=/other\n", own: false, expected: "h: /f says something else in [app] than this run wrote (line 5, repo1-path): left alone"),
        (file: "[other]\nrepo1-path=/other\n", own: false, expected: "nothing"),
    ])
    func `a configuration file of pgBackRest is taken back as a whole or not at all`(_ row: (file: String, own: Bool, expected: String)) throws {
        let written = WrittenConfiguration(host: "h", user: "postgres", path: "/f", added: ["pg1-path=/data", "repo1-path=/repo"])
        let file = try IniFile(Array(row.file.utf8), path: #require(HostPath("/f")))
        let found =
            switch try written.takingBack(from: file, of: #require(StanzaName("app")), isOwnFile: row.own) {
            case .nothing: "nothing"
            case .remove: "remove"
            case .write(let bytes): String(decoding: bytes, as: UTF8.self)
            case .left(let problem): problem.fact
            }
        #expect(found.split(separator: "\n") == row.expected.split(separator: "\n"))
    }

    @Test func `a secret is taken back by its name, which is all that the journal has of it`() throws {
        let kept = [BackRestOption("pg1-path", "/data"), BackRestOption("repo1-cipher-pass", "s3cret")].map(\.kept)
        #expect(kept == ["pg1-path=/data", "repo1-cipher-pass"])
        let written = WrittenConfiguration(host: "h", user: "postgres", path: "/f", added: kept), stanza = try #require(StanzaName("app")), path = try #require(HostPath("/f"))
        let file = try IniFile(Array("[app]\npg1-path=/data\nrepo1-cipher-pass=whatever it is\n".utf8), path: path)
        #expect(written.takingBack(from: file, of: stanza, isOwnFile: true) == .remove)
        #expect(written.isMissing(in: file, of: stanza) == false)
        #expect(written.isMissing(in: try IniFile(Array("[app]\npg1-path=/data\n".utf8), path: path), of: stanza))
    }

    private static let complete = RestoredDirectory.complete(.init(startLSN: nil, started: true, hasPostmaster: false, isStandby: false))

    @Test(
        arguments: [
            (.absent, [], nil, .nothing),
            (.empty, [], nil, .nothing),
            (complete, ["PG_VERSION"], "7", .copy),
            (complete, ["PG_VERSION"], "8", .other("the cluster with the system identifier 8")),
            (.incomplete(set: "20260101-000000F"), ["backup.manifest"], nil, .copy),
            (.incomplete(set: "20250101-000000F"), ["backup.manifest"], nil, .other("part of the backup 20250101-000000F")),
            (.incomplete(set: nil), ["PG_VERSION"], nil, .other("files that this run did not restore (PG_VERSION)")),
            (.foreign, ["notes.txt"], nil, .other("files that this run did not restore (notes.txt)")),
            // Cut off while it was emptied, and right after a restore began.
            (.foreign, ["global/pg_control"], "7", .copy),
            (.foreign, ["global/pg_control"], "8", .other("the cluster with the system identifier 8")),
            (.foreign, [], nil, .copy),
        ] as [(RestoredDirectory, [String], String?, Holding)])
    func `the data directory is emptied only of the run's own copy, whole or in part`(_ row: (RestoredDirectory, [String], String?, Holding)) {
        #expect(Holding(row.0, files: row.1, system: row.2, copied: ("7", "20260101-000000F")) == row.3)
    }

    @Test(arguments: [
        (now: AlteredSetting(inForce: "off", altered: nil), expected: "nothing"),
        (now: AlteredSetting(inForce: "user", altered: "user"), expected: "open"),
        (now: AlteredSetting(inForce: "local", altered: "local"), expected: "open"),
        (now: AlteredSetting(inForce: "user", altered: nil), expected: "open"),
        (now: AlteredSetting(inForce: "off", altered: "user"), expected: "open"),
        (now: AlteredSetting(inForce: "all", altered: "all"), expected: "n2: spock.readonly is all, which this run did not set: left alone (it was off before)"),
        // Somebody has opened it by hand.
        (now: AlteredSetting(inForce: "off", altered: "off"), expected: "nothing"),
    ])
    func `a node is opened from the mode that the run put it into, and from no other`(_ row: (now: AlteredSetting, expected: String)) {
        let setting = ClosingSetting("spock.readonly", closingValues: ["user", "local"]) { _, _ in .init(value: "user", inForce: "user") }
        let found =
            switch setting.opening("n2", now: row.now, before: AlteredSetting(inForce: "off", altered: nil)) {
            case .nothing: "nothing"
            case .open: "open"
            case .left(let problem): problem.fact
            }
        #expect(found == row.expected)
    }
}
