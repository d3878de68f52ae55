import EventLoop
import Foundation
import Scratch
import Testing

@testable import RemoteHost

/// A listener of the tests that serves each connection with `serve`, on a thread of its own.
private final class TestListener: Sendable {
    let port: UInt16
    private let socket: Descriptor

    init(serve: @escaping @Sendable (Int32) -> Void) throws {
        let (socket, port) = try Self.listen()
        self.socket = socket
        self.port = port
        Thread.detachNewThread { [raw = dup(socket.raw)] in
            defer { close(raw) }
            while case let connection = accept(raw, nil, nil), connection >= 0 {
                Thread.detachNewThread {
                    serve(connection)
                    close(connection)
                }
            }
        }
    }

    deinit { shutdown(socket.raw, Int32(SHUT_RDWR)) }

    private static func listen() throws -> (Descriptor, UInt16) {
        let socket = Descriptor(owning: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket.raw, $0, length) + Glibc.listen(socket.raw, 64) + getsockname(socket.raw, $0, &length)
            }
        }
        guard result == 0 else { throw TestSSHServer.SetupFailed("no listener: \(SystemFailure(code: errno).fact)") }
        return (socket, UInt16(bigEndian: name.sin_port))
    }
}

/// A blocking client connection of the tests.
final class TestClient: Sendable {
    let socket: Descriptor

    init(_ address: String, _ port: UInt16) throws {
        socket = Descriptor(owning: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0 else { throw SystemFailure(code: errno) }
    }

    /// Sends `bytes` and the end, while reading everything that comes back.
    func exchange(_ bytes: [UInt8]) async throws -> [UInt8] {
        try await OffLoop.run("an answer", until: .patient) { [self] in
            Thread.detachNewThread { [self] in
                var sent = 0
                while sent < bytes.count {
                    let count = bytes.withUnsafeBytes { send(socket.raw, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
                    guard count > 0 else { return }
                    sent += count
                }
                shutdown(socket.raw, Int32(SHUT_WR))
            }
            var all: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = recv(socket.raw, &chunk, chunk.count, 0)
                guard count >= 0 else { throw SystemFailure(code: errno) }
                if count == 0 { return all }
                all += chunk[..<count]
            }
        }
    }
}

@Suite(.fewAtATime) struct ForwardTests {
    /// Sends back all it gets, and ends only after the other side has.
    private static let echo: @Sendable (Int32) -> Void = { connection in
        var chunk = [UInt8](repeating: 0, count: 65536)
        while case let count = recv(connection, &chunk, chunk.count, 0), count > 0 {
            var sent = 0
            while sent < count {
                let more = chunk.withUnsafeBytes { send(connection, $0.baseAddress.map { $0 + sent }, count - sent, Int32(MSG_NOSIGNAL)) }
                guard more > 0 else { return }
                sent += more
            }
        }
    }

    /// On the same number a server of this machine that listens on every address could not start.
    @Test func aPortOfTheHostIsReachedUnderAnotherNumber() async throws {
        let server = try await TestSSHServer()
        let far = try TestListener(serve: Self.echo)
        try await withHost(server) { host in
            let forwarded = try await host.forward(toPort: far.port, address: "127.0.0.1")
            #expect(forwarded.port != far.port)
            #expect(forwarded.address.hasPrefix("127."))
            #expect(forwarded.address != "127.0.0.1")
            // The far side sends its last byte after our end: neither end may end the other.
            #expect(try await TestClient(forwarded.address, forwarded.port).exchange(Array("hello".utf8)) == Array("hello".utf8))
            #expect(await forwarded.lastError == nil)
            await forwarded.close()
        }
    }

    @Test func manyConnectionsAndMuchDataGoThroughAtOnce() async throws {
        let server = try await TestSSHServer()
        let far = try TestListener(serve: Self.echo)
        try await withHost(server) { host in
            let forwarded = try await host.forward(toPort: far.port, address: "127.0.0.1")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let bytes = [UInt8](repeating: UInt8(number), count: 1 << 20)
                        let answer = try await TestClient(forwarded.address, forwarded.port).exchange(bytes)
                        #expect(Data(answer) == Data(bytes))
                    }
                }
                // Commands have their own way beside it.
                group.addTask { try await host.require(Command("true"), deadline: .patient) }
                try await group.waitForAll()
            }
            #expect(await forwarded.lastError == nil)
        }
    }

    @Test func aFarPortThatRefusesResetsTheConnectionAndSaysWhy() async throws {
        let server = try await TestSSHServer()
        let port = try freePort()
        try await withHost(server) { host in
            let forwarded = try await host.forward(toPort: port, address: "127.0.0.1")
            let failure = await #expect(throws: SystemFailure.self) {
                try await TestClient(forwarded.address, forwarded.port).exchange(Array("hello".utf8))
            }
            #expect(failure?.code == ECONNRESET)
            #expect(
                await forwarded.lastError
                    == .forwardRefused(host: "n1", address: "127.0.0.1", port: port, detail: "Channel open failure (connect failed)"))
        }
    }

    @Test func aServerThatForbidsForwardingIsQuoted() async throws {
        let server = try await TestSSHServer(settings: ["AllowTcpForwarding no"])
        try await withHost(server) { host in
            let forwarded = try await host.forward(toPort: server.port, address: "127.0.0.1")
            await #expect(throws: SystemFailure.self) {
                try await TestClient(forwarded.address, forwarded.port).exchange([1])
            }
            guard case .forwardRefused(_, _, _, let detail) = await forwarded.lastError else { throw TestSSHServer.SetupFailed("no error") }
            #expect(detail.contains("administratively prohibited"))
        }
    }

    @Test(.enabled(if: getuid() == 0)) func anotherUserOfThisMachineIsTurnedAway() async throws {
        let server = try await TestSSHServer()
        let far = try TestListener(serve: Self.echo)
        try await withHost(server) { host in
            let forwarded = try await host.forward(toPort: far.port, address: "127.0.0.1")
            let line = "exec 3<>/dev/tcp/\(forwarded.address)/\(forwarded.port) && echo hello >&3 && read -t 20 answer <&3 && echo \"got $answer\""
            let asUs = try await LocalHost().run(Command("bash", "-c", line), deadline: .patient)
            #expect(asUs.text == "got hello", "\(asUs.errorText)")
            let asNobody = try await LocalHost().run(Command("bash", "-c", line).as("nobody"), deadline: .patient)
            #expect(!asNobody.succeeded)
            #expect(asNobody.text.isEmpty)
            guard case .forwardRefused(_, _, _, let detail) = await forwarded.lastError else { throw TestSSHServer.SetupFailed("no error") }
            #expect(detail == "a connection by another local user (uid 65534) was turned away")
        }
    }

    @Test(arguments: [true, false]) func aClosedForwardEndsItsConnections(byHost: Bool) async throws {
        let server = try await TestSSHServer()
        let far = try TestListener(serve: Self.echo)
        try await withHost(server) { host in
            let forwarded = try await host.forward(toPort: far.port, address: "127.0.0.1")
            let client = try TestClient(forwarded.address, forwarded.port)
            let echoed = try await OffLoop.run("an echo", until: .patient) { () -> Int in
                var byte: UInt8 = 1
                return send(client.socket.raw, &byte, 1, 0) == 1 ? recv(client.socket.raw, &byte, 1, 0) : -1
            }
            #expect(echoed == 1)
            if byHost { await host.close() } else { await forwarded.close() }
            // The end comes, as an end or as a reset.
            let count = try await OffLoop.run("the end of the connection", until: .patient) { () -> Int in
                var byte: UInt8 = 0
                return recv(client.socket.raw, &byte, 1, 0)
            }
            #expect(count <= 0)
            try await wait(for: "the forwarded port to refuse connections", until: .patient) { () -> Look<Void> in
                do { _ = try TestClient(forwarded.address, forwarded.port) } catch is SystemFailure { return .found(()) }
                return .notYet("it still takes one")
            }
        }
    }

    @Test func aFarEndThatGoesAwayEndsTheConnection() async throws {
        let server = try await TestSSHServer()
        let far = try TestListener { connection in _ = send(connection, "bye", 3, Int32(MSG_NOSIGNAL)) }
        try await withHost(server) { host in
            let forwarded = try await host.forward(toPort: far.port, address: "127.0.0.1")
            let client = try TestClient(forwarded.address, forwarded.port)
            let text = try await OffLoop.run("the far end's last words", until: .patient) { () -> [UInt8] in
                var all: [UInt8] = []
                var chunk = [UInt8](repeating: 0, count: 100)
                while case let count = recv(client.socket.raw, &chunk, chunk.count, 0), count > 0 { all += chunk[..<count] }
                return all
            }
            #expect(text == Array("bye".utf8))
        }
    }

    @Test func theLocalHostNeedsNoForwarding() async throws {
        let forwarded = try await LocalHost().forward(toPort: 5432, address: "127.0.0.1")
        #expect(forwarded.address == "127.0.0.1")
        #expect(forwarded.port == 5432)
        await forwarded.close()
    }
}
