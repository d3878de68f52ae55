internal import CEpoll
internal import EventLoop
import Glibc

/// One `sh -c` line of this machine, in a session of its own.
actor LocalProcess: LoopActor {
    nonisolated let loop = EventLoop.next()
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    nonisolated(unsafe) let parking = Parking()
    var users = 0

    private var streams: [Int32: Descriptor] = [:]

    isolated deinit {
        for descriptor in streams.keys { loop.unregister(descriptor) }
    }

    /// - Throws: ``SystemFailure`` when there is no process.
    func execute(
        _ line: String, _ start: ProgramReport, input: [UInt8], what: String, deadline: Deadline,
        onLine: (@Sendable (String) -> Void)?
    ) async throws -> Execution {
        try requireTime(what, deadline)
        var report = start
        var limit = TimeLimit(what, deadline)
        let (child, standardInput, output, errorOutput) = try spawn(line)
        defer { reap(child) }
        for descriptor in [standardInput, output, errorOutput] { watch(descriptor) }
        if input.isEmpty { release(standardInput) }
        defer { for stream in [standardInput, output, errorOutput] { release(stream) } }

        return await interruptible(until: deadline) {
            var written = 0
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                if written < input.count {
                    let count = input.withUnsafeBytes { write(standardInput, $0.baseAddress.map { $0 + written }, input.count - written) }
                    if count > 0 { written += count } else if count < 0, errno != EAGAIN, errno != EINTR { written = input.count }
                    if written == input.count { release(standardInput) }
                }
                for (descriptor, stream) in [(output, ProgramReport.Stream.output), (errorOutput, .errorOutput)] where isOpen(descriptor) {
                    let count = read(descriptor, &buffer, buffer.count)
                    if count > 0 {
                        buffer.withUnsafeBytes { report.take(UnsafeRawBufferPointer(rebasing: $0[..<count]), from: stream, onLine: onLine) }
                    } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                        release(descriptor)
                    }
                }
                if report.ended { return .ended(report) }
                if !isOpen(output), !isOpen(errorOutput) {
                    return .vanished(report, detail: "the shell around it was killed")
                }
                if let error = limit.interruption(hasBegun: report.began, wakeAt: wake(at:)) { return .interrupted(report, error) }
                for descriptor in streams.keys { loop.change(descriptor, to: descriptor == standardInput ? [.writable, .once] : [.readable, .once]) }
                await park()
            }
        }
    }

    /// The shell ends right after its last mark; nothing else waits for it.
    private func reap(_ child: pid_t) {
        let wait: @Sendable () -> Void = {
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
        }
        do { try OffLoop.detach(wait) } catch { wait() }
    }

    private func isOpen(_ descriptor: Int32) -> Bool { streams[descriptor] != nil }

    private func watch(_ descriptor: Int32) {
        loop.register(descriptor, for: .once) { [weak self] _ in self?.assumeIsolated { $0.wake() } }
    }

    private func release(_ descriptor: Int32) {
        guard let stream = streams.removeValue(forKey: descriptor) else { return }
        loop.unregister(stream.raw)
    }

    private func spawn(_ line: String) throws -> (child: pid_t, input: Int32, output: Int32, errorOutput: Int32) {
        let (inputRead, inputWrite) = try pipe()
        let (outputRead, outputWrite) = try pipe()
        let (errorRead, errorWrite) = try pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (descriptor, number) in [(inputRead, Int32(0)), (outputWrite, 1), (errorWrite, 2)] {
            posix_spawn_file_actions_adddup2(&actions, descriptor.raw, number)
        }
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

        let child = try withCStrings(["sh", "-c", line]) { arguments in
            try withCStrings(Self.environment()) { environment in
                var child: pid_t = 0
                let result = posix_spawn(&child, "/bin/sh", &actions, &attributes, arguments, environment)
                guard result == 0 else { throw SystemFailure(code: result) }
                return child
            }
        }
        for stream in [inputWrite, outputRead, errorRead] {
            stream.setNonBlocking()
            streams[stream.raw] = stream
        }
        return (child, inputWrite.raw, outputRead.raw, errorRead.raw)
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

    private func pipe() throws -> (read: Descriptor, write: Descriptor) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemFailure(code: errno) }
        return (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
    }
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
