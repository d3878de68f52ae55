public import Logging

extension Logger {
    /// Does `work`, and logs at `.debug` what was sent for it, to which node, how long it took and how it ended.
    ///
    /// That is one event, logged at the end, with the ``Sending`` keys in its metadata. Without `.debug` it is `work` and nothing else.
    /// - Parameters:
    ///   - text: what was sent, in one line and without secrets.
    ///   - node: the node or host it was sent to.
    ///   - user: the user it ran as, where that is the host's to say.
    ///   - ending: how it ended, from what `work` returned. An error that it threw says that by itself.
    public func sending<Value>(
        _ text: @autoclosure () -> String, to node: String, as user: String? = nil, ending: (Value) -> String, _ work: () async throws -> Value
    ) async throws -> Value {
        guard logLevel <= .debug else { return try await work() }
        let began = ContinuousClock.now
        func log(_ ending: String) {
            var metadata: Logger.Metadata = [
                Sending.node: .string(node), Sending.took: .string(began.duration(to: .now).inSeconds), Sending.ending: .string(ending),
            ]
            if let user { metadata[Sending.user] = .string(user) }
            debug("\(text())", metadata: metadata)
        }
        do {
            let value = try await work()
            log(ending(value))
            return value
        } catch {
            // Further lines are a server's details, and the statement itself.
            let fact = Problem(explaining: error).fact.split(separator: "\n").first ?? ""
            log(Redaction.redacted(fact.hasPrefix("\(node): ") ? String(fact.dropFirst(node.count + 2)) : String(fact)))
            throw error
        }
    }
}

/// The keys in the metadata of what ``Logging/Logger/sending(_:to:as:ending:_:)`` logs.
public enum Sending {
    public static let node = "node"
    public static let user = "user"
    /// As a reader says it: `12 ms`.
    public static let took = "took"
    /// `exit code 0`, `SELECT 3`, or an error's fact.
    public static let ending = "ending"
}
