internal import EventLoop
import Glibc

/// A program of this machine in a session of its own, which nothing of ours but the given descriptors comes to.
enum ChildProgram {
    /// - Parameter streams: what becomes its descriptors 0, 1 and so on.
    /// - Returns: its process, and its process group; to be ended by ``reap(_:)``.
    /// - Throws: `SystemFailure` when there is no process.
    static func start(_ program: String, _ words: [String], streams: [Descriptor]) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, stream) in streams.enumerated() { posix_spawn_file_actions_adddup2(&actions, stream.raw, Int32(number)) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var pipeSignal = sigset_t()
        sigemptyset(&pipeSignal)
        sigaddset(&pipeSignal, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &pipeSignal)
        // POSIX_SPAWN_SETSID, which glibc declares for _GNU_SOURCE only.
        let newSession: Int16 = 0x80
        posix_spawnattr_setflags(&attributes, newSession | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        return try withCStrings(words) { arguments in
            try withCStrings(environment()) { environment in
                var child: pid_t = 0
                let result = posix_spawn(&child, program, &actions, &attributes, arguments, environment)
                guard result == 0 else { throw SystemFailure(code: result) }
                return child
            }
        }
    }

    /// Waits for the end of a program that ends by itself, without keeping anybody waiting.
    /// - Parameter time: after which its process group is killed; by default never.
    static func reap(_ child: pid_t, killing time: Duration? = nil) {
        let wait: @Sendable () -> Void = {
            var status: Int32 = 0
            if let time {
                let end = ContinuousClock.now + time
                while ContinuousClock.now < end {
                    let ended = waitpid(child, &status, WNOHANG)
                    if ended == child || ended < 0 && errno != EINTR { return }
                    poll(nil, 0, 10)
                }
                kill(-child, SIGKILL)
            }
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
        }
        do { try OffLoop.detach(wait) } catch { wait() }
    }

    /// Ours, without what libpq and the PostgreSQL programs would take for settings.
    private static func environment() -> [String] {
        var all: [String] = []
        var entry = environ
        while let text = entry.pointee {
            let variable = String(cString: text)
            if isInherited(variable) { all.append(variable) }
            entry = entry.advanced(by: 1)
        }
        return all
    }

    static func isInherited(_ variable: String) -> Bool { !variable.hasPrefix("PG") }
}

private func withCStrings<Value>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) throws -> Value
) throws -> Value {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return try pointers.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { throw SystemFailure(code: ENOMEM) }
        return try body(base)
    }
}
