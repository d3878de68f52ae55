import EventLoop
import Foundation
import Instance
import PostgresClient
import PostgresConfig
import RemoteHost
import Scratch
import Testing

@testable import Server

@Suite("Settings", .serialized) struct SettingTests {
    @Test(arguments: [AlteredSetting(inForce: "off", altered: nil), AlteredSetting(inForce: "local", altered: "user")])
    func `are kept in words, which stand in journals`(setting: AlteredSetting) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let text = String(decoding: try encoder.encode(setting), as: UTF8.self)
        #expect(text == "{" + (setting.altered.map { "\"altered\":\"\($0)\"," } ?? "") + "\"inForce\":\"\(setting.inForce)\"}")
        #expect(try JSONDecoder().decode(AlteredSetting.self, from: Data(text.utf8)) == setting)
    }

    @Test(arguments: ScratchArea.versions)
    func `are altered, seen in force, and put back`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let session = try await pair.session()
        #expect(try await session.alteredSetting("archive_cleanup_command", deadline: soon) == AlteredSetting(inForce: "", altered: nil))
        let before = try await session.now()
        let moment = try await session.alterSystem("archive_cleanup_command", to: "cp %r 'it''s' \\", deadline: soon)
        let after = try await session.now()
        #expect(before.microseconds < moment.microseconds && moment.microseconds < after.microseconds)
        #expect(
            try await session.alteredSetting("archive_cleanup_command", deadline: soon) == AlteredSetting(inForce: "cp %r 'it''s' \\", altered: "cp %r 'it''s' \\"))
        try await session.alterSystem("archive_cleanup_command", to: nil, deadline: soon)
        #expect(try await session.alteredSetting("archive_cleanup_command", deadline: soon) == AlteredSetting(inForce: "", altered: nil))

        // Shown otherwise than written.
        try await session.alterSystem("log_min_duration_statement", to: "120000", expecting: "2min", deadline: soon)
        #expect(
            try await session.alteredSetting("Log_Min_Duration_Statement", deadline: soon) == AlteredSetting(inForce: "2min", altered: "120000"))
        #expect(try await session.settings(["log_min_duration_statement", "no_such_setting"], deadline: soon) == ["log_min_duration_statement": "120000"])
        let late = await #expect(throws: DeadlineExceeded.self) {
            try await session.reload(until: "log_min_duration_statement", is: "3min", deadline: .after(.seconds(2)))
        }
        #expect(late?.waitedFor == "log_min_duration_statement = 3min to be in force on n1")
        #expect(late?.lastSeen == "log_min_duration_statement = 2min")
        try await session.alterSystem("log_min_duration_statement", to: nil, expecting: "-1", deadline: soon)

        let refused = await #expect(throws: ServerError.self) { try await session.alterSystem("search_path", to: "a, b", deadline: soon) }
        guard case .listSetting("n1", "search_path") = refused else {
            Issue.record("\(String(describing: refused))")
            return
        }
        #expect(try await session.alteredSetting("search_path", deadline: soon).altered == nil)
        await session.connection.close()
    }

    @Test func `that were put back are in force when the files were read, and not before`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1")
        try await n1.start(deadline: soon)
        let session = try await ServerSession.open(try await n1.connect(), deadline: soon)
        try await session.reload(until: "archive_command", is: nil, deadline: soon)
        // Of a file that is no configuration nothing is taken.
        try await area.append("this is no setting\n", to: n1.dataDirectory / "postgresql.conf")
        let late = await #expect(throws: DeadlineExceeded.self) {
            try await session.alterSystem("archive_command", to: nil, deadline: .after(.seconds(2)))
        }
        #expect(late?.waitedFor == "n1 to read its configuration files")
        try await n1.stop(mode: .immediate, deadline: soon)
    }

    private static let lists = [
        "search_path": "a, b", "temp_tablespaces": "a, b", "shared_preload_libraries": "a, b", "session_preload_libraries": "a, b", "local_preload_libraries": "a, b",
        "unix_socket_directories": "/tmp, /run", "listen_addresses": "a, b", "synchronous_standby_names": "a, b", "datestyle": "iso, mdy",
        "log_destination": "stderr, csvlog", "wal_consistency_checking": "heap, btree",
    ]

    @Test(arguments: ScratchArea.versions)
    func `that are lists are stored as one element where we refuse them, and as they are where we do not`(binaries: String) async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", binaries: binaries)
        try await n1.start(deadline: soon)
        let session = try await ServerSession.open(try await n1.connect(), deadline: soon)
        for (name, value) in Self.lists.sorted(by: { $0.key < $1.key }) {
            try await session.run(AlteredSetting.alter(name, to: value))
            let stored = try await session.alteredSetting(name, deadline: soon).altered
            #expect(stored == (AlteredSetting.isQuotedList(name, session.features) ? "\"\(value)\"" : value), "\(name)")
            try await session.run(AlteredSetting.alter(name, to: nil))
        }
        try await n1.stop(mode: .immediate, deadline: soon)
    }

    @Test(arguments: ScratchArea.versions)
    func `of the build are those of pg_config`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries), session = try await pair.session()
        let build = try await session.build(["PKGLIBDIR", "SHAREDIR", "NOTHING"], deadline: soon)
        for (name, option) in [("PKGLIBDIR", "--pkglibdir"), ("SHAREDIR", "--sharedir")] {
            let answer = try await pair.area.host.require(Command(binaries + "/pg_config", option).as("postgres"), deadline: soon).text
            #expect(build[name] == answer)
        }
        #expect(build.count == 2)
        await session.connection.close()
    }
}
