import EventLoop
import Foundation
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Scratch
import Testing

@testable import Instance

@Suite("A real server", .serialized) struct ServerTests {
    @Test("starts, is found by its port, restarts with the options it had, and stops")
    func lifecycle() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1")
        #expect(n1.manager == .pgCtl)
        #expect(n1.version == .postgres(15))
        #expect(n1.binaries.directory.path == ScratchArea.binaries)
        #expect(try await n1.status(deadline: soon) == .stopped(.postgres(15), stalePID: nil))
        #expect(try await n1.controlData(deadline: soon).state == .shutDown)

        let started = try await n1.start(deadline: soon)
        #expect(started.phase == .ready)
        #expect(started.port == n1.port)
        #expect(try await n1.start(deadline: soon).pid == started.pid)
        let control = try await n1.controlData(deadline: soon)
        #expect(control.state == .inProduction)
        #expect(try await n1.ask("SELECT system_identifier::text FROM pg_control_system()") == "\(control.systemIdentifier)")
        #expect(try await n1.usage(deadline: soon).totalBytes > 10_000_000)

        let found = try await area.find(InstanceAddress(node: "n1", port: n1.port))
        #expect(found.dataDirectory == n1.dataDirectory)
        #expect(found.binaries == n1.binaries)

        // Started by hand, with an option and a log of its own.
        try await n1.stop(deadline: soon)
        try await n1.stop(deadline: soon)
        #expect(try await n1.status(deadline: soon) == .stopped(.postgres(15), stalePID: nil))
        let log = area.directory / "own.log"
        try await area.host.require(
            Command(ScratchArea.binaries + "/pg_ctl", "start", "-w", "-D", n1.dataDirectory.path, "-l", log.path, "-o", "-c work_mem=7MB").as("postgres"),
            deadline: soon)
        let before = try await n1.postmaster(deadline: soon)
        let after = try await n1.restart(deadline: soon)
        #expect(after.pid != before.pid)
        #expect(try await n1.ask("SELECT current_setting('work_mem') AS value") == "7MB")
        let lines = try #require(text(try await area.host.read(log, as: "postgres", deadline: soon)))
        #expect(lines.components(separatedBy: "database system is ready").count == 3)
        try await n1.stop(mode: .immediate, deadline: soon)
    }

    @Test(
        "that cannot start says why, in its own words",
        arguments: [
            ("shared_preload_libraries = 'no_such_library'\n", "local all all trust\n", "could not access file \"no_such_library\""),
            ("work_mem = lots\n", "local all all trust\n", "invalid value for parameter \"work_mem\": \"lots\""),
            // Here the server's own collector has taken over the log.
            ("logging_collector = on\n", "nonsense\n", "n1: the server on here did not start: could not load pg_hba.conf"),
        ])
    func cannotStart(settings: String, hba: String, said: String) async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", settings: settings)
        try await area.host.write(Array(hba.utf8), to: n1.dataDirectory / "pg_hba.conf", as: "postgres", deadline: soon)
        let error = await #expect(throws: InstanceError.self) { try await n1.start(deadline: soon) }
        let text = try #require(error).description
        #expect(text.hasPrefix("n1: the server on here did not start: "), "\(text)")
        #expect(text.contains(said), "\(text)")
        #expect(text.contains("\n  HINT: "))
        #expect(try await n1.status(deadline: soon).isRunning == false)
    }

    @Test("whose stop waits for an archive command that does not come back is stopped at once, and one that does not stop is left")
    func endStop() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", settings: "archive_mode = on\narchive_command = 'sleep 1000'\n")
        let first = try await n1.start(deadline: soon)
        #expect(try await !n1.endStop(within: .zero, deadline: soon))
        #expect(try await n1.postmaster(deadline: soon).pid == first.pid)
        _ = try await n1.ask("SELECT pg_switch_wal()::text || txid_current()::text")
        await #expect(throws: (any Error).self) { try await n1.stop(mode: .fast, deadline: .after(.seconds(1))) }
        #expect(try await n1.endStop(within: .milliseconds(300), deadline: soon))
        #expect(try await n1.status(deadline: soon).isRunning == false)
        #expect(try await n1.start(deadline: soon).phase == .ready)
        try await n1.stop(mode: .immediate, deadline: soon)
    }

    @Test("that was killed has left a pid file of a dead process, and one of another process is as good as dead")
    func stale() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1")
        let dead = try await n1.start(deadline: soon)
        try await area.host.require(Command("kill", "-KILL", "\(dead.pid)"), deadline: soon)
        try await wait(for: "the server to be gone", until: soon) {
            let status = try await n1.status(deadline: soon)
            return status == .stopped(.postgres(15), stalePID: dead.pid) ? .found(()) : .notYet("\(status)")
        }
        let own = ProcessInfo.processInfo.processIdentifier
        let file = n1.dataDirectory / "postmaster.pid"
        let old = try #require(text(try await area.host.read(file, as: "postgres", deadline: soon)))
        let foreign = old.replacing("\(dead.pid)\n", with: "\(own)\n", maxReplacements: 1)
        try await area.host.write(Array(foreign.utf8), to: file, as: "postgres", deadline: soon)
        #expect(try await n1.status(deadline: soon) == .stopped(.postgres(15), stalePID: own))
        try await area.host.write(Array(old.utf8), to: file, as: "postgres", deadline: soon)
        _ = try await wait(for: "the children of the killed server to end", until: soon) {
            do { return .found(try await n1.start(deadline: soon)) } catch let error as InstanceError { return .notYet("\(error)") }
        }
        try await n1.stop(deadline: soon)
    }

    @Test("reloads what is right, refuses what is wrong, and says what waits for a restart")
    func reload() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1")
        try await n1.start(deadline: soon)
        let connection = try await n1.connect()
        // What its programs say without a data directory, it says itself.
        let built = try await connection.look("SELECT name, setting FROM pg_settings WHERE name IN ('block_size', 'wal_block_size', 'segment_size')", deadline: soon)
        let own = try built.map { row in (try row.get("name", as: String.self), try row.get("setting", as: String.self)) }
        #expect(try await n1.buildSettings(deadline: soon) == Dictionary(uniqueKeysWithValues: own))
        let files = try await n1.configurationFiles(through: connection, deadline: soon)
        #expect(files == (try await n1.configurationFiles(deadline: soon)))

        func put(_ text: String, at path: HostPath) async throws -> ConfigurationEdit {
            let old = try #require(try await area.host.read(path, as: "postgres", deadline: soon))
            let edit = ConfigurationEdit(path: path, before: old, after: old + Array(text.utf8))
            try await edit.apply(on: area.host, as: "postgres", deadline: soon)
            return edit
        }
        func value(_ name: String) async throws -> String {
            try await connection.query("SELECT current_setting(\(name)) AS value", deadline: soon).one().get("value")
        }

        _ = try await put("work_mem = '9MB'\nmax_connections = '33'\n", at: files.autoConfFile)
        let report = try await n1.reload(expecting: ["work_mem": "9MB", "max_connections": "33"], through: connection, deadline: soon)
        #expect(report == ReloadReport(pendingRestart: ["max_connections"]))
        #expect(try await value("work_mem") == "9MB")

        for (text, path, said) in [
            ("work_mem = '8MB'\nsynchronous_standby_names =\n", files.configFile, ": syntax error"),
            ("work_mem = '8MB'\nrandom_page_cost = 'cheap'\n", files.configFile, ": random_page_cost: setting could not be applied"),
            ("no_such_setting = 1\n", files.configFile, ": no_such_setting: unrecognized configuration parameter"),
            ("max_wal_senders = 'many'\n", files.autoConfFile, ": max_wal_senders: setting could not be applied"),
            ("host all all 1.2.3.4/32\n", files.hbaFile, ": end-of-line before authentication method"),
        ] {
            let edit = try await put(text, at: path)
            let error = await #expect(throws: InstanceError.self) { try await n1.reload(through: connection, deadline: soon) }
            guard case .configurationRefused("n1", let problems) = error else {
                Issue.record("\(text) gave \(String(describing: error))")
                continue
            }
            #expect(problems.count == 1)
            #expect(problems.first.map { $0.description.hasPrefix(path.path) && $0.description.contains(said) } == true, "\(problems)")
            #expect(try await value("work_mem") == "9MB")
            try await ConfigurationEdit(path: edit.path, before: edit.after, after: edit.before).apply(on: area.host, as: "postgres", deadline: soon)
        }

        // Useless without TLS, but no error: the lines behind it are in force.
        _ = try await put("hostssl all all all reject\nlocal all nobody reject\n", at: files.hbaFile)
        try await n1.reload(through: connection, deadline: soon)

        // A line that another one overrides does not come into force.
        _ = try await put("work_mem = 5MB\n", at: files.configFile)
        let overridden = await #expect(throws: InstanceError.self) {
            try await n1.reload(expecting: ["work_mem": "5MB"], through: connection, deadline: soon)
        }
        #expect(overridden?.description.contains("work_mem: expected '5MB', but \(files.autoConfFile):") == true, "\(String(describing: overridden))")

        // Gone from the files, it waits for a restart too.
        let auto = try #require(try await area.host.read(files.autoConfFile, as: "postgres", deadline: soon))
        var file = SettingsFile(auto)
        file.remove("max_connections")
        try await area.host.write(file.render(), to: files.autoConfFile, as: "postgres", deadline: soon)
        #expect(try await n1.reload(through: connection, deadline: soon) == ReloadReport(pendingRestart: []))
        await connection.close()
        try await n1.stop(deadline: soon)
    }

    @Test("a command line that overrides the files is told from them")
    func commandLine() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", settings: "work_mem = '5MB'\n")
        try await area.host.require(
            Command(ScratchArea.binaries + "/pg_ctl", "start", "-w", "-D", n1.dataDirectory.path, "-l", (area.directory / "log").path, "-o", "-c work_mem=7MB")
                .as("postgres"), deadline: soon)
        let connection = try await n1.connect()
        let error = await #expect(throws: InstanceError.self) {
            try await n1.reload(expecting: ["work_mem": "5MB"], through: connection, deadline: soon)
        }
        #expect(error?.description.contains("work_mem: expected '5MB', but command line decides") == true)
        await connection.close()
        try await n1.stop(deadline: soon)
    }

    @Test("once started, holds nothing of the channel it was started through")
    func channel() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1")
        var command = n1.startCommand(logTo: n1.defaultStartLog, word: "start", seconds: 100)
        // A pipe ends when nobody holds its other end.
        command.words = ["sh", "-c", "\"$@\" 2>&1 | cat", "sh"] + command.words
        try await area.host.require(command, deadline: soon)
        #expect(try await n1.status(deadline: soon).isRunning)
        #expect(try await area.host.listDirectory(area.directory, as: "postgres", deadline: soon)?.filter { !$0.hasPrefix(".s.") } == ["n1"])
        try await n1.stop(deadline: soon)
    }

    @Test("that is asked for by a port nobody has is not found, and one without programs neither")
    func notFound() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let port = try freePort()
        let nothing = await #expect(throws: InstanceError.self) { try await area.find(InstanceAddress(node: "n9", port: port)) }
        #expect(
            nothing?.description == """
                n9: no PostgreSQL instance with port \(port) on here
                  HINT: give the node's data_directory, or correct its port
                """)
        let noPrograms = await #expect(throws: InstanceError.self) {
            try await area.find(InstanceAddress(node: "n9", dataDirectory: area.directory, binDirectory: HostPath("/nowhere/bin"), version: .postgres(15)))
        }
        #expect(
            noPrograms?.description == """
                n9: no PostgreSQL 15 programs on here (looked in /nowhere/bin)
                  HINT: install the server package of that version, or give the node's bin_directory
                """)
        try await area.host.write(Array("14\n".utf8), to: area.directory / "PG_VERSION", as: "postgres", deadline: soon)
        let wrong = await #expect(throws: InstanceError.self) {
            try await area.find(InstanceAddress(node: "n9", dataDirectory: area.directory, binDirectory: HostPath(ScratchArea.binaries)))
        }
        #expect(wrong?.description.hasPrefix("n9: the programs in \(ScratchArea.binaries) on here are of version 15, the data directory of version 14\n") == true)
    }
}
