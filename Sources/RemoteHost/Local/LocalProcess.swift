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
        // The shell ends right after its last mark; nothing else waits for it.
        defer { ChildProgram.reap(child) }
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

    private func isOpen(_ descriptor: Int32) -> Bool { streams[descriptor] != nil }

    private func watch(_ descriptor: Int32) {
        loop.register(descriptor, for: .once) { [weak self] _ in self?.assumeIsolated { $0.wake() } }
    }

    private func release(_ descriptor: Int32) {
        guard let stream = streams.removeValue(forKey: descriptor) else { return }
        loop.unregister(stream.raw)
    }

    private func spawn(_ line: String) throws -> (child: pid_t, input: Int32, output: Int32, errorOutput: Int32) {
        let (inputRead, inputWrite) = try Self.pipe()
        let (outputRead, outputWrite) = try Self.pipe()
        let (errorRead, errorWrite) = try Self.pipe()
        let child = try ChildProgram.start("/bin/sh", ["sh", "-c", line], streams: [inputRead, outputWrite, errorWrite])
        for stream in [inputWrite, outputRead, errorRead] {
            stream.setNonBlocking()
            streams[stream.raw] = stream
        }
        return (child, inputWrite.raw, outputRead.raw, errorRead.raw)
    }

    static func pipe() throws -> (read: Descriptor, write: Descriptor) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemFailure(code: errno) }
        return (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
    }
}
