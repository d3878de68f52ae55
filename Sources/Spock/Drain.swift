public import EventLoop
public import PostgresClient
public import Server

/// From one node to another, over one subscription.
public struct Direction: Sendable {
    public var provider: SpockSession
    public var subscriber: SpockSession
    /// The subscription's origin on the subscriber.
    public var origin: OriginName

    public init(provider: SpockSession, subscriber: SpockSession, origin: OriginName) {
        self.provider = provider
        self.subscriber = subscriber
        self.origin = origin
    }
}

/// A direction that has been drained: everything written on the provider before `lsn` is applied on the subscriber.
public struct Drained: Sendable, Hashable, Codable {
    public var provider: String
    public var subscriber: String
    /// The sync event's LSN on the provider.
    public var lsn: LSN
    /// The subscriber's origin when it had passed.
    public var applied: LSN
}

extension SpockSession {
    // Releases before the argument came know the plain form only.
    static func syncEvent() -> SQL { "SELECT spock.sync_event() AS lsn" }

    /// Writes a mark into the WAL that moves every subscriber's origin once it is reached; allowed in read-only mode.
    public func syncEvent(deadline: Deadline) async throws -> LSN {
        try await query(SpockSession.syncEvent(), deadline).one().get("lsn")
    }
}

/// Waits until everything written on every provider up to now is applied on its subscribers, all directions at once: two round trips.
///
/// Each provider writes one sync event, whatever the number of its subscribers; each subscriber waits by itself for all of its providers.
/// - Parameters:
///   - events: sync events that were written already, by provider; the others write theirs now.
///   - flushed: a subscriber whose standby is waited for next: what it has applied is on its disk then, without which it is not streamed.
/// - Throws: `DeadlineExceeded` for the first subscriber that did not make it.
public func drain(_ directions: [Direction], after events: [String: LSN] = [:], flushing flushed: String? = nil, deadline: Deadline) async throws -> DrainedMesh {
    let targets = try await syncEvents(directions, known: events, deadline: deadline)
    let subscribers = Dictionary(grouping: directions) { $0.subscriber.name }
    return try await withThrowingTaskGroup(of: (String, [Drained], LSN).self) { group in
        for (name, incoming) in subscribers {
            guard let subscriber = incoming.first?.subscriber else { continue }
            let wanted = incoming.compactMap { direction in
                targets[direction.provider.name].map { ServerSession.Target(direction.origin, $0, of: direction.provider.name) }
            }
            group.addTask {
                let (applied, written) = try await subscriber.server.waitApplied(
                    // A sync event flushes what is written before it; an apply worker commits without.
                    wanted, then: name == flushed ? SpockSession.syncEvent() : nil, deadline: deadline)
                return (name, wanted.map { Drained(provider: $0.provider, subscriber: name, lsn: $0.lsn, applied: applied[$0.origin] ?? $0.lsn) }, written)
            }
        }
        return try await group.reduce(into: DrainedMesh()) { all, one in
            all.directions += one.1
            all.written[one.0] = one.2
        }
    }
}

/// What a drain of several directions came to.
public struct DrainedMesh: Sendable {
    public var directions: [Drained] = []
    /// By subscriber, up to where it had written when it had applied everything: a standby that has replayed that has it, too.
    public var written: [String: LSN] = [:]
}

/// The same, each direction for as long as it moves.
/// - Parameters:
///   - events: sync events that were written already, by provider; the others write theirs now.
///   - tell: takes the line that says that one does not.
/// - Throws: `Stalled` for the first direction that does not move.
public func drain(
    _ directions: [Direction], after events: [String: LSN] = [:], with patience: Patience, tell: @escaping @Sendable (String) -> Void
) async throws -> [Drained] {
    let targets = try await syncEvents(directions, known: events, deadline: .after(.seconds(60)))
    return try await withThrowingTaskGroup(of: Drained.self) { group in
        for direction in directions {
            guard let target = targets[direction.provider.name] else { continue }
            group.addTask {
                let applied = try await direction.subscriber.server.waitApplied(
                    direction.origin, to: target, of: direction.provider.name, with: patience, why: { try await direction.obstacle() }, tell: tell)
                return Drained(provider: direction.provider.name, subscriber: direction.subscriber.name, lsn: target, applied: applied)
            }
        }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}

private func syncEvents(_ directions: [Direction], known: [String: LSN], deadline: Deadline) async throws -> [String: LSN] {
    let providers = Dictionary(directions.map { ($0.provider.name, $0.provider) }) { first, _ in first }
    let written = try await onEach(providers.keys.filter { known[$0] == nil }) { try await providers[$0]?.syncEvent(deadline: deadline) }
    return known.merging(written.compactMapValues(\.self)) { old, _ in old }
}

extension Direction {
    /// Why it may stand still.
    fileprivate func obstacle() async throws -> Obstacle? {
        let slots = try await provider.server.slots(deadline: .after(.seconds(20)))
        guard let slot = slots.first(where: { $0.name.rawValue == origin.rawValue }) else { return Obstacle("\(provider.name) has no slot \(origin)") }
        return slot.isActive ? nil : Obstacle("\(subscriber.name) does not read the slot \(slot.name) on \(provider.name)")
    }
}
