internal import CLibSSH2
internal import EventLoop
import Glibc
import Report

/// Connections carried to where the host can reach.
extension SSHSession {
    /// A connection to `port` of `address` as the host sees it.
    /// - Throws: ``HostError/forwardRefused(host:address:port:detail:)``.
    func connectThrough(to address: String, port: UInt16, deadline: Deadline) async throws -> Descriptor {
        try await interruptible(until: deadline) {
            let channel = try await openDirect(.port(port, address: address), deadline: deadline)
            var ends: [Int32] = [-1, -1]
            guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
                closeLater(channel, isSession: false)
                throw HostError.forwardNotOpened(host: host, detail: SystemFailure(code: errno).fact)
            }
            let (near, far) = (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
            users += 1
            Task {
                await pump(far, FarEnd(channel: channel)) { true }
                users -= 1
                wake()
            }
            return near
        }
    }

    /// Where a forwarded connection ends.
    enum ForwardTarget {
        case port(UInt16, address: String)
        case socket(HostPath, user: String, loginUser: String)

        func refused(_ host: String, _ detail: String) -> HostError {
            switch self {
            case .port(let port, let address): .forwardRefused(host: host, address: address, port: port, detail: detail)
            case .socket(let path, let user, _): .socketRefused(host: host, path: path, user: user, detail: detail)
            }
        }
    }

    /// A channel that sshd itself connects, as the user who logged in.
    func openDirect(_ target: ForwardTarget, deadline: Deadline) async throws -> OpaquePointer {
        let (what, kind): (String, ChannelKind) =
            switch target {
            case .port(let port, let address): ("a connection from \(host) to \(address) port \(port)", .directTCP(address: address, port: port))
            case .socket(let path, _, _): ("a connection to \(path) on \(host)", .directSocket(path))
            }
        switch try await answer(to: opening(kind), in: openings, what, deadline: deadline) {
        case .success(let channel): return channel
        case .failure(let failure): throw target.refused(host, failure.message)
        }
    }

    /// The far end of a connection that is carried.
    struct FarEnd {
        let channel: OpaquePointer
        /// Whether a program of ours is there.
        var isSession = false
        /// What it has said already.
        var said: [UInt8] = []
    }

    /// A channel that leads to `target`.
    private func openFar(_ target: ForwardTarget, deadline: Deadline) async throws -> FarEnd {
        guard case .socket(let path, let user, let loginUser) = target else { return FarEnd(channel: try await openDirect(target, deadline: deadline)) }
        var refusal: String?
        if user == loginUser {
            do {
                return FarEnd(channel: try await openDirect(target, deadline: deadline))
            } catch HostError.socketRefused(_, _, _, let detail) {
                // It may only be forbidden to sshd; a program says more of what is wrong, too.
                refusal = detail
            }
        }
        return try await openRelay(to: path, as: user, loginUser: loginUser, refusal: refusal, deadline: deadline)
    }

    /// A channel whose program, run as `user`, has connected to the socket. It is a session of the server like any other, and two of those
    /// that there can be are left to other programs.
    /// - Parameter refusal: why sshd did not connect by itself.
    private func openRelay(to path: HostPath, as user: String, loginUser: String, refusal: String?, deadline: Deadline) async throws -> FarEnd {
        let what = "a connection to \(path) on \(host) as \(user)", target = ForwardTarget.socket(path, user: user, loginUser: loginUser)
        guard path.path.utf8.count <= SocketRelay.longestPath else { throw target.refused(host, "a path of more than \(SocketRelay.longestPath) bytes") }
        guard relays < max(1, sessionLimit - 2) else {
            throw HostError.channelRefused(host: host, detail: "\(relays) connections to a socket have a session each already")
        }
        relays += 1
        do {
            return try await interruptible(until: deadline) {
                guard case .channel(let channel) = try await openPlace(what, for: nil, urgent: false, deadline: deadline) else {
                    throw HostError.channelRefused(host: host, detail: "no session of its own")
                }
                var report = ProgramReport()
                let command = SocketRelay.command(to: path, as: user, nonce: report.nonce)
                let failure = try await begin(command.line(loginUser: loginUser), on: channel, what) { _ in lateness(what, deadline) }
                do {
                    if let failure { throw HostError.channelRefused(host: host, detail: failure.message) }
                    try await awaitBeginning(on: channel, &report, what, deadline: deadline)
                    if !report.began {
                        _ = try await lastWords(of: channel, what: what, deadline: deadline)
                        let result = CommandResult(status: .code(libssh2_channel_get_exit_status(channel)), errorOutput: Array(report.noise.utf8))
                        throw command.refusal(of: result, host: host, loginUser: loginUser)
                            ?? SocketRelay.failure(result, host: host, path: path, loginUser: loginUser, user: user, refusal: refusal)
                    }
                } catch {
                    closeLater(channel, isSession: true)
                    throw error
                }
                return FarEnd(channel: channel, isSession: true, said: report.output)
            }
        } catch {
            relays -= 1
            throw error
        }
    }

    final class ForwardListener {
        let socket: Descriptor
        let target: ForwardTarget
        var lastError: HostError?
        var isOpen = true
        init(socket: Descriptor, target: ForwardTarget) {
            self.socket = socket
            self.target = target
        }
    }

    /// Serves every connection that comes in on `socket`.
    func forward(from socket: Descriptor, at local: LocalEndpoint, to target: ForwardTarget) throws -> UInt64 {
        try requireConnection(during: nil)
        lastTicket += 1
        let number = lastTicket
        let listener = ForwardListener(socket: socket, target: target)
        listeners[number] = listener
        socket.setNonBlocking()
        loop.register(socket.raw, for: .readable) { [weak self] _ in
            self?.assumeIsolated { $0.acceptConnections(number, at: local) }
        }
        return number
    }

    func lastError(ofForward number: UInt64) -> HostError? { listeners[number]?.lastError }

    func endForward(_ number: UInt64) {
        guard let listener = listeners.removeValue(forKey: number) else { return }
        listener.isOpen = false
        loop.unregister(listener.socket.raw)
        wake()
    }

    func acceptConnections(_ number: UInt64, at local: LocalEndpoint) {
        while let listener = listeners[number], let (connection, peer) = LocalEndpoint.accept(listener.socket) {
            users += 1
            Task {
                await serve(connection, from: peer, at: local, for: listener)
                users -= 1
                wake()
            }
        }
    }

    func serve(_ connection: Descriptor, from peer: LocalEndpoint, at local: LocalEndpoint, for listener: ForwardListener) async {
        let deadline = Deadline.after(.seconds(60))
        do {
            if let stranger = try await LocalEndpoint.stranger(from: peer, at: local, until: deadline) {
                listener.lastError = listener.target.refused(host, stranger)
                connection.resetOnClose()
                return
            }
            let far = try await openFar(listener.target, deadline: deadline)
            await pump(connection, far) { listener.isOpen }
            if far.isSession { relays -= 1 }
        } catch {
            listener.lastError = error as? HostError ?? listener.target.refused(host, Problem(explaining: error).fact)
            connection.resetOnClose()
        }
    }

    final class SocketWatch {
        /// What the loop was last asked for and has not yet reported.
        var interest: EventLoop.Readiness? = [.readable, .once]
        /// The socket hung up: there is nothing more to wait for, what it still holds is read without asking.
        var hungUp = false
    }

    /// Carries bytes both ways until both ends have ended, or one is broken, or `mayGoOn` says no.
    func pump(_ socket: Descriptor, _ far: FarEnd, while mayGoOn: () -> Bool) async {
        let channel = far.channel
        socket.setNonBlocking()
        let watch = SocketWatch()
        let loop = loop
        let raw = socket.raw
        loop.register(raw, for: [.readable, .once]) { [weak self] readiness in
            watch.interest = nil
            if !readiness.isDisjoint(with: .closed) { watch.hungUp = true }
            self?.assumeIsolated { $0.wake() }
        }
        defer {
            loop.unregister(raw)
            closeLater(channel, isSession: far.isSession)
        }
        var toFar = PumpBuffer(), toNear = PumpBuffer(far.said)
        var nearEnded = false, nearEndSent = false, farEnded = false, farEndSent = false
        while case .open = phase, engine.endOfInput == nil, mayGoOn() {
            var progressed = false
            if toFar.isEmpty, !nearEnded {
                let count = toFar.refill { recv(raw, $0, $1, 0) }
                if count == 0 { nearEnded = true } else if count < 0, errno != EAGAIN, errno != EINTR { return }
                progressed = count >= 0
            }
            if !toFar.isEmpty, engine.backlog < Self.backlogLimit {
                let count = toFar.drain { libssh2_channel_write_ex(channel, 0, $0.assumingMemoryBound(to: CChar.self), $1) }
                if count < 0, count != Int(LIBSSH2_ERROR_EAGAIN) { return }
                progressed = progressed || count > 0
            }
            if nearEnded, toFar.isEmpty, !nearEndSent, libssh2_channel_send_eof(channel) == 0 {
                nearEndSent = true
                progressed = true
            }
            if toNear.isEmpty, !farEnded {
                let count = toNear.refill { libssh2_channel_read_ex(channel, 0, $0.assumingMemoryBound(to: CChar.self), $1) }
                if count > 0 {
                    progressed = true
                } else if libssh2_channel_eof(channel) == 1 {
                    farEnded = true
                    progressed = true
                } else if count < 0, count != Int(LIBSSH2_ERROR_EAGAIN) {
                    return
                }
            }
            if !toNear.isEmpty {
                let count = toNear.drain { send(raw, $0, $1, Int32(MSG_NOSIGNAL)) }
                if count < 0, errno != EAGAIN, errno != EINTR { return }
                progressed = progressed || count > 0
            }
            if farEnded, toNear.isEmpty, !farEndSent {
                shutdown(raw, Int32(SHUT_WR))
                farEndSent = true
                progressed = true
            }
            watchForWritable()
            if farEndSent, nearEndSent || libssh2_channel_wait_closed(channel) == 0 { return }
            if progressed { continue }
            var interest: EventLoop.Readiness = .once
            if toFar.isEmpty, !nearEnded { interest.insert(.readable) }
            if !toNear.isEmpty { interest.insert(.writable) }
            if !watch.hungUp, interest != watch.interest {
                watch.interest = interest
                loop.change(raw, to: interest)
            }
            await park()
        }
        socket.resetOnClose()
    }
}

/// Bytes on their way from one side of a pump to the other.
private struct PumpBuffer {
    private var bytes = [UInt8](repeating: 0, count: 65536)
    private var position = 0
    private var end = 0

    init(_ first: [UInt8] = []) {
        guard !first.isEmpty else { return }
        (bytes, end) = (first + [UInt8](repeating: 0, count: max(0, 65536 - first.count)), first.count)
    }

    var isEmpty: Bool { position == end }

    mutating func refill(_ read: (UnsafeMutableRawPointer, Int) -> Int) -> Int {
        let count = bytes.withUnsafeMutableBytes { buffer in buffer.baseAddress.map { read($0, buffer.count) } ?? 0 }
        (position, end) = (0, max(0, count))
        return count
    }

    mutating func drain(_ write: (UnsafeRawPointer, Int) -> Int) -> Int {
        let count = bytes.withUnsafeBytes { buffer in buffer.baseAddress.map { write($0 + position, end - position) } ?? 0 }
        position += max(0, count)
        return count
    }
}
