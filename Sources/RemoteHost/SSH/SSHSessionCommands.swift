internal import CLibSSH2
internal import EventLoop
import Glibc

/// Programs: each in a kept shell or on a channel of its own, read to its own end.
extension SSHSession {
    /// Runs `command`: in a shell of its user that is kept, if one is free and the input is small; otherwise by `report`'s wrapped
    /// line on a channel of its own.
    /// - Throws: `HostError.connectionLost`, `.channelRefused`, and interruptions while nothing had been sent.
    func execute(
        _ command: Command, loginUser: String, _ report: ProgramReport, what: String, urgent: Bool, deadline: Deadline,
        onLine: (@Sendable (String) -> Void)?
    ) async throws -> Execution {
        try await interruptible(until: deadline) {
            let request = KeptShell.request(command, nonce: report.nonce)
            var user = request.map { _ in command.user ?? loginUser }
            var counted: String?
            defer { if let counted { count(-1, for: counted) } }
            while true {
                let place = try await openPlace(what, for: user, urgent: urgent, deadline: deadline)
                if let user, counted == nil {
                    counted = user
                    count(1, for: user)
                }
                switch place {
                case .shell(let shell):
                    if let execution = try await execute(request ?? [], in: shell, report, limit: TimeLimit(what, deadline), onLine: onLine) { return execution }
                    // It cannot have begun. A second shell might end in the same way.
                    user = nil
                case .channel(let channel):
                    var limit = TimeLimit(what, deadline)
                    let line = report.wrapped(command.line(loginUser: loginUser))
                    // From here on the channel is the question's, until it is answered.
                    let failure = try await begin(line, on: channel, what) { wasAsked in limit.interruption(hasBegun: !wasAsked, wakeAt: wake(at:)) }
                    defer { closeLater(channel, isSession: true) }
                    if let failure { throw HostError.channelRefused(host: host, detail: failure.message) }
                    return try await converse(channel, report, input: command.input, isShell: false, limit: limit, onLine: onLine)
                }
            }
        }
    }

    /// Has the login shell run `line` on `channel`; the failure, if the server would not.
    /// - Parameter interruption: why to wait no longer, if so; it is told whether the server has been asked. The channel is closed then.
    func begin(
        _ line: String, on channel: OpaquePointer, _ what: String, interruption: (Bool) -> (any Error)?
    ) async throws -> SSHEngineFailure? {
        let start = Question { _ in
            let result = libssh2_channel_process_startup(channel, "exec", 4, line, UInt32(line.utf8.count))
            return result == 0 ? .yes(channel) : result == LIBSSH2_ERROR_EAGAIN ? .notYet : .no(self.engine.failure(Int(result)))
        } discard: { _ in
            self.closeLater(channel, isSession: true)
        }
        if case .failure(let failure) = try await answer(to: start, in: starts, what, interruption: interruption) { return failure }
        return nil
    }

    /// Writes `input` and reads what the program says, until it has ended or its channel has.
    /// - Parameter isShell: the channel is a kept shell's, and its input goes on after the program.
    func converse(
        _ channel: OpaquePointer, _ start: ProgramReport, input: [UInt8], isShell: Bool, limit givenLimit: TimeLimit,
        onLine: (@Sendable (String) -> Void)?
    ) async throws -> Execution {
        var (report, limit) = (start, givenLimit)
        let what = limit.what
        var written = 0
        var inputEnded = isShell
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
            if try take(from: channel, into: &report, what, onLine: onLine) { progressed = true }
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
            // Before the marks of the beginning it says nothing: SSH may have sent it ahead of them.
            if isShell, report.began, libssh2_channel_get_exit_status(channel) == KeptShell.watcherLost {
                return .vanished(report, detail: Self.shellKilled)
            }
            try requireConnection(during: what)
            if let error = limit.interruption(hasBegun: report.began, wakeAt: wake(at:)) { return .interrupted(report, error) }
            await park()
        }
    }

    private static let shellKilled = "the shell around it was killed"

    /// Waits until the program on `channel` says that it has begun, or its channel ends without that: the report tells.
    /// - Throws: why the connection is lost; `DeadlineExceeded`, `CancellationError`.
    func awaitBeginning(on channel: OpaquePointer, _ report: inout ProgramReport, _ what: String, deadline: Deadline) async throws {
        while !report.began {
            try requireConnection(during: what)
            try requireTime(what, deadline)
            guard try !take(from: channel, into: &report, what, onLine: nil) else { continue }
            guard libssh2_channel_eof(channel) == 0 else { return }
            await park()
        }
    }

    /// Takes what there is of both streams; whether there was something.
    func take(from channel: OpaquePointer, into report: inout ProgramReport, _ what: String, onLine: (@Sendable (String) -> Void)?) throws -> Bool {
        var hasTaken = false
        for (number, stream) in [(Int32(0), ProgramReport.Stream.output), (Int32(SSH_EXTENDED_DATA_STDERR), .errorOutput)] {
            let count = withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 16) { bytes in
                let count = libssh2_channel_read_ex(channel, number, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
                if count > 0 { report.take(UnsafeRawBufferPointer(rebasing: bytes[..<count]), from: stream, onLine: onLine) }
                return count
            }
            if count > 0 {
                hasTaken = true
            } else if count < 0, count != Int(LIBSSH2_ERROR_EAGAIN) {
                try requireConnection(during: what)
                throw lose(engine.failure(count).message, during: what)
            }
        }
        watchForWritable()
        return hasTaken
    }

    /// What SSH itself says about the end of a channel's program. Its absence and "exit code 0" look the same.
    func lastWords(of channel: OpaquePointer, what: String, deadline: Deadline) async throws -> String {
        _ = try await drive(what, until: deadline) {
            defer { watchForWritable() }
            return Int(libssh2_channel_wait_closed(channel))
        }
        if let name = exitSignal(of: channel) { return "\(Self.shellKilled) by SIG\(name)" }
        switch libssh2_channel_get_exit_status(channel) {
        case 0: return "the channel ended early"
        case KeptShell.watcherLost: return Self.shellKilled
        case let code: return "the shell around it ended with exit code \(code)"
        }
    }

    /// The signal that killed a channel's program, without `SIG`.
    func exitSignal(of channel: OpaquePointer) -> String? {
        var name: UnsafeMutablePointer<CChar>?
        var length = 0
        libssh2_channel_get_exit_signal(channel, &name, &length, nil, nil, nil, nil)
        guard let name else { return nil }
        defer { Glibc.free(name) }
        return length > 0 ? String(cString: name) : nil
    }
}
