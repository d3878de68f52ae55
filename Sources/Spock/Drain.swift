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
    static func syncEvent(transactional: Bool) -> SQL {
        // Releases before the argument came know the plain form only.
        transactional ? "SELECT spock.sync_event(true) AS lsn" : "SELECT spock.sync_event() AS lsn"
    }

    /// Writes a mark into the WAL that moves every subscriber's origin once it is reached; allowed in read-only mode.
    /// - Parameter transactional: a commit of its own: on 5.0.x a standby of the subscriber then replays the position too.
    public func syncEvent(transactional: Bool = false, deadline: Deadline) async throws -> LSN {
        try await query(SpockSession.syncEvent(transactional: transactional), deadline).one().get("lsn")
    }
}

/// Waits until everything written on every provider up to now is applied on its subscribers, all directions at once.
///
/// Each provider writes one sync event, whatever the number of its subscribers. Every session is used by one direction as provider
/// and another as subscriber at the same time, which is well: each look is one statement.
/// - Throws: `DeadlineExceeded` for the first direction that did not make it.
public func drain(_ directions: [Direction], deadline: Deadline) async throws -> [Drained] {
    try await drain(directions, deadline: deadline) { direction, target in
        try await direction.subscriber.server.waitApplied(direction.origin, to: target, of: direction.provider.name, deadline: deadline)
    }
}

/// The same, each direction for as long as it moves.
/// - Parameter tell: takes the line that says that one does not.
/// - Throws: `Stalled` for the first direction that does not move.
public func drain(_ directions: [Direction], with patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws -> [Drained] {
    try await drain(directions, deadline: .after(.seconds(60))) { direction, target in
        try await direction.subscriber.server.waitApplied(
            direction.origin, to: target, of: direction.provider.name, with: patience, why: { try await direction.obstacle() }, tell: tell)
    }
}

extension Direction {
    /// Why it may stand still.
    fileprivate func obstacle() async throws -> Obstacle? {
        let slots = try await provider.server.slots(deadline: .after(.seconds(20)))
        guard let slot = slots.first(where: { $0.name.rawValue == origin.rawValue }) else { return Obstacle("\(provider.name) has no slot \(origin)") }
        return slot.isActive ? nil : Obstacle("\(subscriber.name) does not read the slot \(slot.name) on \(provider.name)")
    }
}

private func drain(
    _ directions: [Direction], deadline: Deadline, _ waitApplied: @escaping @Sendable (Direction, LSN) async throws -> LSN
) async throws -> [Drained] {
    let providers = Dictionary(directions.map { ($0.provider.name, $0.provider) }) { first, _ in first }
    let events = try await withThrowingTaskGroup(of: (String, LSN).self) { group in
        for (name, session) in providers {
            group.addTask { (name, try await session.syncEvent(deadline: deadline)) }
        }
        return try await group.reduce(into: [String: LSN]()) { events, event in events[event.0] = event.1 }
    }
    return try await withThrowingTaskGroup(of: Drained.self) { group in
        for direction in directions {
            guard let target = events[direction.provider.name] else { continue }
            group.addTask {
                let applied = try await waitApplied(direction, target)
                return Drained(provider: direction.provider.name, subscriber: direction.subscriber.name, lsn: target, applied: applied)
            }
        }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
