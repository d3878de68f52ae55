internal import CLibSSH2
internal import EventLoop
import Glibc

/// Commands: a channel each, read to the program's own end.
extension SSHSession {
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

    func converse(
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
    func lastWords(of channel: OpaquePointer, what: String, deadline: Deadline) async throws -> String {
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
}
