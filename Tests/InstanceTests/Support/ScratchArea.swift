import EventLoop
import Foundation
import Instance
import PostgresClient
import RemoteHost

/// A deadline that no healthy machine meets.
var soon: Deadline { .after(.seconds(120)) }

/// A directory of this test, owned by `postgres`, for servers on loopback ports.
///
/// A shell guards it: when this process ends, however it does, the guard stops the servers in it and removes it.
final class ScratchArea: Sendable {
    static let binaries = ProcessInfo.processInfo.environment["PGGRAFT_PG_BINDIR"] ?? "/usr/lib/postgresql/15/bin"

    let host = LocalHost(name: "here")
    let directory: HostPath
    private let guardian: Guardian

    private final class Guardian: @unchecked Sendable {
        let process = Process()
        let lifeline = Pipe()
    }

    struct NoArea: Error {}

    init() async throws {
        let name = try await host.require(Command("mktemp", "-d", "/tmp/pggraft-instance-XXXXXX").as("postgres"), deadline: soon).text
        guard let directory = HostPath(name) else { throw NoArea() }
        self.directory = directory
        guardian = Guardian()
        _ = fcntl(guardian.lifeline.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
        guardian.process.executableURL = URL(fileURLWithPath: "/bin/sh")
        guardian.process.arguments = ["-c", ScratchArea.guardScript, "sh", name]
        guardian.process.standardInput = guardian.lifeline
        guardian.process.standardOutput = FileHandle.nullDevice
        guardian.process.standardError = FileHandle.nullDevice
        try guardian.process.run()
    }

    /// Stops what runs here and removes it. Called at the end of a test, it also keeps the area alive until then.
    func end() {
        guardian.lifeline.fileHandleForWriting.closeFile()
    }

    private static let guardScript = """
        trap '' INT HUP TERM
        read -r _
        for file in "$1"/*/postmaster.pid; do
          pid=$(head -n 1 "$file" 2>/dev/null) || continue
          [ "$(readlink "/proc/$pid/cwd")" = "${file%/*}" ] && kill -QUIT "$pid"
          while [ -d "/proc/$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "${file%/*}" ]; do sleep 0.1; done
        done
        [ -f "$1/debian-cluster" ] && pg_dropcluster --stop 15 "$(cat "$1/debian-cluster")"
        rm -rf "$1"
        """

    /// A data directory made by initdb, that runs on a free port.
    func cluster(_ name: String, settings: String = "") async throws -> Instance {
        let data = directory / name, port = try ScratchArea.freePort()
        try await host.require(
            Command(ScratchArea.binaries + "/initdb", "-D", data.path, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").as("postgres"),
            deadline: soon)
        try await append(ScratchArea.settings(port: port, sockets: directory) + settings, to: data / "postgresql.conf")
        return try await find(InstanceAddress(node: name, port: port, dataDirectory: data))
    }

    static func settings(port: UInt16, sockets: HostPath) -> String {
        """

        port = \(port)
        listen_addresses = '127.0.0.1'
        unix_socket_directories = '\(sockets)'
        fsync = off
        max_wal_senders = 5
        wal_keep_size = 64

        """
    }

    func append(_ text: String, to path: HostPath) async throws {
        let now = try await host.read(path, as: "postgres", deadline: soon) ?? []
        try await host.write(now + Array(text.utf8), to: path, as: "postgres", deadline: soon)
    }

    func find(_ address: InstanceAddress) async throws -> Instance {
        try await Instance.find(address, on: host, deadline: soon)
    }

    /// A copy of a running instance, as pg_basebackup makes it.
    func copy(of source: Instance, to data: HostPath) async throws {
        try await host.require(
            Command(ScratchArea.binaries + "/pg_basebackup", "-h", "127.0.0.1", "-p", "\(source.port)", "-U", "postgres", "-D", data.path, "-c", "fast", "-X", "stream", "--no-sync")
                .as("postgres"), deadline: soon)
    }

    static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { Foundation.close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutableBytes(of: &address) { bytes in
            guard let address = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return false }
            return bind(descriptor, address, length) == 0 && getsockname(descriptor, address, &length) == 0
        }
        guard bound else { throw NoArea() }
        return UInt16(bigEndian: address.sin_port)
    }
}

extension Instance {
    func connect(_ deadline: Deadline = soon) async throws -> PostgresConnection {
        try await PostgresConnection.connect(
            to: Conninfo(["host": "127.0.0.1", "port": "\(port)", "user": "postgres", "dbname": "postgres", "sslmode": "disable"]),
            node: node, deadline: deadline)
    }

    func ask(_ sql: SQL) async throws -> String {
        let connection = try await connect()
        let answer = try await connection.query(sql, deadline: soon).one()
        await connection.close()
        return try answer.get(answer.columns[0])
    }
}

func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
