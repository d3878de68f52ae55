import EventLoop
import FoundationEssentials
import Glibc
import PostgresClient
import RemoteHost
import Report
import Scratch
import Synchronization
import Testing

@testable import PgBackRest

/// Real pgBackRest and PostgreSQL 15 on this machine, in a directory of their own under /tmp.
///
/// Servers run as `postgres`, as on a real host; that takes root.
private struct Rig: Sendable {
    static let bin = "/usr/lib/postgresql/15/bin"
    static var isPossible: Bool { getuid() == 0 && access("\(bin)/postgres", X_OK) == 0 && access("/usr/bin/pgbackrest", X_OK) == 0 }

    let host = LocalHost(name: "n1")
    let root: HostPath
    let port: UInt16
    let targetPort: UInt16

    static func withRig(_ body: (Rig) async throws -> Void) async throws {
        let host = LocalHost(name: "n1")
        let made = try await host.require(Command("mktemp", "-d", "/tmp/pggraft-backrest.XXXXXX").as("postgres"), deadline: .after(.seconds(30)))
        let ports = try freePorts(2), rig = Rig(root: try path(made.text), port: ports[0], targetPort: ports[1])
        do {
            try await body(rig)
        } catch {
            try await rig.tearDown()
            throw error
        }
        try await rig.tearDown()
    }

    var deadline: Deadline { .after(.seconds(180)) }
    var source: HostPath { root / "n1" }
    var target: HostPath { root / "n4" }

    func layout(_ name: String = "n1", source directory: HostPath? = nil, sourcePort: UInt16? = nil) throws -> BackRestLayout {
        let ssh = SSHEndpoint(address: "127.0.0.1", user: "postgres")
        return BackRestLayout(
            stanza: try stanza(name), repository: .sharedDirectory(root / "repo"),
            source: BackRestInstance(
                ssh: ssh, dataDirectory: directory ?? source, port: sourcePort ?? port, socketDirectory: root,
                configuration: root / "\((directory ?? source).name).conf"),
            target: BackRestInstance(
                ssh: ssh, dataDirectory: target, port: targetPort, socketDirectory: root, configuration: root / "n4.conf"))
    }

    @discardableResult
    func run(_ words: String...) async throws -> String { try await run(words: words) }

    @discardableResult
    func run(words: [String]) async throws -> String {
        try await host.require(Command(words: words, user: "postgres"), deadline: deadline).text
    }

    /// What a host that already uses pgBackRest has in its file.
    private var existingConfiguration: String {
        "# ours\n[global]\nlog-path=\(root)/log\nlock-path=\(root)/lock\nlog-level-file=off\nrepo1-path=/nonexistent\n"
    }

    func configure(_ layout: BackRestLayout) async throws {
        for role in layout.roles {
            let file = try #require(layout.backRest(for: role).configuration)
            try await host.write(Array(existingConfiguration.utf8), to: file, as: "postgres", mode: 0o640, deadline: deadline)
            let existing = BackRestConfiguration(try IniFile(Array(existingConfiguration.utf8), path: file))
            let (configuration, added) = try existing.adding(layout.options(for: role), to: layout.stanza)
            #expect(added == layout.options(for: role))
            try await host.write(configuration.file.bytes, to: file, as: "postgres", deadline: deadline)
        }
    }

    func initialise(_ directory: HostPath, port: UInt16, archiveCommand: String) async throws {
        try await run("\(Rig.bin)/initdb", "-D", directory.path, "-A", "trust", "-N")
        try await append(
            "port = \(port)\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '\(root)'\nfsync = off\n"
                + "archive_mode = on\narchive_command = '\(archiveCommand)'\n",
            to: directory / "postgresql.conf")
        try await start(directory)
    }

    func append(_ text: String, to file: HostPath) async throws {
        let content = try #require(try await host.read(file, as: "postgres", deadline: deadline))
        try await host.write(content + Array(text.utf8), to: file, as: "postgres", deadline: deadline)
    }

    func start(_ directory: HostPath, environment: [String] = []) async throws {
        try await run(words: ["env"] + environment + ["\(Rig.bin)/pg_ctl", "-D", directory.path, "-l", directory.path + ".log", "-w", "-t", "120", "start"])
    }

    func stop(_ directory: HostPath) async throws {
        try await run("\(Rig.bin)/pg_ctl", "-D", directory.path, "-m", "immediate", "-w", "stop")
    }

    func sql(_ statement: String, port: UInt16? = nil) async throws -> String {
        try await run("\(Rig.bin)/psql", "-X", "-At", "-h", root.path, "-p", "\(port ?? self.port)", "-d", "postgres", "-c", statement)
    }

    /// Kills the main process of `command` in mid-copy, and returns what it leaves: a worker that would go on writing.
    ///
    /// The worker is stopped, so that the copy is under way for as long as the test needs.
    func killMain(of command: String, _ backRest: BackRest, when ready: () async throws -> Bool) async throws -> [BackRestProcess] {
        let worker = try await wait(for: "the \(command) to be under way", until: deadline, every: .milliseconds(1)) { () -> Look<BackRestProcess> in
            let worker = try await backRest.runningProcesses(on: host, deadline: deadline).first { $0.command == "\(command):local" }
            return worker.map { .found($0) } ?? .notYet("no worker")
        }
        kill(worker.pid, SIGSTOP)
        try await wait(for: "the \(command) to have begun", until: deadline) { try await ready() ? .found(()) : .notYet("not yet") }
        kill(worker.main, SIGKILL)
        let left = try await wait(for: "the main process to be gone", until: deadline) { () -> Look<[BackRestProcess]> in
            let left = try await backRest.runningProcesses(on: host, deadline: deadline)
            return left.contains { $0.pid == worker.main } ? .notYet("still there") : .found(left)
        }
        #expect(left == [worker])
        return left
    }

    func tearDown() async throws {
        for name in try await host.listDirectory(root, as: "postgres", deadline: deadline) ?? [] {
            if try await host.stat(root / name / "postmaster.pid", as: "postgres", deadline: deadline) != nil { try await stop(root / name) }
        }
        try await host.remove(root, recursively: true, deadline: deadline)
    }
}

private final class Recorder<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    var all: [Value] { values.withLock { $0 } }
    func append(_ value: Value) { values.withLock { $0.append(value) } }
}

@Suite(.serialized, .enabled(if: Rig.isPossible, "needs root, PostgreSQL 15 and pgBackRest"))
struct RealBackRestTests {
    @Test(.timeLimit(.minutes(10)))
    func `a backup is taken, restored, continued and started as a standby`() async throws {
        try await Rig.withRig { rig in
            let layout = try rig.layout(), host = rig.host
            let backRest = layout.backRest(for: .source), copier = layout.backRest(for: .target)
            let hosts = BackRestHosts(source: host, target: host)
            try await rig.initialise(rig.source, port: rig.port, archiveCommand: "/bin/true")
            try await rig.configure(layout)
            let system = try #require(UInt64(try await rig.sql("SELECT system_identifier FROM pg_control_system()")))

            // Before anything: everything is fine, and the stanza is not there.
            #expect(try await layout.findRepository(on: hosts, databaseSize: 1 << 20, deadline: rig.deadline).isEmpty)
            #expect(try await layout.findSharedDirectory(on: hosts, nonce: "x1", deadline: rig.deadline).map(\.description.isEmpty) == [false])
            try await rig.run("mkdir", (rig.root / "repo").path)
            #expect(try await layout.findSharedDirectory(on: hosts, nonce: "x1", deadline: rig.deadline).isEmpty)
            #expect(try await host.listDirectory(rig.root / "repo", deadline: rig.deadline) == [])
            #expect(try await layout.findStanza(on: hosts, systemIdentifier: system, deadline: rig.deadline).findings.isEmpty)
            #expect(try await backRest.info(on: host, deadline: rig.deadline).status.code == .missingStanzaPath)

            // The stanza, and archiving into it.
            try await backRest.createStanza(on: host, deadline: rig.deadline)
            try await backRest.createStanza(on: host, deadline: rig.deadline)
            let foreign = try await #require(throws: BackRestError.self) { try await backRest.check(on: host, deadline: rig.deadline) }
            #expect(foreign.reason == .archiveCommandForeign)
            try await rig.append("archive_command = '\(backRest.archiveCommand)'\n", to: rig.source / "postgresql.conf")
            try await rig.run("\(Rig.bin)/pg_ctl", "-D", rig.source.path, "reload")
            _ = try await wait(for: "the new archive_command", until: rig.deadline) {
                let command = try await rig.sql("SHOW archive_command")
                return ArchiveState(mode: "on", command: command, stanza: layout.stanza) == .ready ? .found(()) : .notYet(command)
            }
            try await backRest.check(on: host, deadline: rig.deadline)
            #expect(try await layout.findStanza(on: hosts, systemIdentifier: system, deadline: rig.deadline).findings.isEmpty)
            #expect(
                try await layout.findStanza(on: hosts, systemIdentifier: 1, deadline: rig.deadline).findings
                    == [.stanzaOfAnotherSystem(host: "n1", layout.stanza, found: system, expected: 1)])

            // A full backup of some 200 MB, with progress.
            _ = try await rig.sql("CREATE TABLE t AS SELECT g, repeat(md5(g::text), 6) AS x FROM generate_series(1, 900000) AS g")
            let size = try #require(UInt64(try await rig.sql("SELECT sum(pg_database_size(oid)) FROM pg_database")))
            #expect(size > 190 << 20)
            let backupProgress = Recorder<CopyProgress>()
            let backup = try await backRest.backUp(on: host, processes: 2, bytesTotal: size, deadline: rig.deadline) { backupProgress.append($0) }
            #expect(backupProgress.all.count > 100)
            #expect(backupProgress.all.last?.percent == 100)
            let info = try await backRest.info(on: host, deadline: rig.deadline)
            let found = try #require(info.backups.last)
            #expect(found.label == backup.label)
            #expect(found.size > 190 << 20)
            #expect(try #require(found.repositorySize) < found.size / 2)

            // Restored into an empty place: quotes in primary_conninfo survive.
            #expect(try await RestoredDirectory.inspect(rig.target, on: host, user: "postgres", deadline: rig.deadline) == .absent)
            let conninfo = Conninfo(["host": rig.root.path, "port": "\(rig.port)", "application_name": "it's n4"])
            let options = try RestoreOptions(primaryConninfo: conninfo, set: backup.label, archiveOff: true)
            // Directories alone, with which a restore begins, are in its way.
            for directory in ["base/1", "global", "lost+found"] {
                try await host.require(Command("mkdir", "-p", (rig.target / directory).path).as("postgres"), deadline: rig.deadline)
            }
            #expect(try await RestoredDirectory.inspect(rig.target, on: host, user: "postgres", deadline: rig.deadline) == .directories)
            let inTheWay = try await #require(throws: BackRestError.self) { try await copier.restore(options, on: host, processes: 2, deadline: rig.deadline) }
            #expect(inTheWay.reason == .directoryNotEmpty)
            try await host.require(Command("rm", "-r", rig.target.path).as("postgres"), deadline: rig.deadline)
            let restoreProgress = Recorder<CopyProgress>()
            let restored = try await copier.restore(options, on: host, processes: 2, bytesTotal: found.size, deadline: rig.deadline) {
                restoreProgress.append($0)
            }
            #expect(restored.label == backup.label)
            #expect(restoreProgress.all.last?.bytesDone == found.size)
            #expect(
                try await RestoredDirectory.inspect(rig.target, on: host, user: "postgres", deadline: rig.deadline)
                    == .complete(.init(startLSN: found.startLSN, started: false, hasPostmaster: false, isStandby: true)))
            #expect(info.backup(startingAt: try #require(found.startLSN))?.label == backup.label)

            // A second time: refused without delta, quick with it.
            let refused = try await #require(throws: BackRestError.self) {
                try await copier.restore(options, on: host, processes: 2, deadline: rig.deadline)
            }
            #expect(refused.reason == .directoryNotEmpty)
            let delta = try RestoreOptions(primaryConninfo: conninfo, set: backup.label, delta: true, archiveOff: true)
            #expect(try await copier.restore(delta, on: host, processes: 2, deadline: rig.deadline).label == backup.label)

            // It streams.
            try await rig.append("port = \(rig.targetPort)\n", to: rig.target / "postgresql.conf")
            try await rig.start(rig.target)
            _ = try await wait(for: "the standby to stream", until: rig.deadline) {
                let state = try await rig.sql("SELECT state FROM pg_stat_replication WHERE application_name = 'it''s n4'")
                return state == "streaming" ? .found(()) : .notYet(state)
            }
            #expect(try await rig.sql("SHOW archive_mode", port: rig.targetPort) == "off")
            #expect(try await rig.sql("SHOW restore_command", port: rig.targetPort) == copier.restoreCommand)
            #expect(try await rig.sql("SELECT count(*) FROM t", port: rig.targetPort) == "900000")
            let copy = try await RestoredDirectory.inspect(rig.target, on: host, user: "postgres", deadline: rig.deadline)
            #expect(copy == .complete(.init(startLSN: found.startLSN, started: true, hasPostmaster: true, isStandby: true)))
            let running = try await #require(throws: BackRestError.self) {
                try await copier.restore(delta, on: host, processes: 2, deadline: rig.deadline)
            }
            #expect(running.reason == .serverRunning)

            // Another system in the same stanza is refused.
            let otherPort = try freePort(), other = try rig.layout("n1", source: rig.root / "other", sourcePort: otherPort)
            try await rig.configure(other)
            try await rig.initialise(rig.root / "other", port: otherPort, archiveCommand: other.backRest(for: .source).archiveCommand)
            let mismatch = try await #require(throws: BackRestError.self) {
                try await other.backRest(for: .source).createStanza(on: host, deadline: rig.deadline)
            }
            #expect(mismatch.reason == .stanzaOfAnotherSystem)

            // Undo, with the server running.
            try await backRest.deleteStanza(on: host, deadline: rig.deadline)
            #expect(try await backRest.info(on: host, deadline: rig.deadline).status.code == .missingStanzaPath)
        }
    }

    @Test(.timeLimit(.minutes(10)))
    func `a backup and a restore that are killed go on where they were`() async throws {
        try await Rig.withRig { rig in
            let layout = try rig.layout(), host = rig.host
            let backRest = layout.backRest(for: .source), copier = layout.backRest(for: .target)
            try await rig.configure(layout)
            try await rig.initialise(rig.source, port: rig.port, archiveCommand: backRest.archiveCommand)
            _ = try await rig.sql("CREATE TABLE t AS SELECT g, repeat(md5(g::text), 6) AS x FROM generate_series(1, 900000) AS g")
            try await backRest.createStanza(on: host, deadline: rig.deadline)
            let cutBackup = Task { try await backRest.backUp(on: host, processes: 1, deadline: rig.deadline) }
            let backupLeft = try await rig.killMain(of: "backup", backRest) {
                // From here on there is something to resume.
                let backups = try await host.listDirectory(rig.root / "repo/backup/n1", deadline: rig.deadline) ?? []
                for label in backups where label.hasSuffix("F") {
                    if try await host.stat(rig.root / "repo/backup/n1/\(label)/backup.manifest.copy", deadline: rig.deadline) != nil { return true }
                }
                return false
            }
            await #expect(throws: BackRestError.self) { try await cutBackup.value }
            // Its lock is held by the worker as long as that lives.
            let locked = try await #require(throws: BackRestError.self) { try await backRest.createStanza(on: host, deadline: rig.deadline) }
            #expect(locked.reason == .lockHeld)
            // Ending restores is not ending backups.
            try await backRest.endRunningProcesses(on: host, deadline: rig.deadline)
            #expect(try await backRest.runningProcesses(on: host, deadline: rig.deadline) == backupLeft)
            backupLeft.forEach { kill($0.pid, SIGCONT) }
            try await backRest.end(backupLeft, on: host, deadline: rig.deadline)
            let backup = try await backRest.backUp(on: host, processes: 2, deadline: rig.deadline)
            #expect(backup.warnings.contains { $0.fact.hasPrefix("resumable backup \(backup.label) of same type exists") })

            let options = try RestoreOptions(primaryConninfo: Conninfo(["host": rig.root.path, "port": "\(rig.port)"]), archiveOff: true)
            let cut = Task { try await copier.restore(options, on: host, processes: 1, deadline: rig.deadline) }
            let left = try await rig.killMain(of: "restore", copier) {
                // A second restore into the directory is refused while the first is at work.
                let twice = try await #require(throws: BackRestError.self) {
                    try await copier.restore(options, on: host, processes: 1, deadline: rig.deadline)
                }
                guard case .alreadyRunning = twice else { throw twice }
                return true
            }
            let ended = await #expect(throws: BackRestError.self) { try await cut.value }
            if case .ended(_, "restore", _, .signal("KILL"), _) = ended {} else { Issue.record("ended otherwise: \(String(describing: ended))") }

            left.forEach { kill($0.pid, SIGCONT) }
            try await copier.endRunningProcesses(on: host, deadline: rig.deadline)
            #expect(try await copier.runningProcesses(on: host, deadline: rig.deadline).isEmpty)
            #expect(try await RestoredDirectory.inspect(rig.target, on: host, user: "postgres", deadline: rig.deadline) == .incomplete(set: backup.label))
            await #expect(throws: CommandFailed.self) { try await rig.start(rig.target) }

            let delta = try RestoreOptions(
                primaryConninfo: Conninfo(["host": rig.root.path, "port": "\(rig.port)"]), delta: true, archiveOff: true)
            #expect(try await copier.restore(delta, on: host, processes: 2, deadline: rig.deadline).label == backup.label)
            try await rig.append("port = \(rig.targetPort)\n", to: rig.target / "postgresql.conf")
            try await rig.start(rig.target)
            #expect(try await rig.sql("SELECT count(*) FROM t", port: rig.targetPort) == "900000")
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func `a repository that cannot be written, and a host that cannot be reached, are found`() async throws {
        try await Rig.withRig { rig in
            let hosts = BackRestHosts(source: rig.host, target: rig.host)
            var layout = try rig.layout()
            let find = { (path: HostPath, size: UInt64) in
                layout.repository = .sourceDirectory(path)
                return try await layout.findRepository(on: hosts, databaseSize: size, deadline: rig.deadline)
            }
            let closed = rig.root / "closed", file = rig.root / "file", new = rig.root / "a" / "b"
            try await rig.host.makeDirectory(closed, mode: 0o755, owner: "root", deadline: rig.deadline)
            try await rig.host.write([], to: file, as: "postgres", deadline: rig.deadline)
            #expect(try await find(new, 1 << 20).isEmpty)
            #expect(try await find(closed, 1 << 20) == [.repositoryNotWritable(host: "n1", closed, user: "postgres")])
            #expect(try await find(closed / "x", 1 << 20) == [.repositoryMissing(host: "n1", closed / "x", user: "postgres")])
            #expect(try await find(file, 1 << 20) == [.repositoryMissing(host: "n1", file, user: "postgres")])
            guard case .repositorySpace("n1", new, _, 1 << 60) = try await find(new, 1 << 60).first else {
                Issue.record("an exabyte fits here")
                return
            }

            // Nobody listens on port 1.
            let endpoint = SSHEndpoint(address: "127.0.0.1", user: "postgres", port: 1)
            layout.source.ssh = endpoint
            layout.repository = .sourceDirectory(new)
            let findings = try await layout.findConnections(on: hosts, deadline: rig.deadline)
            guard case .sshRefused("n1", "postgres", endpoint, let message) = findings.first else {
                Issue.record("found \(findings)")
                return
            }
            #expect(message.hasPrefix("ssh: connect to host 127.0.0.1 port 1: "))
        }
    }

    /// The judge is pgBackRest: what it does with the file, the server's environment and `archive_command` is what the look found.
    @Test(.timeLimit(.minutes(5)))
    func `an encrypted stanza that is there is used by what file, environment and archive_command say of it`() async throws {
        try await Rig.withRig { rig in
            let host = rig.host, name = try stanza("n1"), file = rig.root / "here.conf", hosts = BackRestHosts(source: host, target: host), pass = "two words/+="
            let text =
                "[global]\nlog-path=\(rig.root)\nlog-level-file=off\nlock-path=\(rig.root)/lock\nrepo1-path=/nonexistent\nrepo1-cipher-type=aes-256-cbc\n"
                + "[n1]\npg1-path=\(rig.source)\npg1-port=\(rig.port)\npg1-socket-path=\(rig.root)\n"
            try await host.write(Array(text.utf8), to: file, as: "postgres", mode: 0o640, deadline: rig.deadline)
            let command = "pgbackrest --config=\(file) --stanza=n1 --repo1-path=\(rig.root)/repo archive-push %p"
            try await rig.initialise(rig.source, port: rig.port, archiveCommand: command)
            try await rig.stop(rig.source)
            try await rig.start(rig.source, environment: ["PGBACKREST_REPO1_CIPHER_PASS=\(pass)"])
            let system = try #require(UInt64(try await rig.sql("SELECT system_identifier FROM pg_control_system()")))

            func look() async throws -> BackRestLook {
                let called = try #require(BackRestInvocation(try await rig.sql("SHOW archive_command")))
                return try await BackRestLook(
                    BackRestLook.Request(name, user: "postgres", dataDirectory: rig.source, configuration: called.configuration, environment: called.environment), on: host,
                    deadline: rig.deadline)
            }
            let found = try await look()
            var layout = try rig.layout()
            layout.source.configuration = file
            (layout.existing, layout.environment) = (ConfiguredStanza(name, in: found.configuration), [.source: found.configuration.environment])
            #expect(layout.existing?.repositories.map(\.path) == ["\(rig.root)/repo"])
            #expect(layout.existing?.repositories.first?.value("cipher-pass") == pass)
            let looks = [BackRestRole.source: found, .target: found], sockets = [rig.root]
            #expect(layout.findConfiguration(looks, server: 15, sockets: sockets, takesBackup: true).isEmpty)

            let backRest = layout.backRest(for: .source)
            try await backRest.createStanza(on: host, deadline: rig.deadline)
            try await backRest.check(on: host, deadline: rig.deadline)
            let label = try await backRest.backUp(on: host, processes: 2, deadline: rig.deadline).label
            let seen = try await layout.findStanza(on: hosts, systemIdentifier: system, deadline: rig.deadline)
            #expect(seen.findings.isEmpty)
            #expect(seen.info?.cipher == "aes-256-cbc")
            #expect(try await layout.findBackup(label, on: hosts, deadline: rig.deadline).isEmpty)

            // The target's own file is made of it; what it holds is enough to restore.
            let target = layout.backRest(for: .target), own = try #require(target.configuration)
            let (written, added) = try BackRestConfiguration(IniFile([], path: own)).adding(layout.options(for: .target), to: name)
            #expect(added.contains(BackRestOption("repo1-cipher-pass", pass)))
            try await host.write(written.file.bytes, to: own, as: "postgres", mode: 0o600, deadline: rig.deadline)
            let options = try RestoreOptions(primaryConninfo: Conninfo(["host": rig.root.path, "port": "\(rig.port)"]), set: label, archiveOff: true)
            #expect(try await target.restore(options, on: host, processes: 2, deadline: rig.deadline).label == label)

            // A stop, a manifest that is gone, another passphrase.
            try await rig.run("pgbackrest", "--config=\(file)", "--stanza=n1", "stop")
            let stopped = try await look()
            #expect(
                layout.findConfiguration([.source: stopped, .target: found], server: 15, sockets: sockets, takesBackup: true)
                    == [.stopped(host: "n1", name, file: rig.root / "lock/n1.stop")])
            try await rig.run("pgbackrest", "--config=\(file)", "--stanza=n1", "start")
            #expect(try await look().stopFile(of: name) == nil)
            try await host.remove(rig.root / "repo/backup/n1/\(label)/backup.manifest", as: "postgres", deadline: rig.deadline)
            #expect(
                try await layout.findBackup(label, on: hosts, deadline: rig.deadline)
                    == [.damaged(host: "n1", name, repository: 1, message: "backup \(label): requested backup not found")])
            layout.environment = [.source: found.configuration.environment.merging(["PGBACKREST_REPO1_CIPHER_PASS": Secret("another")]) { $1 }]
            let wrong = try await layout.findStanza(on: hosts, systemIdentifier: system, deadline: rig.deadline).findings
            guard case .damaged("n1", name, 1, let message) = wrong.first else {
                Issue.record("found \(wrong)")
                return
            }
            #expect(message.hasPrefix("[FormatError] unable to load info file") || message.hasPrefix("[CryptoError] unable to load info file"))
        }
    }

    @Test func `a program that is not there is said so`() async throws {
        let missing = BackRest(stanza: try stanza("n1"), program: "/nonexistent/pgbackrest")
        let error = try await #require(throws: BackRestError.self) {
            try await missing.installedVersion(on: LocalHost(name: "n1"), deadline: .after(.seconds(30)))
        }
        guard case .notInstalled("n1", "/nonexistent/pgbackrest") = error else { throw error }
    }
}
