import EventLoop
import Foundation
import Report
import Scratch
import Testing

@testable import RemoteHost

/// A listener on a Unix-domain socket that says to each who comes as which user the kernel knows it, and then sends back what it gets.
private final class NamingListener: Sendable {
    let directory: TemporaryDirectory
    let path: HostPath
    private let socket: Descriptor

    init() throws {
        directory = try TemporaryDirectory(mode: 0o755)
        path = try #require(HostPath(directory.path + "/.s.PGSQL.1"))
        socket = Descriptor(owning: Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.path.utf8) }
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) + Glibc.listen(socket.raw, 64) }
        }
        guard result == 0, chmod(path.path, 0o777) == 0 else { throw SystemFailure(code: errno) }
        Thread.detachNewThread { [raw = dup(socket.raw)] in
            defer { close(raw) }
            while case let connection = accept(raw, nil, nil), connection >= 0 {
                Thread.detachNewThread { Self.serve(Descriptor(owning: connection)) }
            }
        }
    }

    deinit { shutdown(socket.raw, Int32(SHUT_RDWR)) }

    private static func serve(_ connection: Descriptor) {
        // struct ucred, which is declared for _GNU_SOURCE only: pid, uid, gid.
        var peer: (Int32, UInt32, UInt32) = (0, 0, 0), length = socklen_t(12)
        getsockopt(connection.raw, SOL_SOCKET, SO_PEERCRED, &peer, &length)
        func put(_ bytes: ArraySlice<UInt8>) -> Bool {
            var rest = bytes
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { send(connection.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
        guard put(Array("\(peer.1) ".utf8)[...]) else { return }
        var chunk = [UInt8](repeating: 0, count: 65536)
        while case let count = recv(connection.raw, &chunk, chunk.count, 0), count > 0 { guard put(chunk[..<count]) else { return } }
    }
}

@Suite(.fewAtATime) struct SocketForwardTests {
    /// Sends `bytes` and the end, while reading everything that comes back.
    private func exchange(_ forwarded: ForwardedPort, _ bytes: [UInt8]) async throws -> [UInt8] { try await TestClient(forwarded.address, forwarded.port).exchange(bytes) }

    private func id(of user: String) throws -> UInt32 { try #require(getpwnam(user)).pointee.pw_uid }

    @Test(
        "by the local host the server sees the user that was asked for", .enabled(if: getuid() == 0, "another OS user can be become by root only"), arguments: ["root", "postgres"])
    func local(user: String) async throws {
        let listener = try NamingListener(), host = LocalHost(name: "here")
        let forwarded = try await host.forward(toSocket: listener.path, as: user)
        #expect(String(decoding: try await exchange(forwarded, Array("hello".utf8)), as: UTF8.self) == "\(try id(of: user)) hello")
        #expect(await forwarded.lastError == nil)
        await forwarded.close()
    }

    @Test(
        "over SSH, too: by sshd itself as the user who logged in, by a program as another one, or where sshd may not",
        .enabled(if: getuid() == 0, "another OS user can be become by root only"), arguments: [("root", "yes"), ("root", "no"), ("postgres", "yes")])
    func ssh(user: String, isAllowed: String) async throws {
        let server = try await TestSSHServer(settings: ["AllowStreamLocalForwarding \(isAllowed)"]), listener = try NamingListener()
        try await withHost(server) { host in
            let forwarded = try await host.forward(toSocket: listener.path, as: user)
            #expect(String(decoding: try await exchange(forwarded, Array("hello".utf8)), as: UTF8.self) == "\(try id(of: user)) hello")
            // A program of ours on the host would be a session of the server.
            let isDirect = user == "root" && isAllowed == "yes"
            #expect(await forwarded.lastError == nil)
            try await wait(for: "the relay to end", until: .patient) { await host.connection.session.relays == 0 ? .found(()) : .notYet("it is there") }
            let client = try TestClient(forwarded.address, forwarded.port)
            try await wait(for: "the connection", until: .patient) { () -> Look<Void> in
                var byte: UInt8 = 0
                return recv(client.socket.raw, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 1 ? .found(()) : .notYet("nothing")
            }
            #expect(await host.connection.session.relays == (isDirect ? 0 : 1))
            await forwarded.close()
        }
    }

    @Test("much goes through both ways at once", .enabled(if: getuid() == 0, "another OS user can be become by root only"), arguments: ["root", "postgres"])
    func much(user: String) async throws {
        let server = try await TestSSHServer(), listener = try NamingListener()
        try await withHost(server) { host in
            for host in [host as any RemoteHost.Host, LocalHost(name: "here")] {
                let forwarded = try await host.forward(toSocket: listener.path, as: user), expected = Array("\(try id(of: user)) ".utf8)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<4 {
                        group.addTask {
                            let bytes = [UInt8](repeating: UInt8(number), count: 2 << 20)
                            let answer = try await self.exchange(forwarded, bytes)
                            #expect(Data(answer) == Data(expected + bytes))
                        }
                    }
                    // Commands have their own way beside it.
                    group.addTask { try await host.require(Command("true").as(user), deadline: .patient) }
                    try await group.waitForAll()
                }
                await forwarded.close()
            }
        }
    }

    @Test("as many connections as leave room for programs; one more is told why, at once", .enabled(if: getuid() == 0, "another OS user can be become by root only"))
    func room() async throws {
        let server = try await TestSSHServer(), listener = try NamingListener()
        try await withHost(server) { host in
            let forwarded = try await host.forward(toSocket: listener.path, as: "postgres")
            var clients: [TestClient] = []
            for _ in 0..<6 {
                let client = try TestClient(forwarded.address, forwarded.port)
                let count = try await OffLoop.run("a byte", until: .patient) { () -> Int in
                    var byte: UInt8 = 0
                    return recv(client.socket.raw, &byte, 1, 0)
                }
                #expect(count == 1)
                clients.append(client)
            }
            await #expect(throws: SystemFailure.self) { try await exchange(forwarded, [1]) }
            guard case .channelRefused(_, let detail) = await forwarded.lastError else { throw TestSSHServer.SetupFailed("\(String(describing: await forwarded.lastError))") }
            #expect(detail == "6 connections to a socket have a session each already")
            try await host.require(Command("true").as("postgres"), deadline: .patient)
            try await host.require(Command("true"), deadline: .patient)
            await forwarded.close()
        }
    }

    @Test("a socket that is not there, and a user who is not there, are told", .enabled(if: getuid() == 0, "another OS user can be become by root only"))
    func absent() async throws {
        let server = try await TestSSHServer(), path = try #require(HostPath("/nonexistent/.s.PGSQL.1"))
        try await withHost(server) { host in
            for host in [host as any RemoteHost.Host, LocalHost(name: "n1")] {
                let forwarded = try await host.forward(toSocket: path, as: "postgres")
                await #expect(throws: SystemFailure.self) { try await exchange(forwarded, [1]) }
                try await wait(for: "the reason", until: .patient) { await forwarded.lastError == nil ? .notYet("none") : .found(()) }
                #expect(await forwarded.lastError == .socketRefused(host: "n1", path: path, user: "postgres", detail: "/nonexistent/.s.PGSQL.1: No such file or directory"))
                let nobody = try await host.forward(toSocket: path, as: "nobody-here")
                await #expect(throws: SystemFailure.self) { try await exchange(nobody, [1]) }
                try await wait(for: "the reason", until: .patient) { await nobody.lastError == nil ? .notYet("none") : .found(()) }
                #expect(await nobody.lastError == .noSuchUser(host: "n1", user: "nobody-here"))
                await forwarded.close()
                await nobody.close()
            }
        }
    }

    @Test("another user of this machine is turned away", .enabled(if: getuid() == 0, "another OS user can be become by root only"), arguments: ["root", "postgres"])
    func stranger(user: String) async throws {
        let listener = try NamingListener(), host = LocalHost(name: "here")
        let forwarded = try await host.forward(toSocket: listener.path, as: user)
        let line = "exec 3<>/dev/tcp/\(forwarded.address)/\(forwarded.port) && read -t 20 -n 1 answer <&3 && echo \"got $answer\""
        let asNobody = try await host.run(Command("bash", "-c", line).as("nobody"), deadline: .patient)
        #expect(!asNobody.succeeded && asNobody.text.isEmpty)
        try await wait(for: "the reason", until: .patient) { await forwarded.lastError == nil ? .notYet("none") : .found(()) }
        guard case .socketRefused(_, _, _, let detail) = await forwarded.lastError else { throw TestSSHServer.SetupFailed("no error") }
        #expect(detail == "a connection by another local user (uid 65534) was turned away")
        await forwarded.close()
    }

    /// The programs of a host where only some are there.
    private func programs(_ names: [String]) throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory(mode: 0o755)
        for name in ["sh", "env", "grep", "printf"] + names {
            let place = try #require(["/usr/bin", "/bin"].map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }, "\(name) is not installed")
            try FileManager.default.createSymbolicLink(atPath: "\(directory.path)/\(name)", withDestinationPath: place)
        }
        return directory
    }

    @Test("each of the programs that a host may have carries a connection, and says that it was made", arguments: ["perl", "python3", "socat", "nc"])
    func relays(program: String) async throws {
        let listener = try NamingListener(), directory = try programs([program]), host = LocalHost(name: "here")
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0) }
        let command = SocketRelay.command(to: listener.path, as: host.loginUser, nonce: "").with("PATH", directory.path).reading(bytes)
        let result = try await host.require(command, deadline: .patient)
        #expect(Data(result.output) == Data(Array("\(getuid()) ".utf8) + bytes))
        #expect(result.errorText == "")
        let marked = try await host.require(SocketRelay.command(to: listener.path, as: host.loginUser, nonce: "nonce").with("PATH", directory.path), deadline: .patient)
        #expect(String(decoding: marked.output, as: UTF8.self) == "\nnonce\n\(getuid()) ")
        #expect(marked.errorText.wholeMatch(of: #/nonce \d+/#) != nil)
        let nowhere = try #require(HostPath("/nonexistent/.s.PGSQL.1"))
        let refused = try await host.run(SocketRelay.command(to: nowhere, as: host.loginUser, nonce: "nonce").with("PATH", directory.path), deadline: .patient)
        #expect(!refused.succeeded && refused.output.isEmpty && refused.errorText.hasPrefix("/nonexistent/.s.PGSQL.1: "), "\(refused.errorText)")
    }

    @Test("with none of them it is said what would do") func noRelay() async throws {
        let listener = try NamingListener(), directory = try programs([]), host = LocalHost(name: "n1")
        let result = try await host.run(SocketRelay.command(to: listener.path, as: host.loginUser, nonce: "").with("PATH", directory.path), deadline: .patient)
        #expect(result.status == .code(SocketRelay.nothingThere))
        let error = SocketRelay.failure(result, host: "n1", path: listener.path, loginUser: "dba", user: "postgres")
        #expect(error.description.contains("n1: no connection to a Unix-domain socket as postgres: the host has no perl, no python3, no socat and no nc that knows -U"), "\(error)")
        #expect(error.hint == "install perl, python3, socat or an nc that knows -U on the host, or log in as postgres")
        #expect(!error.isOfConnection)
    }
}
