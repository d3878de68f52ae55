internal import CLibSSH2
internal import EventLoop
import Glibc

/// One SSH connection on an event loop: many commands and forwarded connections at once.
///
/// Everything that waits parks here and is woken by whatever happens on the socket, then looks again: at its channel, at
/// its deadline, at its task's cancellation, at the connection's state.
actor SSHSession: LoopActor {
    nonisolated let host: String
    nonisolated let loop = EventLoop.next()
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    let engine: SSHEngine
    private enum Phase { case connecting, open, ended(HostError) }
    private var phase = Phase.connecting
    nonisolated(unsafe) let parking = Parking()
    private var isRegistered = false
    private var wantsWritable = false
    /// Tasks that use the engine; it is freed when there is none.
    var users = 0

    // sshd's MaxSessions is 10 per connection unless it is set lower; two stay free for ending programs.
    private var sessionLimit = 8
    /// Session channels that are open, or will be asked for.
    private var placesTaken = 0
    /// Session channels that the server knows of.
    private var sessionsOpen = 0
    private var sessionQueue: [UInt64] = []
    private var lastTicket: UInt64 = 0

    private let openings = Lane()
    private let starts = Lane()

    private var pulseTimer: EventLoop.Timer?
    private var pulseSent: ContinuousClock.Instant?

    private var listeners: [UInt64: ForwardListener] = [:]

    /// Quiet for this long, the server is asked for a sign of life; quiet for `silence` more, it is lost.
    private static let quiet = Duration.seconds(5)
    private static let silence = Duration.seconds(10)
    private static let backlogLimit = 1 << 20
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

    private func requireConnection(during what: String?) throws {
        if case .ended(.connectionLost(let host, let detail, _)) = phase {
            throw HostError.connectionLost(host: host, detail: detail, during: what)
        }
        if case .ended(let error) = phase { throw error }
        if let end = engine.endOfInput {
            throw lose(end, during: what)
        }
    }

    /// Calls `step` until it neither fails nor would have to wait.
    private func drive(_ what: String, until deadline: Deadline, _ step: () -> Int) async throws -> Int {
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

    private func isSocketError(_ code: Int) -> Bool {
        [LIBSSH2_ERROR_SOCKET_DISCONNECT, LIBSSH2_ERROR_SOCKET_RECV, LIBSSH2_ERROR_SOCKET_SEND].contains(Int32(code))
    }

    // MARK: The connection

    private func register() {
        guard !isRegistered else { return }
        isRegistered = true
        loop.register(engine.socket.raw, for: .readable) { [weak self] readiness in
            self?.assumeIsolated { $0.socketBecame(readiness) }
        }
    }

    private func unregister() {
        guard isRegistered else { return }
        isRegistered = false
        loop.unregister(engine.socket.raw)
    }

    private func socketBecame(_ readiness: EventLoop.Readiness) {
        if readiness.contains(.writable) { engine.flush() }
        if !readiness.isDisjoint(with: [.readable, .closed]) { engine.fill() }
        if engine.endOfInput != nil { unregister() }
        watchForWritable()
        wake()
    }

    /// Asks for "writable" as long as there is something to send.
    private func watchForWritable() {
        let wanted = engine.backlog > 0
        guard isRegistered, wanted != wantsWritable else { return }
        wantsWritable = wanted
        loop.change(engine.socket.raw, to: wanted ? [.readable, .writable] : .readable)
    }

    @discardableResult
    private func lose(_ detail: String, during what: String? = nil) -> HostError {
        let detail = engine.farewell.map { "the server disconnected: \($0)" } ?? detail
        if case .ended = phase {} else {
            phase = .ended(.connectionLost(host: host, detail: detail, during: nil))
            end()
        }
        return .connectionLost(host: host, detail: detail, during: what)
    }

    private func end() {
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
        if case .ended = phase {} else {
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

    private func schedulePulse() {
        guard case .open = phase else { return }
        pulseTimer = loop.schedule(at: max(.now + .milliseconds(500), engine.lastHeard + Self.quiet)) { [weak self] in
            self?.assumeIsolated { $0.pulse() }
        }
    }

    private func pulse() {
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
        schedulePulse()
    }

    /// Asks for a channel of a type nobody has, which every server must refuse. Unlike the keepalive requests of libssh2,
    /// whose answers it never takes out of its queue, this leaves nothing behind and handles what came in meanwhile.
    private func sendPulse() {
        if openings.isBusy {
            guard let handle = engine.handle else { return }
            libssh2_keepalive_config(handle, 1, 2)
            libssh2_keepalive_send(handle, nil)
            watchForWritable()
        } else {
            put(opening(.nobody), in: openings)
        }
    }

    // MARK: Greeting and host key

    /// The key exchange. `hostKeyTypes` says which host keys we would like to see, the best first.
    /// - Returns: the host key's blob and its SHA-256 hash.
    func greet(hostKeyTypes: [String], deadline: Deadline) async throws -> (key: [UInt8], hash: [UInt8]) {
        try await interruptible(until: deadline) {
            guard let handle = engine.handle else { throw HostError.closed(host: host) }
            register()
            libssh2_session_method_pref(handle, Int32(LIBSSH2_METHOD_HOSTKEY), hostKeyTypes.joined(separator: ","))
            let socket = engine.socket.raw
            let result = try await drive("the SSH greeting of \(host)", until: deadline) {
                defer { watchForWritable() }
                return Int(libssh2_session_handshake(handle, socket))
            }
            guard result == 0 else {
                let failure = engine.failure(result)
                let negotiation = [LIBSSH2_ERROR_KEX_FAILURE, LIBSSH2_ERROR_METHOD_NONE, LIBSSH2_ERROR_METHOD_NOT_SUPPORTED,
                                   LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE, LIBSSH2_ERROR_HOSTKEY_INIT]
                if negotiation.contains(failure.code) {
                    throw HostError.noCommonAlgorithm(host: host, detail: failure.message)
                }
                throw HostError.connectionLost(host: host, detail: failure.message, during: "the SSH greeting")
            }
            var length = 0
            var type: Int32 = 0
            guard let key = libssh2_session_hostkey(handle, &length, &type),
                let hash = libssh2_hostkey_hash(handle, Int32(LIBSSH2_HOSTKEY_HASH_SHA256))
            else { throw HostError.noCommonAlgorithm(host: host, detail: "the server showed no host key") }
            return (Array(UnsafeRawBufferPointer(start: key, count: length)), Array(UnsafeRawBufferPointer(start: hash, count: 32)))
        }
    }

    // MARK: Authentication

    /// What the server would let `user` in with; `nil` when it already has, without asking for anything.
    func authenticationMethods(user: String, deadline: Deadline) async throws -> [String]? {
        try await interruptible(until: deadline) {
            guard let handle = engine.handle else { throw HostError.closed(host: host) }
            var methods = ""
            let result = try await drive("the authentication methods of \(host)", until: deadline) {
                defer { watchForWritable() }
                if let list = libssh2_userauth_list(handle, user, UInt32(user.utf8.count)) {
                    methods = String(cString: list)
                    return 0
                }
                return libssh2_userauth_authenticated(handle) == 1 ? 1 : Int(libssh2_session_last_errno(handle))
            }
            return result == 1 ? nil : methods.split(separator: ",").map(String.init)
        }
    }

    enum KeyAnswer: Sendable {
        case loggedIn
        /// The server would take the key; nothing was signed.
        case acceptable
        case refused
        case signatureRefused
        case disconnected(String)
    }

    /// Offers the public key `blob`; when the server takes it, `sign` is asked to sign for it.
    /// - Parameter sign: `nil` only asks the server whether it would take the key.
    func offer(
        _ blob: [UInt8], user: String, deadline: Deadline, sign: (@Sendable ([UInt8]) async throws -> [UInt8])?
    ) async throws -> KeyAnswer {
        try await interruptible(until: deadline) {
            engine.signature = .idle
            while true {
                try requireTime("the login at \(host)", deadline)
                guard let handle = engine.handle else { throw HostError.closed(host: host) }
                let result = libssh2_userauth_publickey(handle, user, blob, blob.count, { _, signature, length, data, count, owner in
                    signForAgent(signature, length, data, count, owner)
                }, libssh2_session_abstract(handle))
                watchForWritable()
                if result == 0 { return .loggedIn }
                if result == LIBSSH2_ERROR_EAGAIN {
                    guard case .asked(let data) = engine.signature else {
                        if let end = engine.endOfInput { return .disconnected(engine.farewell ?? end) }
                        await park()
                        continue
                    }
                    guard let sign else {
                        engine.signature = .declined
                        continue
                    }
                    do {
                        engine.signature = .answered(try await sign(data))
                    } catch {
                        // libssh2 must come out of its half-done call before the next key.
                        engine.signature = .declined
                        _ = libssh2_userauth_publickey(handle, user, blob, blob.count, { _, signature, length, data, count, owner in
                            signForAgent(signature, length, data, count, owner)
                        }, libssh2_session_abstract(handle))
                        throw error
                    }
                    continue
                }
                if case .declined = engine.signature { return .acceptable }
                if let farewell = engine.farewell ?? engine.endOfInput { return .disconnected(farewell) }
                if isSocketError(Int(result)) { return .disconnected(engine.failure(Int(result)).message) }
                if case .answered = engine.signature { return .signatureRefused }
                return .refused
            }
        }
    }

    enum KeyFileAnswer: Sendable {
        case loggedIn
        case refused
        /// The file could not be read with this passphrase.
        case unreadable(String)
        case disconnected(String)
    }

    func authenticate(user: String, keyFile: String, passphrase: String?, deadline: Deadline) async throws -> KeyFileAnswer {
        try await interruptible(until: deadline) {
            guard let handle = engine.handle else { throw HostError.closed(host: host) }
            while true {
                try requireTime("the login at \(host)", deadline)
                let result = libssh2_userauth_publickey_fromfile_ex(
                    handle, user, UInt32(user.utf8.count), nil, keyFile, passphrase ?? "")
                watchForWritable()
                switch result {
                case 0: return .loggedIn
                case LIBSSH2_ERROR_EAGAIN:
                    if let end = engine.endOfInput { return .disconnected(engine.farewell ?? end) }
                    await park()
                default:
                    if let farewell = engine.farewell ?? engine.endOfInput { return .disconnected(farewell) }
                    if isSocketError(Int(result)) { return .disconnected(engine.failure(Int(result)).message) }
                    let answers = [LIBSSH2_ERROR_AUTHENTICATION_FAILED, LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED]
                    let message = engine.failure(Int(result)).message
                    // libssh2 uses one code for a refused signature and for one that it could not make.
                    return answers.contains(result) && !message.hasPrefix("Callback") ? .refused : .unreadable(message)
                }
            }
        }
    }

    /// From here on commands run, and the connection is watched.
    func begin() {
        guard case .connecting = phase else { return }
        phase = .open
        schedulePulse()
    }

    // MARK: Channels

    /// A question to the server of a kind that libssh2 can have only one of at a time: it keeps the state of an opening
    /// channel in the session, and takes the answer to one channel's request for the failure of another's.
    ///
    /// So each kind has a queue, and what was asked is waited for to the end, also when nobody needs the answer any more.
    private final class Question {
        enum Answer { case notYet, yes(OpaquePointer), no(SSHEngineFailure) }
        let ask: (OpaquePointer) -> Answer
        /// Takes the answer when nobody waits for it: a channel, or `nil` where there is none.
        let discard: (OpaquePointer?) -> Void
        var result: Result<OpaquePointer, SSHEngineFailure>?
        /// The sessions that were open when it was asked; `nil` until then.
        var sessionsWhenAsked: Int?
        var isAbandoned = false

        init(ask: @escaping (OpaquePointer) -> Answer, discard: @escaping (OpaquePointer?) -> Void) {
            self.ask = ask
            self.discard = discard
        }
    }

    private final class Lane {
        var questions: [Question] = []
        var isBusy = false
    }

    private func put(_ question: Question, in lane: Lane) {
        lane.questions.append(question)
        guard !lane.isBusy else { return }
        lane.isBusy = true
        Task { await serve(lane) }
    }

    private func serve(_ lane: Lane) async {
        while !lane.questions.isEmpty {
            let question = lane.questions.removeFirst()
            while question.result == nil, question.sessionsWhenAsked != nil || !question.isAbandoned {
                guard case .open = phase, let handle = engine.handle, engine.endOfInput == nil else {
                    question.result = .failure(SSHEngineFailure(code: LIBSSH2_ERROR_SOCKET_DISCONNECT, message: "the connection ended"))
                    break
                }
                question.sessionsWhenAsked = question.sessionsWhenAsked ?? sessionsOpen
                let answer = question.ask(handle)
                watchForWritable()
                switch answer {
                case .notYet: await park()
                case .yes(let channel): question.result = .success(channel)
                case .no(let failure): question.result = .failure(failure)
                }
            }
            if question.isAbandoned { question.discard(try? question.result?.get()) }
            wake()
        }
        lane.isBusy = false
        wake()
    }

    private func answer(to question: Question, in lane: Lane, _ what: String, deadline: Deadline) async throws -> Result<OpaquePointer, SSHEngineFailure> {
        try await answer(to: question, in: lane, what) { _ in
            do { try requireTime(what, deadline) } catch { return error }
            return nil
        }
    }

    /// The server's answer, or what came before it.
    /// - Parameter interruption: why to wait no longer, if so; it is told whether the question has been asked.
    private func answer(
        to question: Question, in lane: Lane, _ what: String, interruption: (Bool) -> (any Error)?
    ) async throws -> Result<OpaquePointer, SSHEngineFailure> {
        put(question, in: lane)
        while true {
            if let result = question.result {
                if case .failure(let failure) = result, isSocketError(Int(failure.code)) {
                    try requireConnection(during: what)
                    throw lose(failure.message, during: what)
                }
                return result
            }
            if let error = interruption(question.sessionsWhenAsked != nil) {
                question.isAbandoned = true
                throw error
            }
            await park()
        }
    }

    private enum ChannelKind {
        case session
        case directTCP(address: String, port: UInt16)
        /// No such thing: see ``sendPulse()``.
        case nobody
    }

    private func opening(_ kind: ChannelKind) -> Question {
        Question { handle in
            let packet = UInt32(LIBSSH2_CHANNEL_PACKET_DEFAULT)
            let channel = switch kind {
            case .session: libssh2_channel_open_ex(handle, "session", 7, 4 << 20, packet, nil, 0)
            case .directTCP(let address, let port): libssh2_channel_direct_tcpip_ex(handle, address, Int32(port), "127.0.0.1", 0)
            case .nobody: libssh2_channel_open_ex(handle, "pulse@pggraft", 13, 0, packet, nil, 0)
            }
            if let channel {
                if case .session = kind { self.sessionsOpen += 1 }
                return .yes(channel)
            }
            let code = libssh2_session_last_errno(handle)
            return code == LIBSSH2_ERROR_EAGAIN ? .notYet : .no(self.engine.failure(Int(code)))
        } discard: { channel in
            guard case .session = kind else {
                if let channel { self.closeLater(channel, isSession: false) }
                return
            }
            if let channel { self.closeLater(channel, isSession: true) } else { self.placesTaken -= 1 }
        }
    }

    /// Opens a session channel when it is our turn: in the order of asking, no more at once than the server allows.
    /// - Parameter urgent: does not wait for its turn.
    private func openSession(_ what: String, urgent: Bool, deadline: Deadline) async throws -> OpaquePointer {
        lastTicket += 1
        let ticket = lastTicket
        if urgent { sessionQueue.insert(ticket, at: 0) } else { sessionQueue.append(ticket) }
        defer {
            sessionQueue.removeAll { $0 == ticket }
            wake()
        }
        var refusedWith: Int?
        var wasRefused = false
        while true {
            try requireConnection(during: what)
            try requireTime(what, deadline)
            let hasRoom = urgent || placesTaken < sessionLimit
            guard urgent || sessionQueue.first == ticket, hasRoom, refusedWith.map({ sessionsOpen < $0 }) ?? true else {
                await park()
                continue
            }
            placesTaken += 1
            // The next in the queue need not wait until this one is open.
            sessionQueue.removeAll { $0 == ticket }
            wake()
            let question = opening(.session)
            // An abandoned question gives its place back when the server has answered it.
            switch try await answer(to: question, in: openings, what, deadline: deadline) {
            case .success(let channel): return channel
            case .failure(let failure):
                placesTaken -= 1
                wake()
                let others = question.sessionsWhenAsked ?? 0
                guard failure.code == LIBSSH2_ERROR_CHANNEL_FAILURE, others > 0 || !wasRefused else {
                    throw HostError.channelRefused(host: host, detail: failure.message)
                }
                sessionQueue.insert(ticket, at: 0)
                // sshd gives a closed session's place back only after it has handled all that came with the close, and that may
                // have been our question: the first refusal says nothing.
                guard wasRefused else {
                    wasRefused = true
                    continue
                }
                // A server with a lower MaxSessions: learn it, keep one place for ending programs, come back when one is free.
                sessionLimit = max(1, min(sessionLimit, others - 1))
                refusedWith = others
                wasRefused = false
            }
        }
    }

    /// Closes and frees a channel while its user goes on.
    private func closeLater(_ channel: OpaquePointer, isSession: Bool) {
        users += 1
        Task {
            // The server counts a session until its program has ended: closing before that would not make room for another.
            if isSession { await drain(channel, until: .after(.seconds(2))) }
            while case .open = phase, engine.handle != nil, engine.endOfInput == nil {
                guard libssh2_channel_free(channel) == LIBSSH2_ERROR_EAGAIN else { break }
                watchForWritable()
                await park()
            }
            watchForWritable()
            if isSession {
                sessionsOpen -= 1
                placesTaken -= 1
            }
            users -= 1
            wake()
        }
    }

    /// Reads a channel to its end, if that comes soon; a daemon that holds the program's output keeps it open.
    private func drain(_ channel: OpaquePointer, until deadline: Deadline) async {
        let timer = loop.schedule(at: deadline.instant) { [weak self] in self?.assumeIsolated { $0.wake() } }
        defer { loop.cancel(timer) }
        var buffer = [CChar](repeating: 0, count: 4096)
        while case .open = phase, engine.handle != nil, engine.endOfInput == nil, !deadline.hasPassed {
            let taken = [0, Int32(SSH_EXTENDED_DATA_STDERR)].map { libssh2_channel_read_ex(channel, $0, &buffer, buffer.count) }
            watchForWritable()
            if taken.contains(where: { $0 > 0 }) { continue }
            if libssh2_channel_eof(channel) == 1, libssh2_channel_wait_closed(channel) != LIBSSH2_ERROR_EAGAIN { return }
            await park()
        }
    }

    // MARK: Commands

    /// Runs `report`'s wrapped line, feeding it `input`.
    /// - Throws: `HostError.connectionLost`, `.channelRefused`, and interruptions while the line had not been sent.
    func execute(
        _ line: String, _ report: ProgramReport, input: [UInt8], what: String, urgent: Bool, deadline: Deadline,
        onLine: (@Sendable (String) -> Void)?
    ) async throws -> Execution {
        try await interruptible(until: deadline) {
            let channel = try await openSession(what, urgent: urgent, deadline: deadline)
            let start = Question { _ in
                let result = libssh2_channel_process_startup(channel, "exec", 4, line, UInt32(line.utf8.count))
                return result == 0 ? .yes(channel) : result == LIBSSH2_ERROR_EAGAIN ? .notYet : .no(self.engine.failure(Int(result)))
            } discard: { _ in
                self.closeLater(channel, isSession: true)
            }
            // From here on the channel is the question's, until it is answered.
            var limit = TimeLimit(what, deadline)
            let started = try await answer(to: start, in: starts, what) { wasAsked in
                limit.interruption(hasBegun: !wasAsked, wakeAt: wake(at:))
            }
            defer { closeLater(channel, isSession: true) }
            if case .failure(let failure) = started { throw HostError.channelRefused(host: host, detail: failure.message) }
            return try await converse(channel, report, input: input, limit: limit, onLine: onLine)
        }
    }

    private func converse(
        _ channel: OpaquePointer, _ start: ProgramReport, input: [UInt8], limit givenLimit: TimeLimit,
        onLine: (@Sendable (String) -> Void)?
    ) async throws -> Execution {
        var (report, limit) = (start, givenLimit)
        let what = limit.what
        var written = 0
        var inputEnded = false
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            var progressed = false
            while written < input.count, engine.backlog < Self.backlogLimit {
                let count = input.withUnsafeBytes { bytes in
                    libssh2_channel_write_ex(
                        channel, 0, bytes.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) + written }, bytes.count - written)
                }
                // A program that has ended reads no more; that is not our failure.
                if count < 0, count != Int(LIBSSH2_ERROR_EAGAIN) { written = input.count }
                guard count > 0 else { break }
                written += count
                progressed = true
            }
            if written == input.count, !inputEnded, libssh2_channel_send_eof(channel) != LIBSSH2_ERROR_EAGAIN { inputEnded = true }
            for (number, stream) in [(Int32(0), ProgramReport.Stream.output), (Int32(SSH_EXTENDED_DATA_STDERR), .errorOutput)] {
                let count = buffer.withUnsafeMutableBytes { bytes in
                    libssh2_channel_read_ex(channel, number, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
                }
                if count > 0 {
                    progressed = true
                    buffer.withUnsafeBytes { report.take(UnsafeRawBufferPointer(rebasing: $0[..<count]), from: stream, onLine: onLine) }
                } else if count < 0, count != Int(LIBSSH2_ERROR_EAGAIN) {
                    try requireConnection(during: what)
                    throw lose(engine.failure(count).message, during: what)
                }
            }
            watchForWritable()
            if report.ended { return .ended(report) }
            if progressed {
                // Others have their turn, and interruptions are seen, also when this one never has to wait.
                if let error = limit.interruption(hasBegun: report.began, wakeAt: wake(at:)) { return .interrupted(report, error) }
                continue
            }
            if libssh2_channel_eof(channel) == 1 {
                try requireConnection(during: what)
                return .vanished(report, detail: try await lastWords(of: channel, what: what, deadline: limit.deadline))
            }
            try requireConnection(during: what)
            if let error = limit.interruption(hasBegun: report.began, wakeAt: wake(at:)) { return .interrupted(report, error) }
            await park()
        }
    }

    /// What SSH itself says about the end of a channel's program. Its absence and "exit code 0" look the same.
    private func lastWords(of channel: OpaquePointer, what: String, deadline: Deadline) async throws -> String {
        _ = try await drive(what, until: deadline) {
            defer { watchForWritable() }
            return Int(libssh2_channel_wait_closed(channel))
        }
        var name: UnsafeMutablePointer<CChar>?
        var length = 0
        libssh2_channel_get_exit_signal(channel, &name, &length, nil, nil, nil, nil)
        if let name, length > 0 {
            defer { Glibc.free(name) }
            return "the shell around it was killed by SIG\(String(cString: name))"
        }
        let code = libssh2_channel_get_exit_status(channel)
        return code == 0 ? "the channel ended early" : "the shell around it ended with exit code \(code)"
    }

    // MARK: Forwarded connections

    /// A connection to `port` of `address` as the host sees it.
    /// - Throws: ``HostError/forwardRefused(host:address:port:detail:)``.
    func connectThrough(to address: String, port: UInt16, deadline: Deadline) async throws -> Descriptor {
        try await interruptible(until: deadline) {
            let channel = try await openDirect(address, port, deadline: deadline)
            var ends: [Int32] = [-1, -1]
            guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
                closeLater(channel, isSession: false)
                throw HostError.forwardNotOpened(host: host, detail: systemMessage(errno))
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

    private func openDirect(_ address: String, _ port: UInt16, deadline: Deadline) async throws -> OpaquePointer {
        let what = "a connection from \(host) to \(address) port \(port)"
        switch try await answer(to: opening(.directTCP(address: address, port: port)), in: openings, what, deadline: deadline) {
        case .success(let channel): return channel
        case .failure(let failure):
            throw HostError.forwardRefused(host: host, address: address, port: port, detail: failure.message)
        }
    }

    private final class ForwardListener {
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

    private func acceptConnections(_ number: UInt64, at local: LocalEndpoint) {
        while let listener = listeners[number], let (connection, peer) = LocalEndpoint.accept(listener.socket) {
            users += 1
            Task {
                await serve(connection, from: peer, at: local, for: listener)
                users -= 1
                wake()
            }
        }
    }

    private func serve(_ connection: Descriptor, from peer: LocalEndpoint, at local: LocalEndpoint, for listener: ForwardListener) async {
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
            listener.lastError = error as? HostError
                ?? .forwardRefused(host: host, address: listener.address, port: listener.port, detail: "\(error)")
            connection.resetOnClose()
        }
    }

    private final class SocketWatch {
        /// What the loop was last asked for and has not yet reported.
        var interest: EventLoop.Readiness? = [.readable, .once]
        /// The socket hung up: there is nothing more to wait for, what it still holds is read without asking.
        var hungUp = false
    }

    /// Carries bytes both ways until both ends have ended, or one is broken, or `mayGoOn` says no.
    private func pump(_ socket: Descriptor, _ channel: OpaquePointer, while mayGoOn: () -> Bool) async {
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

/// Hands the agent's signature to libssh2, or tells it to come back when there is one.
private func signForAgent(
    _ signature: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?, _ length: UnsafeMutablePointer<Int>?,
    _ data: UnsafePointer<UInt8>?, _ count: Int, _ owner: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> Int32 {
    guard let engine = SSHEngine.of(owner) else { return -1 }
    switch engine.signature {
    case .idle:
        engine.signature = .asked(Array(UnsafeRawBufferPointer(start: data, count: count)))
        return LIBSSH2_ERROR_EAGAIN
    case .asked: return LIBSSH2_ERROR_EAGAIN
    case .declined: return -1
    case .answered(let bytes):
        // libssh2 frees it.
        guard let copy = malloc(bytes.count) else { return -1 }
        bytes.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(copy), byteCount: bytes.count) }
        signature?.pointee = copy.assumingMemoryBound(to: UInt8.self)
        length?.pointee = bytes.count
        return 0
    }
}
