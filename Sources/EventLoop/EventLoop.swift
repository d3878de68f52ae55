internal import CEpoll
import Glibc
import Report
import Synchronization

/// One thread that waits on many file descriptors and runs the actors bound to it.
///
/// An actor that owns a socket takes a loop as its executor, registers the socket, and is then called on its own
/// isolation whenever the socket is ready: no locks, no hand-over between threads. A few loops serve all hosts.
///
/// ```swift
/// actor Session {
///     private nonisolated let loop = EventLoop.next()
///     nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
/// }
/// ```
public final class EventLoop: SerialExecutor, @unchecked Sendable {
    /// What a descriptor became ready for. `closed` covers hang-up and error.
    public struct Readiness: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Readiness(rawValue: EPOLLIN.rawValue)
        public static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
        public static let closed = Readiness(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue)
        /// In an interest: report once, then nothing more until ``EventLoop/change(_:to:)`` asks again. For descriptors whose
        /// readiness is dealt with by a task, which comes to it a little later.
        public static let once = Readiness(rawValue: EPOLLONESHOT.rawValue)
    }

    public struct Timer: Hashable, Sendable { fileprivate let number: UInt64 }

    private static let all: [EventLoop] = (0..<2).map { _ in EventLoop() }
    private static let turn = Atomic<Int>(0)

    /// The loop whose turn it is to take the next socket.
    public static func next() -> EventLoop {
        all[turn.wrappingAdd(1, ordering: .relaxed).oldValue % all.count]
    }

    private struct Inbox { var jobs: [UnownedJob] = [], woken = false }
    private let inbox = Mutex(Inbox())
    private let epoll: Int32
    private let wakeup: Int32
    // Touched on the loop's own thread only (`checkIsolated` guards every entry).
    private var thread = pthread_t()
    private var handlers: [Int32: (Readiness) -> Void] = [:]
    private var timers: [(at: ContinuousClock.Instant, timer: Timer, fire: () -> Void)] = []
    private var lastTimer: UInt64 = 0

    private init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wakeup = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(epoll >= 0 && wakeup >= 0, "no event loop: \(SystemFailure(code: errno).fact)")
        control(EPOLL_CTL_ADD, wakeup, .readable)
        do {
            try OffLoop.detach { [self] in run() }
        } catch {
            preconditionFailure("no thread for an event loop: \(error.fact)")
        }
    }

    // MARK: The executor

    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        let wake = inbox.withLock { inbox in
            inbox.jobs.append(unowned)
            defer { inbox.woken = true }
            return !inbox.woken
        }
        if wake { eventfd_write(wakeup, 1) }
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    public func checkIsolated() {
        precondition(pthread_equal(pthread_self(), thread) != 0, "not on the event loop's thread")
    }

    // MARK: Descriptors and timers; on the loop's thread only

    /// Calls `handler` on this loop whenever `descriptor` is ready. The caller keeps the descriptor open until ``unregister(_:)``.
    public func register(_ descriptor: Int32, for interest: Readiness, _ handler: @escaping (Readiness) -> Void) {
        checkIsolated()
        handlers[descriptor] = handler
        control(EPOLL_CTL_ADD, descriptor, interest)
    }

    public func change(_ descriptor: Int32, to interest: Readiness) {
        checkIsolated()
        control(EPOLL_CTL_MOD, descriptor, interest)
    }

    public func unregister(_ descriptor: Int32) {
        checkIsolated()
        guard handlers.removeValue(forKey: descriptor) != nil else { return }
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
    }

    /// Calls `fire` once at `instant`, unless the timer is cancelled before.
    public func schedule(at instant: ContinuousClock.Instant, _ fire: @escaping () -> Void) -> Timer {
        checkIsolated()
        lastTimer += 1
        let timer = Timer(number: lastTimer)
        let place = timers.firstIndex { $0.at > instant } ?? timers.endIndex
        timers.insert((instant, timer, fire), at: place)
        return timer
    }

    public func cancel(_ timer: Timer) {
        checkIsolated()
        timers.removeAll { $0.timer == timer }
    }

    // MARK: The thread

    private func control(_ operation: Int32, _ descriptor: Int32, _ interest: Readiness) {
        var event = epoll_event()
        event.events = interest.rawValue
        event.data.fd = descriptor
        let result = epoll_ctl(epoll, operation, descriptor, &event)
        precondition(result == 0, "epoll_ctl on descriptor \(descriptor): \(SystemFailure(code: errno).fact)")
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        thread = pthread_self()
        // A pipe whose reader has gone is an error of that write, not the end of the process.
        var pipeSignal = sigset_t()
        sigemptyset(&pipeSignal)
        sigaddset(&pipeSignal, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &pipeSignal, nil)
        while true {
            let jobs = inbox.withLock { inbox in
                defer { inbox = Inbox() }
                return inbox.jobs
            }
            for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
            while let next = timers.first, next.at <= .now {
                timers.removeFirst()
                next.fire()
            }
            let ready = epoll_wait(epoll, &events, Int32(events.count), pause())
            for index in 0..<Int(max(0, ready)) {
                let descriptor = events[index].data.fd
                if descriptor == wakeup {
                    var count: eventfd_t = 0
                    eventfd_read(wakeup, &count)
                } else {
                    handlers[descriptor]?(Readiness(rawValue: events[index].events))
                }
            }
        }
    }

    /// How long to wait for descriptors, in milliseconds: not at all with jobs waiting, until the next timer otherwise.
    private func pause() -> Int32 {
        if inbox.withLock({ !$0.jobs.isEmpty }) { return 0 }
        guard let next = timers.first else { return -1 }
        let milliseconds = (ContinuousClock.Instant.now.duration(to: next.at).seconds * 1000).rounded(.up)
        return Int32(max(0, min(milliseconds, 60_000)))
    }
}
