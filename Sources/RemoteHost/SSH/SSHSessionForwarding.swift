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
            let channel = try await openDirect(address, port, deadline: deadline)
            var ends: [Int32] = [-1, -1]
            guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
                closeLater(channel, isSession: false)
                throw HostError.forwardNotOpened(host: host, detail: SystemFailure(code: errno).fact)
            }
            let (near, far) = (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
            users += 1
            Task {
                await pump(far, channel) { true }
                users -= 1
                wake()
            }
            return near
        }
    }

    func openDirect(_ address: String, _ port: UInt16, deadline: Deadline) async throws -> OpaquePointer {
        let what = "a connection from \(host) to \(address) port \(port)"
        switch try await answer(to: opening(.directTCP(address: address, port: port)), in: openings, what, deadline: deadline) {
        case .success(let channel): return channel
        case .failure(let failure):
            throw HostError.forwardRefused(host: host, address: address, port: port, detail: failure.message)
        }
    }

    final class ForwardListener {
        let socket: Descriptor
        let address: String
        let port: UInt16
        var lastError: HostError?
        var isOpen = true
        init(socket: Descriptor, address: String, port: UInt16) {
            self.socket = socket
            self.address = address
            self.port = port
        }
    }

    /// Serves every connection that comes in on `socket`.
    func forward(from socket: Descriptor, at local: LocalEndpoint, to address: String, port: UInt16) throws -> UInt64 {
        try requireConnection(during: nil)
        lastTicket += 1
        let number = lastTicket
        let listener = ForwardListener(socket: socket, address: address, port: port)
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
            let owner = try await OffLoop.run("the owner of a local connection", until: deadline) {
                try LocalEndpoint.owner(ofConnectionFrom: peer, to: local)
            }
            guard owner == getuid() else {
                listener.lastError = .forwardRefused(
                    host: host, address: listener.address, port: listener.port,
                    detail: "a connection by \(owner.map { "another local user (uid \($0))" } ?? "an unknown local user") was turned away")
                connection.resetOnClose()
                return
            }
            let channel = try await openDirect(listener.address, listener.port, deadline: deadline)
            await pump(connection, channel) { listener.isOpen }
        } catch {
            listener.lastError =
                error as? HostError
                ?? .forwardRefused(host: host, address: listener.address, port: listener.port, detail: Problem(explaining: error).fact)
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
    func pump(_ socket: Descriptor, _ channel: OpaquePointer, while mayGoOn: () -> Bool) async {
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
            closeLater(channel, isSession: false)
        }
        var toFar = PumpBuffer(), toNear = PumpBuffer()
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
