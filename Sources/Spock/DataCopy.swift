public import EventLoop
public import PostgresClient
import Server

/// The subscription by which a new node gets structure and data of its source, and then everything that the source writes *and applies*, in the source's
/// own order. It is there until the node reads every member by itself.
public struct DataCopy: Sendable {
    public var name: SubscriptionName
    public var providerDSN: Conninfo
    public var replicationSets: [ReplicationSetName]
    /// Schemas of the new node's own, which the copy leaves alone.
    public var skippedSchemas: [String]

    public init(name: SubscriptionName, providerDSN: Conninfo, replicationSets: [ReplicationSetName], skippedSchemas: [String]) {
        (self.name, self.providerDSN, self.replicationSets, self.skippedSchemas) = (name, providerDSN, replicationSets, skippedSchemas)
    }

    func create() -> SQL {
        """
        SELECT spock.sub_create(subscription_name := \(name), provider_dsn := \(providerDSN), replication_sets := \(replicationSets)::text[], \
        synchronize_structure := true, synchronize_data := true, forward_origins := '{all}'::text[], enabled := true, skip_schema := \(skippedSchemas)::text[]) AS sub_id
        """
    }

    /// How far it is. `s`, `d` and `c` are what Spock cannot take up again.
    static func progress(of name: SubscriptionName) -> SQL {
        """
        SELECT coalesce((SELECT sync_status::text FROM spock.local_sync_status l JOIN spock.subscription s ON s.sub_id = l.sync_subid \
        WHERE s.sub_name = \(name) AND l.sync_nspname IS NULL), '') AS state, \
        (SELECT count(*)::integer FROM spock.local_sync_status l JOIN spock.subscription s ON s.sub_id = l.sync_subid \
        WHERE s.sub_name = \(name) AND l.sync_nspname IS NOT NULL AND l.sync_status NOT IN ('r', 'y')) AS unready, \
        pg_database_size(current_database()) AS bytes
        """
    }

    /// The tables that are copied at this moment, with the bytes that have come; from 14 on.
    static func tables() -> SQL {
        """
        SELECT n.nspname, c.relname, p.bytes_processed AS bytes FROM pg_stat_progress_copy p JOIN pg_class c ON c.oid = p.relid \
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.datname = current_database() ORDER BY 1, 2
        """
    }

    /// How far the indexes are that are made at this moment, from 12 on, and the bytes of what is sorted and hashed for them and for foreign keys. A large one is
    /// in no file of the database for a long time.
    static func making() -> SQL {
        """
        SELECT coalesce((SELECT sum(p.blocks_done + p.tuples_done)::bigint FROM pg_stat_progress_create_index p WHERE p.datname = current_database()), 0) AS indexed, \
        coalesce((SELECT sum(size)::bigint FROM pg_ls_tmpdir()), 0) AS sorted
        """
    }
}

/// How far a ``DataCopy`` is.
public struct DataCopyProgress: Sendable, Hashable {
    public enum Phase: Sendable, Hashable, CustomStringConvertible {
        /// Waits for its slot.
        case waiting
        case structure
        case data
        /// Indexes and constraints are made.
        case constraints
        case ready
        case other(String)

        init(_ state: String) {
            self =
                switch state {
                case "i", "": .waiting
                case "s": .structure
                case "d": .data
                case "c": .constraints
                case "r", "y": .ready
                default: .other(state)
                }
        }

        public var description: String {
            switch self {
            case .waiting: "waits for its slot"
            case .structure: "makes the structure"
            case .data: "copies data"
            case .constraints: "makes indexes and constraints"
            case .ready: "is through"
            case .other(let state): "is in state \(state)"
            }
        }

        /// Whether Spock cannot go on from here once its worker has ended.
        public var cannotBeTakenUp: Bool { [.structure, .data, .constraints].contains(self) }
    }

    public var phase: Phase
    /// Of the database.
    public var bytes: UInt64
    /// What is copied at this moment, and how many bytes of it have come.
    public var tables: [Table]
    /// What moves while indexes and constraints are made; numbers of no meaning but that.
    public var making: [Int64] = []

    public struct Table: Sendable, Hashable {
        public var relation: RelationName
        public var bytes: UInt64
    }
}

extension SpockSession {
    /// What no ``DataCopy`` brings, whatever it is told: the schema of the active consistency engine belongs to each node.
    public static let uncopiedSchemas = [schema, "pgedge_ace"]

    /// Begins `copy`. The copy itself goes on in the background: see ``progress(of:deadline:)``.
    public func begin(_ copy: DataCopy, deadline: Deadline) async throws { try await query(copy.create(), deadline) }

    /// How far the copy called `name` is.
    public func progress(of name: SubscriptionName, deadline: Deadline) async throws -> DataCopyProgress {
        async let running = look(DataCopy.tables(), deadline).map { row in
            DataCopyProgress.Table(relation: try RelationName(row: row), bytes: UInt64(max(0, try row.get("bytes", as: Int64.self))))
        }
        async let making = look(DataCopy.making(), deadline).one()
        let row = try await look(DataCopy.progress(of: name), deadline).one()
        let phase = DataCopyProgress.Phase(try row.get("state"))
        let isReady = try phase == .ready && row.get("unready", as: Int.self) == 0
        return DataCopyProgress(
            phase: phase == .ready && !isReady ? .data : phase, bytes: UInt64(max(0, try row.get("bytes", as: Int64.self))), tables: try await running,
            making: try await [making.get("indexed"), making.get("sorted")])
    }
}
