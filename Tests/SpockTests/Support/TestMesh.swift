import EventLoop
import Foundation
import PostgresClient
import Scratch
import Server
import Spock

/// A mesh of servers of this test run, on loopback: own directory, own ports, gone when the tests are, however they end.
///
/// A ``Guardian`` runs the servers, and stops them and removes their files.
final class TestMesh: Sendable {
    /// The `bin` directory of a PostgreSQL that has Spock, or the stand-in; the tests that need one are left out without it.
    static let binaries = ProcessInfo.processInfo.environment["PGGRAFT_SPOCK_BINDIR"]

    let directory: String
    let ports: [UInt16]
    private let guardian: Guardian

    /// Servers with the database `app` and the extension in it, and no node yet.
    init(servers count: Int) async throws {
        guard let binaries = TestMesh.binaries else { throw UnexpectedAnswer(text: "PGGRAFT_SPOCK_BINDIR is not set") }
        guard let name = mkdtemp(strdup("/tmp/pggraft-spock-XXXXXX")) else { throw POSIXError(.EIO) }
        directory = String(cString: name)
        ports = try freePorts(count)
        guardian = try Guardian(TestMesh.guardScript, [directory, binaries] + ports.map { "\($0)" })
        for index in ports.indices {
            let first: PostgresConnection = try await wait(for: "server \(index + 1) in \(directory)", until: .after(.seconds(120)), every: .milliseconds(50)) {
                guard guardian.isRunning else { throw UnexpectedAnswer(text: "the servers did not start, see \(directory)/log") }
                do { return .found(try await connect(index, database: "postgres")) } catch let error as PostgresError { return .notYet("\(error)") }
            }
            try await first.query("CREATE DATABASE app", deadline: soon)
            await first.close()
            let app = try await connect(index)
            try await app.query("CREATE EXTENSION spock", deadline: soon)
            await app.close()
        }
    }

    private static let guardScript = #"""
        set -eu
        dir=$1 bin=$2
        shift 2
        as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi; }
        finish() {
            for file in "$dir"/*/postmaster.pid; do
                pid=$(head -n 1 "$file" 2>/dev/null) && kill -QUIT "$pid" || :
            done
            wait
            rm -rf "$dir"
        }
        trap finish EXIT
        [ "$(id -u)" != 0 ] || chown postgres "$dir"
        chmod 0755 "$dir"
        cd "$dir"
        exec >"$dir/log" 2>&1
        plugins=
        if "$bin/postgres" --describe-config | grep -q '^output_plugin_libraries'; then
            plugins="output_plugin_libraries = 'pgoutput, test_decoding, spock_output'"
        fi
        as "$bin/initdb" -D template -U postgres -A trust -E UTF8 --locale=C --no-sync
        number=0
        for port; do
            number=$((number + 1))
            as cp -a template "n$number"
            cat >>"n$number/postgresql.conf" <<END
        listen_addresses = '127.0.0.1'
        port = $port
        unix_socket_directories = '$dir'
        shared_preload_libraries = 'spock'
        wal_level = logical
        track_commit_timestamp = on
        max_worker_processes = 32
        max_replication_slots = 16
        max_wal_senders = 16
        max_prepared_transactions = 4
        shared_buffers = 32MB
        fsync = off
        timezone = 'Asia/Kathmandu'
        log_line_prefix = '%m [%p] n$number %a '
        $plugins
        END
            as "$bin/postgres" -D "$dir/n$number" </dev/null &
        done
        while read -r copy port source; do
            as "$bin/pg_basebackup" -D "$copy" -h "$dir" -p "$source" -U postgres --checkpoint=fast --no-sync
            printf '%s\n' "port = $port" "shared_preload_libraries = ''" >>"$copy/postgresql.conf"
            as "$bin/postgres" -D "$dir/$copy" </dev/null &
        done
        """#

    /// How the servers reach each other.
    func dsn(_ index: Int, database: String = "app") -> Conninfo {
        Conninfo(["host": "127.0.0.1", "port": "\(ports[index])", "user": "postgres", "dbname": database])
    }

    func connect(_ index: Int, database: String = "app") async throws -> PostgresConnection {
        try await PostgresConnection.connect(to: dsn(index, database: database), node: "n\(index + 1)", deadline: .after(.seconds(60)))
    }

    /// A physical copy of a server, started as a primary, which runs without Spock.
    func clone(_ index: Int) async throws -> SpockSession {
        let port = try freePort()
        try guardian.tell("clone \(port) \(ports[index])")
        var dsn = dsn(index)
        dsn["port"] = "\(port)"
        let connection: PostgresConnection = try await wait(for: "a clone in \(directory)", until: soon, every: .milliseconds(50)) {
            do { return .found(try await PostgresConnection.connect(to: dsn, node: "clone", deadline: soon)) } catch let error as PostgresError {
                return .notYet("\(error)")
            }
        }
        return SpockSession(try await ServerSession.open(connection, settings: SpockSession.settings, deadline: soon))
    }

    /// A client of the cluster, not of pggraft's.
    func client(_ index: Int) async throws -> PostgresConnection {
        var dsn = dsn(index)
        dsn["application_name"] = "shop"
        return try await PostgresConnection.connect(to: dsn, node: "n\(index + 1)", deadline: .after(.seconds(60)))
    }

    func session(_ index: Int, database: String = "app") async throws -> SpockSession {
        SpockSession(try await ServerSession.open(try await connect(index, database: database), settings: SpockSession.settings, deadline: soon))
    }

    func sessions() async throws -> [SpockSession] {
        var sessions: [SpockSession] = []
        for index in ports.indices { sessions.append(try await session(index)) }
        return sessions
    }

    static func name(_ index: Int) -> NodeName { NodeName(stringLiteral: "n\(index + 1)") }
    static func subscription(from provider: Int, to subscriber: Int) -> SubscriptionName {
        SubscriptionName(stringLiteral: "sub_n\(provider + 1)_n\(subscriber + 1)")
    }

    /// Makes the servers `members` nodes, with `tables` on each, and subscribes every one to every other.
    func join(_ members: [Int], _ sessions: [SpockSession], tables: [SQL] = []) async throws {
        for index in members {
            for table in tables { try await sessions[index].run(table) }
            try await sessions[index].createNode(TestMesh.name(index), dsn: dsn(index), deadline: soon)
        }
        for provider in members {
            for subscriber in members where subscriber != provider {
                let name = TestMesh.subscription(from: provider, to: subscriber)
                try await sessions[subscriber].run("SELECT spock.sub_create(\(name), \(dsn(provider)))")
            }
        }
        for subscriber in members {
            let names = members.filter { $0 != subscriber }.map { TestMesh.subscription(from: $0, to: subscriber) }
            try await sessions[subscriber].waitReplicating(names)
        }
    }
}

extension SpockSession {
    /// Whether this is Spock itself, and not the stand-in.
    func isRealSpock() async throws -> Bool {
        try await run("SELECT comment NOT LIKE '%stand-in%' AS real FROM pg_available_extensions WHERE name = 'spock'").one().get("real")
    }

    /// Waits until a worker runs for every one of `names`.
    func waitReplicating(_ names: [SubscriptionName]) async throws {
        try await wait(for: "\(names) on \(name) to be replicating", until: soon) {
            let statuses = try await subscriptionStatuses(deadline: soon)
            return names.allSatisfy { statuses[$0] == .replicating } ? .found(()) : .notYet("\(statuses)")
        }
    }

    @discardableResult
    func run(_ sql: SQL) async throws -> Rows { try await connection.query(sql, deadline: soon) }
}

/// A deadline that no healthy machine meets.
var soon: Deadline { .after(.seconds(90)) }
