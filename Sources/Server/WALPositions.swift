public import EventLoop
public import PostgresClient
import PostgresConfig

/// How far a standby is, and whether it is one.
public struct RecoveryState: Sendable, Hashable {
    public var isInRecovery: Bool
    /// Streamed and flushed; `nil` where nothing was streamed since the start.
    public var receivedLSN: LSN?
    /// `nil` where nothing was replayed since the start.
    public var replayedLSN: LSN?
    /// Whether a receiver runs; before 9.6, whether one has received anything since the start.
    public var isReceiving: Bool
    /// Whether the receiver streams. Before 9.6 as ``isReceiving``: the primary's view then tells the rest.
    public var isStreaming: Bool

    public init(isInRecovery: Bool, receivedLSN: LSN? = nil, replayedLSN: LSN? = nil, isReceiving: Bool = false, isStreaming: Bool = false) {
        (self.isInRecovery, self.receivedLSN, self.replayedLSN) = (isInRecovery, receivedLSN, replayedLSN)
        (self.isReceiving, self.isStreaming) = (isReceiving, isStreaming)
    }

    static func read(_ features: ServerFeatures) -> SQL {
        let received: SQL = "\(wal: .lastReceive, features)()"
        let receiver: (SQL) -> SQL = { features.hasWALReceiverView ? "EXISTS (SELECT 1 FROM pg_stat_wal_receiver\($0))" : "\(received) IS NOT NULL" }
        return """
            SELECT pg_is_in_recovery() AS in_recovery, \(received) AS received, \(wal: .lastReplay, features)() AS replayed, \
            \(receiver("")) AS receives, \(receiver(" WHERE status = 'streaming'")) AS streams
            """
    }

    init(row: Row) throws {
        isInRecovery = try row.get("in_recovery")
        receivedLSN = try row.optional("received")
        replayedLSN = try row.optional("replayed")
        isReceiving = try row.get("receives")
        isStreaming = try row.get("streams")
    }
}

extension SQL.Interpolation {
    /// The name of a function that is called otherwise before 10.
    mutating func appendInterpolation(wal function: ServerFeatures.WALFunction, _ features: ServerFeatures) {
        appendInterpolation(SQL(stringLiteral: features.functionName(function)))
    }
}

enum WALPosition {
    /// Returns a row as soon as a standby has replayed up to `target`, and none after about `time`.
    static func waitReplayed(_ target: LSN, _ time: Duration, _ features: ServerFeatures) -> SQL {
        // Before 9.4 positions cannot be compared there.
        guard features.slots.exist else { return "SELECT pg_sleep(0.01)" }
        return """
            SELECT n AS looks FROM generate_series(1, \(Int(time / .milliseconds(5)))) n \
            WHERE CASE WHEN \(wal: .lastReplay, features)() >= \(target)::pg_lsn OR NOT pg_is_in_recovery() THEN true ELSE pg_sleep(0.005) IS NULL END LIMIT 1
            """
    }

    /// What a server has of the log that it can send: a standby what it has replayed.
    static func sendable(_ features: ServerFeatures) -> SQL {
        "SELECT CASE WHEN pg_is_in_recovery() THEN \(wal: .lastReplay, features)() ELSE \(wal: .current, features)() END AS lsn"
    }

    /// Whether a primary has a file of the log, of the timeline that it writes, and so all that came after it; from 10 on.
    static func hasSegment(_ name: String, _ features: ServerFeatures) -> SQL {
        """
        SELECT CASE WHEN pg_is_in_recovery() THEN false ELSE left(\(name)::text, 8) = left(\(wal: .fileName, features)(\(wal: .currentInsert, features)()), 8) \
        AND EXISTS (SELECT FROM pg_ls_waldir() WHERE name = \(name)::text) END AS has
        """
    }

    static func of(_ function: ServerFeatures.WALFunction, _ features: ServerFeatures) -> SQL { "SELECT \(wal: function, features)() AS lsn" }
}

extension ServerSession {
    /// What is written; a primary only.
    public func currentLSN(deadline: Deadline) async throws -> LSN {
        try await look(WALPosition.of(.current, features), deadline).one().get("lsn")
    }

    /// Whether it is a primary and has a file of the log, of its own timeline, and so all that came after it; from 10 on.
    public func hasSegment(_ name: String, deadline: Deadline) async throws -> Bool {
        try await look(WALPosition.hasSegment(name, features), deadline).one().get("has")
    }

    /// Past every commit seen before, also those made with `synchronous_commit = off`; a primary only.
    public func insertLSN(deadline: Deadline) async throws -> LSN {
        try await look(WALPosition.of(.currentInsert, features), deadline).one().get("lsn")
    }

    /// What is on disk; a primary only. `nil` before 9.6, which does not say it.
    public func flushedLSN(deadline: Deadline) async throws -> LSN? {
        guard features.hasFlushPosition else { return nil }
        return try await look(WALPosition.of(.currentFlush, features), deadline).one().get("lsn")
    }

    /// Whether this is a standby, and how far it is.
    public func recovery(deadline: Deadline) async throws -> RecoveryState {
        try RecoveryState(row: try await look(RecoveryState.read(features), deadline).one())
    }

    public func isInRecovery(deadline: Deadline) async throws -> Bool { try await recovery(deadline: deadline).isInRecovery }

    /// Waits until this standby has replayed the WAL of `primary` up to `target`.
    /// - Parameter primary: as errors name it.
    /// - Throws: `DeadlineExceeded`, which says how far it is behind; ``ServerError/promoted(node:)``.
    public func waitReplayed(to target: LSN, of primary: String, deadline: Deadline) async throws {
        try await wait(for: "\(name) to replay \(primary) up to \(target)", until: deadline, every: .zero) { () -> Look<Void> in
            // Not for long: what a statement on a standby sees may be what the replay waits for.
            let answers = try await connection.query(
                together: [WALPosition.waitReplayed(target, .milliseconds(250), features), RecoveryState.read(features)], deadline: deadline.forLook)
            let state = try RecoveryState(row: answers[1].one())
            guard state.isInRecovery else { throw ServerError.promoted(node: name) }
            guard let replayed = state.replayedLSN else { return .notYet("nothing was replayed yet") }
            if replayed >= target { return .found(()) }
            let pause = try await isReplayPaused(deadline: deadline.forLook) ? ": its replay is paused (SELECT \(features.functionName(.resumeReplay))() resumes it)" : ""
            return .notYet("replayed up to \(replayed), \(target.bytes(since: replayed)) bytes behind\(pause)")
        }
    }

    /// Whether somebody, or the end of a recovery, has stopped the replay; a standby only.
    public func isReplayPaused(deadline: Deadline) async throws -> Bool {
        try await look("SELECT \(wal: .isReplayPaused, features)() AS paused", deadline).one().get("paused")
    }

    /// Waits until this standby has the WAL of `primary` up to `target` on disk, whenever it replays it.
    /// - Throws: `DeadlineExceeded`, which says how far it is behind; ``ServerError/promoted(node:)``.
    public func waitReceived(to target: LSN, of primary: String, deadline: Deadline) async throws {
        try await wait(for: "\(name) to receive \(primary) up to \(target)", until: deadline, every: .milliseconds(200)) { () -> Look<Void> in
            let state = try await recovery(deadline: deadline.forLook)
            guard state.isInRecovery else { throw ServerError.promoted(node: name) }
            guard let reached = [state.receivedLSN, state.replayedLSN].compactMap(\.self).max() else { return .notYet("nothing was received yet") }
            return reached >= target ? .found(()) : .notYet("received up to \(reached), \(target.bytes(since: reached)) bytes behind")
        }
    }

    /// What is written, or, on a standby, what it has replayed: what others can stream from here.
    public func sendableLSN(deadline: Deadline) async throws -> LSN {
        try await look(WALPosition.sendable(features), deadline).one().optional("lsn") ?? .zero
    }

    /// Bytes that this standby has still to replay of what `primary` has written, or has replayed where that is a standby itself, and how
    /// far it is. One that has replayed nothing is behind by everything.
    public func replay(behind primary: ServerSession, deadline: Deadline) async throws -> (lag: Int64, state: RecoveryState) {
        async let written = primary.sendableLSN(deadline: deadline)
        async let state = recovery(deadline: deadline)
        let (end, now) = try await (written, state)
        return (end.bytes(since: now.replayedLSN ?? .zero), now)
    }
}
