import EventLoop
import Foundation
import PostgresClient
import Scratch

/// A PostgreSQL of this test run: own directory, own port, gone when the tests are, however they end.
///
/// A ``Guardian`` runs the server, and stops it and removes its files.
final class TestServer: Sendable {
    /// The server most tests share.
    static let shared = Task { try await TestServer() }

    static let alicesPassword = #"pa:ss "wörd" \'quoted'"#
    /// The same as a field of a password file.
    static let alicesPasswordField = alicesPassword.replacing(#"\"#, with: #"\\"#).replacing(":", with: #"\:"#)

    let directory: String
    let port: UInt16
    private let guardian: Guardian

    init() async throws {
        guard let name = mkdtemp(strdup("/tmp/pggraft-pg-XXXXXX")) else { throw POSIXError(.EIO) }
        directory = String(cString: name)
        port = try freePort()
        let binaries = ProcessInfo.processInfo.environment["PGGRAFT_BINDIR"] ?? "/usr/lib/postgresql/15/bin"
        guardian = try Guardian(TestServer.guardScript, [directory, binaries, "\(port)"])
        try await prepare()
    }

    private static let guardScript = #"""
        set -eu
        dir=$1 bin=$2 port=$3
        # Not runuser: that stops itself when a test stops the server, and stays stopped.
        as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi; }
        finish() {
            pid=$(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" && kill -CONT "$pid" || :
            wait
            rm -rf "$dir"
        }
        trap finish EXIT
        [ "$(id -u)" != 0 ] || chown postgres "$dir"
        chmod 0755 "$dir"
        cd "$dir"
        exec >"$dir/log" 2>&1
        as "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync
        as openssl req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=server.test \
            -addext subjectAltName=DNS:server.test -keyout data/server.key -out server.crt
        cat >>data/postgresql.conf <<END
        listen_addresses = '127.0.0.1'
        port = $port
        unix_socket_directories = '$dir'
        ssl = on
        ssl_cert_file = '$dir/server.crt'
        fsync = off
        timezone = 'UTC'
        max_connections = 200
        END
        cat >data/pg_hba.conf <<END
        local   all all                    trust
        host    all postgres  127.0.0.1/32 trust
        host    all trusting  127.0.0.1/32 trust
        host    all alice     127.0.0.1/32 scram-sha-256
        hostssl all encrypted 127.0.0.1/32 trust
        END
        as "$bin/postgres" -D "$dir/data" </dev/null &
        read -r _ || :
        """#

    private func prepare() async throws {
        let first: PostgresConnection = try await wait(for: "the test server in \(directory)", until: .after(.seconds(60)), every: .milliseconds(100)) {
            guard guardian.isRunning else { throw UnexpectedAnswer(text: "the test server did not start, see \(directory)/log") }
            do { return .found(try await connect(onSocket, deadline: .after(.seconds(30)))) } catch let error as PostgresError {
                return .notYet("\(error)")
            }
        }
        try await first.script(
            """
            CREATE ROLE trusting LOGIN;
            CREATE ROLE encrypted LOGIN;
            CREATE ROLE alice LOGIN PASSWORD \(literal: Secret(TestServer.alicesPassword));
            """, deadline: soon)
        try await first.query("CREATE DATABASE trusting OWNER trusting", deadline: soon)
        await first.close()
        try write("127.0.0.1:\(port):postgres:alice:\(Self.alicesPasswordField)\n", to: "pgpass")
        try write("[grafted]\nhost=127.0.0.1\nport=\(port)\ndbname=postgres\nuser=alice\npassword=\(Self.alicesPassword)\n", to: "services")
    }

    /// A file of this server's directory, for its owner only.
    private func write(_ text: String, to name: String) throws {
        let written = FileManager.default.createFile(
            atPath: "\(directory)/\(name)", contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
        guard written else { throw POSIXError(.EIO) }
    }

    /// The superuser on the unix socket.
    var onSocket: Conninfo { Conninfo(["host": directory, "port": "\(port)", "user": "postgres", "dbname": "postgres"]) }

    /// `user` on 127.0.0.1, without TLS.
    func onTCP(_ user: String) -> Conninfo {
        Conninfo(["host": "127.0.0.1", "port": "\(port)", "user": user, "dbname": "postgres", "sslmode": "disable"])
    }

    var postmaster: pid_t {
        get throws {
            let file = try String(contentsOfFile: directory + "/data/postmaster.pid", encoding: .utf8)
            guard let pid = file.split(separator: "\n").first.flatMap({ pid_t($0) }) else { throw POSIXError(.ESRCH) }
            return pid
        }
    }

    func connect(_ conninfo: Conninfo? = nil, deadline: Deadline = .after(.seconds(60))) async throws -> PostgresConnection {
        try await PostgresConnection.connect(to: conninfo ?? onSocket, node: "n1", deadline: deadline)
    }

}

/// A deadline that no healthy machine meets.
var soon: Deadline { .after(.seconds(60)) }

extension Conninfo {
    func with(_ keyword: String, _ value: String?) -> Conninfo {
        var copy = self
        copy[keyword] = value
        return copy
    }
}

/// A TCP socket that listens and never says a word.
struct LoopbackListener {
    let descriptor: Int32
    let port: UInt16

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutableBytes(of: &address) { bytes in
            guard let address = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return false }
            return bind(descriptor, address, length) == 0 && listen(descriptor, 8) == 0 && getsockname(descriptor, address, &length) == 0
        }
        guard bound else { throw POSIXError(.EADDRINUSE) }
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin_port)
    }

    func close() { _ = Foundation.close(descriptor) }
}
