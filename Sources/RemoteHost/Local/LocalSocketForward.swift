internal import CEpoll
internal import EventLoop
import Glibc
import Report

/// A listener whose connections are carried to a Unix-domain socket of this machine: by this process where that is the user's, else by a
/// program that runs as the user (``SocketRelay``).
actor LocalSocketForward {
    private nonisolated let loop = EventLoop.next()
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    nonisolated let local: LocalEndpoint
    private let socket: Descriptor
    private let path: HostPath, user: String, host: String, loginUser: String
    private var connections: [Int32: Descriptor] = [:]
    private(set) var lastError: HostError?

    init(to path: HostPath, as user: String, host: String, loginUser: String) throws {
        (self.path, self.user, self.host, self.loginUser) = (path, user, host, loginUser)
        guard path.path.utf8.count <= SocketRelay.longestPath else {
            throw HostError.socketRefused(host: host, path: path, user: user, detail: "a path of more than \(SocketRelay.longestPath) bytes")
        }
        do {
            (socket, local) = try LocalEndpoint.listen()
        } catch {
            throw HostError.forwardNotOpened(host: host, detail: error.fact)
        }
    }

    isolated deinit { loop.unregister(socket.raw) }

    func begin() {
        socket.setNonBlocking()
        loop.register(socket.raw, for: .readable) { [weak self] _ in self?.assumeIsolated { $0.accept() } }
    }

    func end() {
        loop.unregister(socket.raw)
        shutdown(socket.raw, Int32(SHUT_RDWR))
        for connection in connections.values { shutdown(connection.raw, Int32(SHUT_RDWR)) }
    }

    private func accept() {
        while let (connection, peer) = LocalEndpoint.accept(socket) {
            connections[connection.raw] = connection
            Task {
                if let error = await serve(connection, from: peer) {
                    lastError = error
                    connection.resetOnClose()
                }
                connections[connection.raw] = nil
            }
        }
    }

    /// Carries a connection to its end.
    /// - Returns: why it could not be.
    private func serve(_ connection: Descriptor, from peer: LocalEndpoint) async -> HostError? {
        func refused(_ detail: String) -> HostError { .socketRefused(host: host, path: path, user: user, detail: detail) }
        do {
            if let stranger = try await LocalEndpoint.stranger(from: peer, at: local, until: .after(.seconds(60))) { return refused(stranger) }
            // Whoever carries it waits for it.
            _ = fcntl(connection.raw, F_SETFL, fcntl(connection.raw, F_GETFL) & ~O_NONBLOCK)
            guard user == loginUser else { return try await relay(connection) }
            let path = path.path
            try await Self.thread { try Self.join(connection, to: path) }
            return nil
        } catch {
            return refused(Problem(explaining: error).fact)
        }
    }

    private func relay(_ connection: Descriptor) async throws -> HostError? {
        let command = SocketRelay.command(to: path, as: user, nonce: ""), (child, said) = try Self.start(command.line(loginUser: loginUser), connection)
        let result = try await Self.thread { () -> CommandResult in
            var words: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 4096)
            while case let count = Glibc.read(said.raw, &buffer, buffer.count), count > 0 || (count < 0 && errno == EINTR) { words += buffer[..<max(0, count)] }
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            // What a direction's own process still holds open ends with it. One that never was begins nothing: it is reset.
            if status == 0 || words.isEmpty { shutdown(connection.raw, Int32(SHUT_RDWR)) }
            return CommandResult(status: .code(status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F), errorOutput: words)
        }
        if result.succeeded { return nil }
        return command.refusal(of: result, host: host, loginUser: loginUser)
            ?? SocketRelay.failure(result, host: host, path: path, loginUser: loginUser, user: user)
    }

    /// A program with the connection for both of its streams, and the end of a pipe that it says on what is wrong. It has the only other end.
    private static func start(_ line: String, _ connection: Descriptor) throws -> (child: pid_t, said: Descriptor) {
        let (said, saying) = try LocalProcess.pipe()
        return (try ChildProgram.start("/bin/sh", ["sh", "-c", line], streams: [connection, connection, saying]), said)
    }

    /// The result of `work`, which takes as long as it takes, on a thread of its own.
    private static func thread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try OffLoop.detach { continuation.resume(with: Result { try work() }) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Connects to the socket and copies both ways until both have ended.
    private static func join(_ connection: Descriptor, to path: String) throws {
        let raw = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemFailure(code: errno) }
        let far = Descriptor(owning: raw)
        guard let connected = withUnixAddress(path, { connect(raw, $0, $1) }) else { throw SystemFailure(code: ENAMETOOLONG) }
        guard connected == 0 else { throw SystemFailure(code: errno) }
        try OffLoop.detach {
            copy(connection, far)
            shutdown(far.raw, Int32(SHUT_WR))
        }
        copy(far, connection)
        shutdown(connection.raw, Int32(SHUT_RDWR))
    }

    private static func copy(_ from: Descriptor, _ to: Descriptor) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(from.raw, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            var done = 0
            while done < count {
                let more = buffer.withUnsafeBytes { bytes in send(to.raw, bytes.baseAddress.map { $0 + done }, count - done, Int32(MSG_NOSIGNAL)) }
                if more < 0, errno == EINTR { continue }
                guard more > 0 else { return }
                done += more
            }
        }
    }
}
