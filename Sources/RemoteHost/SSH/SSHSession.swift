internal import CLibSSH2
internal import EventLoop
import Glibc
import Report

/// One SSH connection on an event loop: many commands and forwarded connections at once.
///
/// Everything that waits parks here and is woken by whatever happens on the socket, then looks again: at its channel, at
/// its deadline, at its task's cancellation, at the connection's state.
actor SSHSession: LoopActor {
    nonisolated let host: String
    nonisolated let loop = EventLoop.next()
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    let engine: SSHEngine
    enum Phase { case connecting, open, ended(HostError) }
    var phase = Phase.connecting
    nonisolated(unsafe) let parking = Parking()
    var isRegistered = false
    var wantsWritable = false
    /// Tasks that use the engine; it is freed when there is none.
    var users = 0

    // sshd's MaxSessions is 10 per connection unless it is set lower; two stay free for ending programs.
    var sessionLimit = 8
    /// Session channels that are open, or will be asked for.
    var placesTaken = 0
    /// Session channels that the server knows of.
    var sessionsOpen = 0
    /// Those of them that carry a connection to a socket.
    var relays = 0
    var sessionQueue: [(ticket: UInt64, user: String?)] = []
    var shells = Shells()
    var lastTicket: UInt64 = 0

    let openings = Lane()
    let starts = Lane()

    var pulseTimer: EventLoop.Timer?
    var pulseSent: ContinuousClock.Instant?

    var listeners: [UInt64: ForwardListener] = [:]

    /// Quiet for this long, the server is asked for a sign of life; quiet for `silence` more, it is lost.
    static let quiet = Duration.seconds(5)
    static let silence = Duration.seconds(10)
    static let backlogLimit = 1 << 20
    static let longestLine = 30_000

    init(host: String, socket: Descriptor) throws {
        self.host = host
        engine = try SSHEngine(socket: socket)
    }

    isolated deinit {
        unregister()
        if let pulseTimer { loop.cancel(pulseTimer) }
        for listener in listeners.values { loop.unregister(listener.socket.raw) }
    }

    // MARK: Waiting

    func requireConnection(during what: String?) throws {
        if case .ended(.connectionLost(let host, let detail, _)) = phase {
            throw HostError.connectionLost(host: host, detail: detail, during: what)
        }
        if case .ended(let error) = phase { throw error }
        if let end = engine.endOfInput {
            throw lose(end, during: what)
        }
    }

    /// Calls `step` until it neither fails nor would have to wait.
    func drive(_ what: String, until deadline: Deadline, _ step: () -> Int) async throws -> Int {
        while true {
            try requireTime(what, deadline)
            let result = step()
            if result != Int(LIBSSH2_ERROR_EAGAIN) {
                guard isSocketError(result) else { return result }
                try requireConnection(during: what)
                throw lose(engine.failure(result).message, during: what)
            }
            try requireConnection(during: what)
            await park()
        }
    }

    func isSocketError(_ code: Int) -> Bool {
        [LIBSSH2_ERROR_SOCKET_DISCONNECT, LIBSSH2_ERROR_SOCKET_RECV, LIBSSH2_ERROR_SOCKET_SEND].contains(Int32(code))
    }

    // MARK: The connection

    func register() {
        guard !isRegistered else { return }
        isRegistered = true
        loop.register(engine.socket.raw, for: .readable) { [weak self] readiness in
            self?.assumeIsolated { $0.socketBecame(readiness) }
        }
    }

    func unregister() {
        guard isRegistered else { return }
        isRegistered = false
        loop.unregister(engine.socket.raw)
    }

    func socketBecame(_ readiness: EventLoop.Readiness) {
        if readiness.contains(.writable) { engine.flush() }
        if !readiness.isDisjoint(with: [.readable, .closed]) { engine.fill() }
        if engine.endOfInput != nil { unregister() }
        watchForWritable()
        wake()
    }

    /// Asks for "writable" as long as there is something to send.
    func watchForWritable() {
        let wanted = engine.backlog > 0
        guard isRegistered, wanted != wantsWritable else { return }
        wantsWritable = wanted
        loop.change(engine.socket.raw, to: wanted ? [.readable, .writable] : .readable)
    }

    @discardableResult
    func lose(_ detail: String, during what: String? = nil) -> HostError {
        let detail = engine.farewell.map { "the server disconnected: \($0)" } ?? detail
        if case .ended = phase {
        } else {
            phase = .ended(.connectionLost(host: host, detail: detail, during: nil))
            end()
        }
        return .connectionLost(host: host, detail: detail, during: what)
    }

    func end() {
        unregister()
        if let pulseTimer { loop.cancel(pulseTimer) }
        pulseTimer = nil
        for listener in listeners.values { loop.unregister(listener.socket.raw) }
        listeners.removeAll()
        shutdown(engine.socket.raw, Int32(SHUT_RDWR))
        wake()
    }

    /// Ends the connection and returns when libssh2 has let go of it: a process that exits while a session is being
    /// freed on a loop's thread crashes.
    func close() async {
        if case .ended = phase {
        } else {
            if let handle = engine.handle {
                _ = libssh2_session_disconnect_ex(handle, SSH_DISCONNECT_BY_APPLICATION, "", "")
                engine.flush()
            }
            phase = .ended(.closed(host: host))
            end()
        }
        while users > 0 || openings.isBusy || starts.isBusy { await park() }
        engine.free()
        wake()
    }

    // MARK: Signs of life

    func schedulePulse() {
        guard case .open = phase else { return }
        pulseTimer = loop.schedule(at: max(.now + .milliseconds(500), engine.lastHeard + Self.quiet)) { [weak self] in
            self?.assumeIsolated { $0.pulse() }
        }
    }

    func pulse() {
        guard case .open = phase else { return }
        let now = ContinuousClock.now
        if let sent = pulseSent, engine.lastHeard <= sent {
            if now - sent >= Self.silence {
                lose("no sign of life for \((now - engine.lastHeard).inSeconds)")
                return
            }
        } else if now - engine.lastHeard >= Self.quiet {
            pulseSent = now
            sendPulse()
        }
        lookAfterShells()
        schedulePulse()
    }

    /// Asks for a channel of a type nobody has, which every server must refuse. Unlike the keepalive requests of libssh2,
    /// whose answers it never takes out of its queue, this leaves nothing behind and handles what came in meanwhile.
    func sendPulse() {
        if openings.isBusy {
            guard let handle = engine.handle else { return }
            libssh2_keepalive_config(handle, 1, 2)
            libssh2_keepalive_send(handle, nil)
            watchForWritable()
        } else {
            put(opening(.nobody), in: openings)
        }
    }

    /// From here on commands run, and the connection is watched.
    func begin() {
        guard case .connecting = phase else { return }
        phase = .open
        schedulePulse()
    }
}
