/// What is looked at once: who asks meanwhile waits for the same look, and one that failed is done again for who asks next.
///
/// A look goes on for as long as somebody waits for it; what it has found stays.
public actor SharedLook<Value: Sendable> {
    private struct UnderWay {
        let number: Int
        let task: Task<Value, any Error>
        var waiting: Set<Int> = []
    }

    private var found: Value?
    private var underWay: UnderWay?
    /// Of looks and of those who wait for them.
    private var lastNumber = 0
    private(set) var waiters: [Int: CheckedContinuation<Value, any Error>] = [:]

    public init() {}

    /// What was found; by `look`, where nobody has looked yet. Who is cancelled waits no longer, the others do.
    /// - Throws: what the look throws; `CancellationError`.
    public func value(_ look: @escaping @Sendable () async throws -> Value) async throws -> Value {
        if let found { return found }
        if underWay == nil { begin(look) }
        lastNumber += 1
        let me = lastNumber
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard !Task.isCancelled else { return continuation.resume(throwing: CancellationError()) }
                waiters[me] = continuation
                underWay?.waiting.insert(me)
            }
        } onCancel: {
            Task { await self.leave(me) }
        }
    }

    /// What was found, or will be by the look that is under way; `nil` where there is none, or it fails.
    public var settled: Value? {
        get async {
            if let found { return found }
            guard case .success(let value)? = await underWay?.task.result else { return nil }
            return value
        }
    }

    private func begin(_ look: @escaping @Sendable () async throws -> Value) {
        lastNumber += 1
        let number = lastNumber, task = Task { try await look() }
        underWay = UnderWay(number: number, task: task)
        Task { self.end(number, await task.result) }
    }

    private func end(_ number: Int, _ result: Result<Value, any Error>) {
        if case .success(let value) = result, found == nil { found = value }
        guard let look = underWay, look.number == number else { return }
        underWay = nil
        for waiter in look.waiting { waiters.removeValue(forKey: waiter)?.resume(with: result) }
    }

    /// A look that nobody waits for any more is ended, and is not what the next one who asks waits for.
    private func leave(_ waiter: Int) {
        waiters.removeValue(forKey: waiter)?.resume(throwing: CancellationError())
        underWay?.waiting.remove(waiter)
        guard let look = underWay, look.waiting.isEmpty else { return }
        look.task.cancel()
        underWay = nil
    }
}
