import Glibc
import Synchronization
import Testing

@testable import EventLoop

/// What an actor that owns a descriptor looks like.
private actor Owner {
    nonisolated let loop = EventLoop.next()
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private(set) var fired: [Int] = []
    private var bytes = 0
    private var waiting: CheckedContinuation<Void, Never>?

    func count(upTo limit: Int, on descriptor: Int32) async -> Int {
        loop.register(descriptor, for: .readable) { [self] readiness in
            assumeIsolated { $0.drain(descriptor, upTo: limit, readiness) }
        }
        await withCheckedContinuation { waiting = $0 }
        loop.unregister(descriptor)
        return bytes
    }

    private func drain(_ descriptor: Int32, upTo limit: Int, _ readiness: EventLoop.Readiness) {
        var buffer = [UInt8](repeating: 0, count: 1000)
        bytes += max(0, read(descriptor, &buffer, buffer.count))
        guard bytes >= limit else { return }
        waiting?.resume()
        waiting = nil
    }

    func fire(_ delays: [Duration], cancelling cancelled: Int? = nil) async -> [Int] {
        fired = []
        let start = ContinuousClock.now
        await withCheckedContinuation { continuation in
            var timers: [EventLoop.Timer] = []
            for (number, delay) in delays.enumerated() {
                timers.append(loop.schedule(at: start + delay) { [self] in assumeIsolated { $0.fired.append(number) } })
            }
            if let cancelled { loop.cancel(timers[cancelled]) }
            _ = loop.schedule(at: start + (delays.max() ?? .zero)) { continuation.resume() }
        }
        return fired
    }

    func isOnItsThread() -> Bool {
        loop.checkIsolated()
        return true
    }
}

@Suite struct EventLoopTests {
    @Test func whatIsWrittenArrivesWhereItIsWaitedFor() async {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        defer {
            close(reader)
            close(writer)
        }
        let owner = Owner()
        async let counted = owner.count(upTo: 2500, on: reader)
        let bytes = [UInt8](repeating: 1, count: 500)
        for _ in 0..<5 { #expect(write(writer, bytes, bytes.count) == 500) }
        #expect(await counted == 2500)
    }

    @Test func timersFireInTheirOrderAndNotBeforeTheirTime() async {
        let start = ContinuousClock.now
        let fired = await Owner().fire([.milliseconds(60), .milliseconds(20), .milliseconds(40), .milliseconds(20)])
        #expect(fired == [1, 3, 2, 0])
        #expect(ContinuousClock.now - start >= .milliseconds(60))
    }

    @Test func aCancelledTimerDoesNotFire() async {
        #expect(await Owner().fire([.milliseconds(10), .milliseconds(20), .milliseconds(30)], cancelling: 1) == [0, 2])
    }

    @Test func anActorRunsOnTheThreadOfItsLoop() async {
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<50 { group.addTask { await Owner().isOnItsThread() } }
            for await onThread in group { #expect(onThread) }
        }
    }

    @Test func aWriteToAPipeThatNobodyReadsIsAnErrorAndNotTheEnd() async {
        actor Writer {
            nonisolated let loop = EventLoop.next()
            nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
            func write(to descriptor: Int32) -> Int32 { Glibc.write(descriptor, "x", 1) < 0 ? errno : 0 }
        }
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        close(ends[0])
        #expect(await Writer().write(to: ends[1]) == EPIPE)
        close(ends[1])
    }
}
