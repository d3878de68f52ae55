/// Runs `body` with a function that takes lines and never blocks; they reach `onOutput` in order, away from the event
/// loops, and all of them before this returns.
func delivering<Value>(
    to onOutput: (@Sendable (String) -> Void)?, _ body: ((@Sendable (String) -> Void)?) async throws -> Value
) async throws -> Value {
    guard let onOutput else { return try await body(nil) }
    let (lines, feed) = AsyncStream<String>.makeStream()
    let delivery = Task { for await line in lines { onOutput(line) } }
    do {
        let value = try await body { feed.yield($0) }
        feed.finish()
        await delivery.value
        return value
    } catch {
        feed.finish()
        await delivery.value
        throw error
    }
}
