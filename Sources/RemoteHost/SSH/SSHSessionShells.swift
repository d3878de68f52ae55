internal import CLibSSH2
internal import EventLoop
import Glibc

/// The shells that are kept on a connection. One for each OS user is there before it is needed; there are as many as the user
/// has had programs at once, a few, and they make way when their places are needed.
extension SSHSession {
    struct Shells {
        /// Nothing runs in them; the one that was used last comes last.
        var idle: [KeptShell] = []
        /// How many are being started, for each user.
        var starting: [String: Int] = [:]
        /// How many programs run in one, for each user.
        var used: [String: Int] = [:]
        /// How many programs run, for each user, and have at once.
        var running: [String: Int] = [:]
        var most: [String: Int] = [:]
        /// Until when none is tried again: the user's shell did not come to be.
        var refused: [String: ContinuousClock.Instant] = [:]
        /// How many programs have run in one.
        var served = 0
        /// How many have been told to end and hold their places still.
        var ending = 0
        /// As whom their lines are run by the login shell.
        var loginUser: String?
    }

    /// How many of a user's shells stay: one, and one for who comes while that is used; more where more has run at once.
    private static let (kept, keptAtMost) = (2, 4)
    private static let startLimit = Duration.seconds(30)
    private static let refusal = Duration.seconds(60)

    /// From here on shells are kept, the first of them for the one who logged in.
    func keepShells(loginUser: String) {
        shells.loginUser = loginUser
        keepEnough(for: loginUser)
    }

    /// Tells that a program of `user` runs or, with -1, that it runs no more.
    func count(_ change: Int, for user: String) {
        let now = (shells.running[user] ?? 0) + change
        shells.running[user] = now
        shells.most[user] = max(now, shells.most[user] ?? 0)
        if change > 0 { keepEnough(for: user) }
    }

    // MARK: One for a program

    /// An idle shell of `user` that is alive.
    func takeShell(of user: String) -> KeptShell? {
        while let place = shells.idle.lastIndex(where: { $0.user == user }) {
            let shell = shells.idle.remove(at: place)
            if isAlive(shell) { return shell }
            end(shell)
        }
        return nil
    }

    /// Runs `command` in `shell`; `nil` where the shell ended before the program began, so that it can be run elsewhere.
    func execute(
        _ request: [UInt8], in shell: KeptShell, _ start: ProgramReport, limit: TimeLimit, onLine: (@Sendable (String) -> Void)?
    ) async throws -> Execution? {
        var report = start
        report.watcherNonce = shell.nonce
        var isClean = false
        shells.used[shell.user, default: 0] += 1
        defer {
            shells.used[shell.user, default: 0] -= 1
            if isClean { giveBack(shell) } else { end(shell) }
        }
        let execution = try await converse(
            shell.channel, report, input: shell.unwritten + request, isShell: true, limit: limit, onLine: onLine)
        switch execution {
        case .ended:
            isClean = true
            shells.served += 1
        case .vanished(let report, _) where !report.began: return nil
        case .vanished, .interrupted: break
        }
        return execution
    }

    private func giveBack(_ shell: KeptShell) {
        shell.unwritten = KeptShell.receipt
        guard case .open = phase, idleShells(of: shell.user) < max(Self.kept, wanted(for: shell.user)) else { return end(shell) }
        // While keys are exchanged nothing is taken: then it goes with the next request.
        let written = shell.unwritten.withUnsafeBytes { bytes in
            libssh2_channel_write_ex(shell.channel, 0, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        if written > 0 { shell.unwritten.removeFirst(written) }
        watchForWritable()
        shells.idle.append(shell)
        wake()
    }

    private func isAlive(_ shell: KeptShell) -> Bool {
        guard case .open = phase else { return false }
        var buffer = [CChar](repeating: 0, count: 4096)
        for stream in [0, Int32(SSH_EXTENDED_DATA_STDERR)] {
            while libssh2_channel_read_ex(shell.channel, stream, &buffer, buffer.count) > 0 {}
        }
        watchForWritable()
        return libssh2_channel_eof(shell.channel) == 0 && libssh2_channel_get_exit_status(shell.channel) == 0 && exitSignal(of: shell.channel) == nil
    }

    // MARK: Coming and going

    private func idleShells(of user: String) -> Int { shells.idle.count { $0.user == user } }
    private func wanted(for user: String) -> Int { min(Self.keptAtMost, max(1, shells.most[user] ?? 0)) }

    /// Starts shells of `user`, so that one waits and there are as many as are wanted, unless there is room for programs only.
    func keepEnough(for user: String) {
        guard case .open = phase, let loginUser = shells.loginUser, sessionQueue.isEmpty, shells.refused[user].map({ $0 <= .now }) ?? true else { return }
        while placesTaken + 1 < sessionLimit {
            let (used, coming) = (shells.used[user] ?? 0, idleShells(of: user) + (shells.starting[user] ?? 0))
            guard coming == 0 || used + coming < wanted(for: user) else { return }
            shells.starting[user, default: 0] += 1
            placesTaken += 1
            Task {
                if let shell = await startShell(of: user, loginUser: loginUser) {
                    shells.idle.append(shell)
                } else {
                    // Why, the next program hears on a channel of its own.
                    shells.refused[user] = .now + Self.refusal
                }
                shells.starting[user, default: 0] -= 1
                wake()
            }
        }
    }

    private func startShell(of user: String, loginUser: String) async -> KeptShell? {
        let what = "a shell of \(user) on \(host)", deadline = Deadline.after(Self.startLimit)
        return await interruptible(until: deadline) {
            let nonce = ProgramReport.freshNonce()
            let channel: OpaquePointer
            do {
                // An abandoned question gives its place back when the server has answered it.
                switch try await answer(to: opening(.session), in: openings, what, deadline: deadline) {
                case .success(let opened): channel = opened
                case .failure:
                    placesTaken -= 1
                    return nil
                }
            } catch {
                return nil
            }
            do {
                let line = KeptShell.line(user: user, nonce: nonce, loginUser: loginUser)
                guard try await begin(line, on: channel, what, interruption: { _ in lateness(what, deadline) }) == nil else {
                    closeLater(channel, isSession: true)
                    return nil
                }
            } catch {
                return nil
            }
            var report = ProgramReport(nonce: nonce)
            do {
                try await awaitBeginning(on: channel, &report, what, deadline: deadline)
            } catch {
                // The connection's end, or a login that waits for something.
            }
            let shell = KeptShell(user: user, nonce: nonce, channel: channel)
            guard report.began else {
                end(shell)
                return nil
            }
            return shell
        }
    }

    /// Tells a shell to end, with its input's end, and gives its place back when it has.
    func end(_ shell: KeptShell) {
        guard engine.handle != nil else { return }
        shells.ending += 1
        libssh2_channel_send_eof(shell.channel)
        closeLater(shell.channel, isSession: true) { self.shells.ending -= 1 }
    }

    /// Makes room by ending the shell that was used longest ago and that nobody waits for, where not enough are ending already.
    func makeRoom() {
        guard shells.ending < sessionQueue.count, let place = shells.idle.firstIndex(where: { shell in !sessionQueue.contains { $0.user == shell.user } })
        else { return }
        end(shells.idle.remove(at: place))
    }

    /// Looks at the shells that wait: one that was killed meanwhile is replaced before it is needed.
    func lookAfterShells() {
        let dead = shells.idle.filter { !isAlive($0) }
        shells.idle.removeAll { shell in dead.contains { $0 === shell } }
        for shell in dead {
            end(shell)
            keepEnough(for: shell.user)
        }
    }
}
