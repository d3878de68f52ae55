public import Report

/// A stretch of steps that leaves something closed which must be opened again on every way out.
///
/// From the moment the step ``opens`` begins until ``closes`` is done, an error, a cancellation or a lost connection
/// leads through ``release``, and so does what ``watch`` throws.
public struct Bracket: Sendable {
    public let name: String
    /// The name of the step that it begins with.
    public let opens: String
    /// The name of the step that it ends with.
    public let closes: String
    /// Runs beside each step in between, and is cancelled at its end. What it throws ends the step: the closed thing can
    /// be kept no longer.
    public let watch: @Sendable () async throws -> Void
    /// Opens what is closed, everywhere it can be reached. Returns what could not be opened, one problem each.
    public let release: @Sendable () async -> [Problem]
    /// Whether it has ended before ``closes`` was done: there is no way back, and nothing is opened.
    public let isOver: @Sendable () -> Bool

    public init(
        _ name: String, opens: String, closes: String, watch: @escaping @Sendable () async throws -> Void = {},
        isOver: @escaping @Sendable () -> Bool = { false }, release: @escaping @Sendable () async -> [Problem]
    ) {
        self.name = name
        self.opens = opens
        self.closes = closes
        self.watch = watch
        self.release = release
        self.isOver = isOver
    }
}

/// Runs `work` until it ends or `watch` throws: then `work` is cancelled, and what `watch` threw is the error.
public func watched<Value: Sendable>(
    by watch: @escaping @Sendable () async throws -> Void, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await watch()
            return nil
        }
        defer { group.cancelAll() }
        while let result = try await group.next() {
            if let value = result { return value }
        }
        throw CancellationError()
    }
}
