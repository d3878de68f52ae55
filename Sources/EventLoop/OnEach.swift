/// Does the same on several nodes, or with several things, at once.
///
/// - Returns: the results by node.
/// - Throws: the first error, after the others were told to stop.
public func onEach<Key: Hashable & Sendable, Value: Sendable>(
    _ keys: [Key], _ work: @escaping @Sendable (Key) async throws -> Value
) async throws -> [Key: Value] {
    try await withThrowingTaskGroup(of: (Key, Value).self) { group in
        for key in keys { group.addTask { (key, try await work(key)) } }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
}

/// As ``onEach(_:_:)``, but to the end on every node: one result a node, whether it worked or not.
public func attemptOnEach<Value: Sendable>(
    _ names: [String], _ work: @escaping @Sendable (String) async throws -> Value
) async -> [(name: String, result: Result<Value, any Error>)] {
    await withTaskGroup(of: (String, Result<Value, any Error>).self) { group in
        for name in names {
            group.addTask {
                do { return (name, .success(try await work(name))) } catch { return (name, .failure(error)) }
            }
        }
        let results = await group.reduce(into: [String: Result<Value, any Error>]()) { $0[$1.0] = $1.1 }
        return names.compactMap { name in results[name].map { (name, $0) } }
    }
}
