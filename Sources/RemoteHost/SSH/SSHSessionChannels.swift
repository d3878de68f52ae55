internal import CLibSSH2
internal import EventLoop
import Glibc

/// Channels: asked for one at a time, given out in turn, closed while their users go on.
extension SSHSession {
    /// A question to the server of a kind that libssh2 can have only one of at a time: it keeps the state of an opening
    /// channel in the session, and takes the answer to one channel's request for the failure of another's.
    ///
    /// So each kind has a queue, and what was asked is waited for to the end, also when nobody needs the answer any more.
    final class Question {
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

    final class Lane {
        var questions: [Question] = []
        var isBusy = false
    }

    func put(_ question: Question, in lane: Lane) {
        lane.questions.append(question)
        guard !lane.isBusy else { return }
        lane.isBusy = true
        Task { await serve(lane) }
    }

    func serve(_ lane: Lane) async {
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

    func answer(to question: Question, in lane: Lane, _ what: String, deadline: Deadline) async throws -> Result<OpaquePointer, SSHEngineFailure> {
        try await answer(to: question, in: lane, what) { _ in lateness(what, deadline) }
    }

    /// The server's answer, or what came before it.
    /// - Parameter interruption: why to wait no longer, if so; it is told whether the question has been asked.
    func answer(
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

    enum ChannelKind {
        case session
        case directTCP(address: String, port: UInt16)
        /// OpenSSH's (PROTOCOL, section 2.4); libssh2 has a function of its own for it from 1.11.
        case directSocket(HostPath)
        /// No such thing: see ``sendPulse()``.
        case nobody
    }

    func opening(_ kind: ChannelKind) -> Question {
        Question { handle in
            let packet = UInt32(LIBSSH2_CHANNEL_PACKET_DEFAULT)
            let channel =
                switch kind {
                case .session: libssh2_channel_open_ex(handle, "session", 7, 4 << 20, packet, nil, 0)
                case .directTCP(let address, let port): libssh2_channel_direct_tcpip_ex(handle, address, Int32(port), "127.0.0.1", 0)
                case .directSocket(let path):
                    self.openChannel("direct-streamlocal@openssh.com", SSHWire.string(Array(path.path.utf8)) + SSHWire.string([]) + SSHWire.number(0), handle)
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

    private func openChannel(_ type: String, _ message: [UInt8], _ handle: OpaquePointer) -> OpaquePointer? {
        message.withUnsafeBytes { bytes in
            libssh2_channel_open_ex(
                handle, type, UInt32(type.utf8.count), 2 << 20, UInt32(LIBSSH2_CHANNEL_PACKET_DEFAULT),
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self), UInt32(bytes.count))
        }
    }

    enum Place {
        case channel(OpaquePointer)
        case shell(KeptShell)
    }

    /// A place to run a program in when it is our turn, in the order of asking: a shell of `user` that is kept and idle, or
    /// a session channel, no more of them at once than the server allows.
    /// - Parameters:
    ///   - user: `nil` where it has to be a channel.
    ///   - urgent: does not wait for its turn.
    func openPlace(_ what: String, for user: String?, urgent: Bool, deadline: Deadline) async throws -> Place {
        lastTicket += 1
        let ticket = lastTicket
        if urgent { sessionQueue.insert((ticket, user), at: 0) } else { sessionQueue.append((ticket, user)) }
        defer {
            sessionQueue.removeAll { $0.ticket == ticket }
            wake()
        }
        var refusedWith: Int?
        var wasRefused = false
        while true {
            try requireConnection(during: what)
            try requireTime(what, deadline)
            if let user, sessionQueue.first(where: { $0.user == user })?.ticket == ticket, let shell = takeShell(of: user) { return .shell(shell) }
            let isFirst = urgent || sessionQueue.first?.ticket == ticket
            guard isFirst, urgent || placesTaken < sessionLimit, refusedWith.map({ sessionsOpen < $0 }) ?? true else {
                if isFirst { makeRoom() }
                await park()
                continue
            }
            placesTaken += 1
            // The next in the queue need not wait until this one is open.
            sessionQueue.removeAll { $0.ticket == ticket }
            wake()
            let question = opening(.session)
            // An abandoned question gives its place back when the server has answered it.
            switch try await answer(to: question, in: openings, what, deadline: deadline) {
            case .success(let channel): return .channel(channel)
            case .failure(let failure):
                placesTaken -= 1
                wake()
                let others = question.sessionsWhenAsked ?? 0
                guard failure.code == LIBSSH2_ERROR_CHANNEL_FAILURE, others > 0 || !wasRefused else {
                    throw HostError.channelRefused(host: host, detail: failure.message)
                }
                sessionQueue.insert((ticket, user), at: 0)
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
    func closeLater(_ channel: OpaquePointer, isSession: Bool, then: @escaping () -> Void = {}) {
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
            then()
            users -= 1
            wake()
        }
    }

    /// Reads a channel to its end, if that comes soon; a daemon that holds the program's output keeps it open.
    func drain(_ channel: OpaquePointer, until deadline: Deadline) async {
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
}
