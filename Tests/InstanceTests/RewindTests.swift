import EventLoop
import PostgresClient
import PostgresConfig
import RemoteHost
import Scratch
import Testing

@testable import Instance

/// What becomes of a data directory by `pg_rewind`, played by a script.
@Suite("A rewind") struct RewindTests {
    private let source = Conninfo(["host": "db2", "user": "dba", "password": "a secret"])

    /// A cluster whose pg_rewind does what `script` says with the data directory in $data.
    private func target(_ area: ScratchArea, _ script: String) async throws -> Instance {
        let own = try await area.cluster("db1"), programs = area.directory / "bin"
        try await area.host.require(Command("mkdir", programs.path).as("postgres"), deadline: soon)
        let text = "#!/bin/sh\nfor word; do case $word in --target-pgdata=*) data=${word#*=} ;; esac; done\n\(script)\n"
        try await area.host.write(Array(text.utf8), to: programs / "pg_rewind", as: "postgres", mode: FileMode(0o755), deadline: soon)
        return Instance(
            host: own.host, node: own.node, user: own.user, port: own.port, dataDirectory: own.dataDirectory, version: own.version,
            binaries: Binaries(directory: programs, versions: [:]), manager: .pgCtl, debianCluster: nil)
    }

    private func state(_ node: Instance) async throws -> (control: Bool, marked: Bool, spoiled: Bool) {
        let control = try await node.host.stat(node.dataDirectory / "global/pg_control", as: node.user, deadline: soon) != nil
        return (control, try await node.isSealed(deadline: soon), try await node.isSpoiled(deadline: soon))
    }

    @Test func `keeps the node's own configuration and its mark, and knows afterwards that it is done`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let node = try await target(
            area,
            #"[ ! -e "$data/backup_label" ] || exit 1; touch "$data/backup_label"; rm -f "$data/standby.signal"; echo "of the source" >"$data/postgresql.conf"; echo "pg_rewind: rewinding from last common checkpoint"; echo "$PGPASSWORD" >"$data/password"; echo "pg_rewind: Done!""#
        )
        let before = try await node.host.read(node.dataDirectory / "postgresql.conf", as: node.user, deadline: soon), kept = area.directory / "kept"
        // The second time it is not done again.
        for _ in 1...2 {
            _ = try await node.rewind(from: source, keepingIn: kept, restoringWAL: true, deadline: soon)
            #expect(try await node.host.read(node.dataDirectory / "postgresql.conf", as: node.user, deadline: soon) == before)
            #expect(try await state(node) == (true, true, false))
            #expect(try await node.isRewound(keepingIn: kept, deadline: soon))
        }
        #expect(text(try await node.host.read(node.dataDirectory / "password", as: node.user, deadline: soon)) == "a secret\n")
        // Its start takes that away, and what it does then is its own.
        try await node.host.remove(node.dataDirectory / "backup_label", as: node.user, deadline: soon)
        #expect(try await !node.isRewound(keepingIn: kept, deadline: soon))
        _ = try await node.rewind(from: source, keepingIn: kept, restoringWAL: true, deadline: soon)
        #expect(try await node.isRewound(keepingIn: kept, deadline: soon))
    }

    @Test func `that fails before it writes leaves everything as it was`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let node = try await target(area, #"echo "pg_rewind: error: target server needs to use either data checksums or wal_log_hints = on" >&2; exit 1"#)
        let failure = try await failure(node, area)
        #expect(failure.hasSpoiled == false && failure.output.contains("wal_log_hints"))
        #expect(try await state(node) == (true, true, false))
    }

    @Test func `that fails while it writes, or is cut off there, leaves nothing that could be started`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let node = try await target(area, #"echo "pg_rewind: rewinding from last common checkpoint"; [ -e "$data/again" ] || kill -9 $PPID; exit 1"#)
        // Its shell goes with it, as with a host that loses power: nobody has put the control file aside.
        await #expect(throws: (any Error).self) { try await node.rewind(from: source, keepingIn: area.directory / "kept", restoringWAL: false, deadline: soon) }
        let failure = try await failure(node, area)
        #expect(failure.hasSpoiled)
        #expect(try await state(node).control == false)
        #expect(try await state(node).spoiled)
    }

    private func failure(_ node: Instance, _ area: ScratchArea) async throws -> Rewind.Failed {
        do {
            _ = try await node.rewind(from: source, keepingIn: area.directory / "kept", restoringWAL: false, deadline: soon)
        } catch let failed as Rewind.Failed {
            return failed
        }
        throw NotFailed()
    }

    private struct NotFailed: Error {}

    @Test func `is told by words, without the password`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let node = try await area.cluster("db1")
        let command = node.rewindCommand(from: source, keepingIn: area.directory / "kept", restoringWAL: true, configFile: HostPath("/etc/postgresql/15/main/postgresql.conf"))
        #expect(
            Array(command.words.suffix(6)) == [
                "\(ScratchArea.binaries)/pg_rewind", "--target-pgdata=\(node.dataDirectory)", "--source-server=host=db2 user=dba", "--progress", "--restore-target-wal",
                "--config-file=/etc/postgresql/15/main/postgresql.conf",
            ])
        #expect(!command.words.contains { $0.contains("a secret") })
    }
}
