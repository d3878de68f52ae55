public import EventLoop
public import PostgresClient
public import PostgresConfig

/// A standby as its primary sees it: a row of `pg_stat_replication`.
///
/// It stays there for up to `wal_sender_timeout` after the standby's host has lost power.
public struct StreamingStandby: Sendable, Hashable {
    /// Of the sender.
    public var pid: Int
    /// What the standby says in its `primary_conninfo`.
    public var application: String
    /// The standby's address; `nil` for a Unix socket.
    public var client: String?
    /// `startup`, `catchup`, `streaming`, `backup` or `stopping`.
    public var state: String
    public var sentLSN: LSN?
    public var writtenLSN: LSN?
    public var flushedLSN: LSN?
    public var replayedLSN: LSN?
    public var sync: Sync

    /// What commits on the primary have to do with it.
    public enum Sync: Sendable, Hashable, PostgresDecodable {
        case async
        /// Takes the place of one that fails.
        case potential
        /// Waited for.
        case sync
        /// One of those of which so many are waited for (from 10).
        case quorum
        /// A word this version of pggraft does not know.
        case other(String)

        public init(postgresText: String) {
            self =
                switch postgresText {
                case "async": .async
                case "potential": .potential
                case "sync": .sync
                case "quorum": .quorum
                default: .other(postgresText)
                }
        }
    }

    public init(
        pid: Int = 0, application: String, client: String? = nil, state: String = "streaming", sentLSN: LSN? = nil, writtenLSN: LSN? = nil, flushedLSN: LSN? = nil,
        replayedLSN: LSN? = nil, sync: Sync = .async
    ) {
        (self.pid, self.application, self.client, self.state) = (pid, application, client, state)
        (self.sentLSN, self.writtenLSN, self.flushedLSN, self.replayedLSN, self.sync) = (sentLSN, writtenLSN, flushedLSN, replayedLSN, sync)
    }

    public var isStreaming: Bool { state == "streaming" }

    static func all(_ features: ServerFeatures) -> SQL {
        let pid: SQL = features.activityHasState ? "pid" : "procpid AS pid"
        let positions = ServerFeatures.StandbyColumn.allCases.map { "\(identifier: features.columnName($0)) AS \(identifier: $0.rawValue)" as SQL }
        return """
            SELECT \(pid), coalesce(application_name, '') AS application, host(client_addr) AS client, coalesce(state, '') AS state, \
            \(SQL.joined(positions, separator: ", ")), coalesce(sync_state, 'async') AS sync FROM pg_stat_replication ORDER BY application_name, 1
            """
    }

    // A subquery would be asked once, for all rows.
    /// Returns a row as soon as this standby streams, and none after about `time`.
    static func waitStreaming(_ time: Duration) -> SQL {
        """
        SELECT n AS looks FROM generate_series(1, \(Int(time / .milliseconds(5)))) n WHERE CASE WHEN \
        (pg_stat_get_wal_receiver()).status = 'streaming' THEN true ELSE pg_sleep(0.005) IS NULL END LIMIT 1
        """
    }

    init(row: Row) throws {
        pid = try row.get("pid")
        application = try row.get("application")
        client = try row.optional("client")
        state = try row.get("state")
        sentLSN = try row.optional("sent")
        writtenLSN = try row.optional("write")
        flushedLSN = try row.optional("flush")
        replayedLSN = try row.optional("replay")
        sync = try row.get("sync")
    }
}

extension ServerSession {
    /// Everyone this server sends WAL to, in order of name: standbys, base backups, logical subscribers.
    public func standbys(deadline: Deadline) async throws -> [StreamingStandby] {
        try await look(StreamingStandby.all(features), deadline).map(StreamingStandby.init(row:))
    }

    /// Whether this standby receives WAL right now from `primary`, to which it is known as `application`, or does within about `time`. The
    /// primary alone would say so for a minute after the standby has lost power.
    public func isStreaming(from primary: ServerSession, as application: String, within time: Duration = .zero, deadline: Deadline) async throws -> Bool {
        if time > .zero, features.hasWALReceiverView { try await connection.query(StreamingStandby.waitStreaming(time), deadline: deadline) }
        async let state = recovery(deadline: deadline)
        async let standbys = primary.standbys(deadline: deadline)
        // Both are awaited: one that is left is cancelled, at the cost of another connection.
        let (receiver, senders) = try await (state, standbys)
        return receiver.isStreaming && senders.contains { $0.application == application && $0.isStreaming }
    }

    /// Which standbys a commit waits for.
    /// - Throws: `UnexpectedAnswer` for a list that this version of pggraft cannot read.
    public func synchronousStandbyNames(deadline: Deadline) async throws -> StandbyNames {
        let value = try await settings(["synchronous_standby_names"], deadline: deadline)["synchronous_standby_names"] ?? ""
        guard let names = StandbyNames(value, version: features.version) else {
            throw UnexpectedAnswer(node: name, text: "synchronous_standby_names = \(value)")
        }
        return names
    }
}
