public import FoundationEssentials
public import PostgresClient

/// What the repository holds for one stanza: `info --output=json`.
///
/// <https://pgbackrest.org/command.html#command-info>
public struct StanzaInfo: Sendable, Hashable, Decodable {
    public let name: String
    public let status: Status
    /// The database systems this stanza has served, oldest first.
    public let databases: [Database]
    /// Oldest first.
    public let backups: [Backup]
    public let archives: [Archive]
    public let repositories: [RepositoryStatus]
    /// `none`, or how the repository is encrypted.
    public let cipher: String

    /// The state of a stanza or of one of its repositories.
    public struct Status: Sendable, Hashable, Decodable {
        public let code: Code
        public let message: String
        /// What is running on the host that was asked; only on the stanza, not on its repositories.
        public let lock: Locks?

        /// Of the message, what comes before causes and hints.
        var firstLine: String { message.split(separator: "\n").first.map { "\($0)" } ?? message }

        /// Whether there is something, and it cannot be used.
        var isDamaged: Bool {
            switch code {
            case .ok, .missingStanzaPath, .noValidBackups, .missingStanzaData, .differsAcrossRepositories: false
            case .databaseMismatch, .backupMissing, .other, .unknown: true
            }
        }
    }

    /// The codes of ``Status``.
    public enum Code: Sendable, Hashable, Decodable {
        case ok, missingStanzaPath, noValidBackups, missingStanzaData, differsAcrossRepositories, databaseMismatch, backupMissing
        /// Could not be looked at: the message says why.
        case other
        case unknown(Int)

        public init(from decoder: any Decoder) throws {
            let codes: [Int: Code] = [
                0: .ok, 1: .missingStanzaPath, 2: .noValidBackups, 3: .missingStanzaData, 4: .differsAcrossRepositories,
                5: .databaseMismatch, 6: .backupMissing, 99: .other,
            ]
            let number = try decoder.singleValueContainer().decode(Int.self)
            self = codes[number] ?? .unknown(number)
        }
    }

    public struct Locks: Sendable, Hashable, Decodable {
        public let backup: Lock
        /// pgBackRest 2.56 and newer.
        public let restore: Lock?
    }

    public struct Lock: Sendable, Hashable, Decodable {
        public let held: Bool
        /// Bytes in all and bytes done, where the version says them (2.48 and newer, while it copies).
        public let size: UInt64?
        public let sizeComplete: UInt64?

        private enum CodingKeys: String, CodingKey {
            case held, size
            case sizeComplete = "size-cplt"
        }
    }

    public struct Database: Sendable, Hashable, Decodable {
        public let id: Int
        public let repositoryKey: Int
        public let systemIdentifier: UInt64
        /// The major version of PostgreSQL: `9.6`, `15`.
        public let version: String

        private enum CodingKeys: String, CodingKey {
            case id, version
            case repositoryKey = "repo-key"
            case systemIdentifier = "system-id"
        }
    }

    public struct DatabaseReference: Sendable, Hashable, Decodable {
        public let id: Int
        public let repositoryKey: Int

        private enum CodingKeys: String, CodingKey {
            case id
            case repositoryKey = "repo-key"
        }
    }

    public struct Archive: Sendable, Hashable, Decodable {
        /// `15-1`: the version of PostgreSQL and the number of the database system.
        public let id: String
        public let database: DatabaseReference
        /// The oldest and the newest WAL segment; `nil` while there is none.
        public let min: String?
        public let max: String?
    }

    public struct RepositoryStatus: Sendable, Hashable, Decodable {
        public let key: Int
        public let cipher: String
        public let status: Status
    }

    public struct Backup: Sendable, Hashable, Decodable {
        public enum Kind: String, Sendable, Hashable, Decodable { case full, diff, incr }

        public let label: String
        public let kind: Kind
        /// Page checksum errors were found; `nil` where the version does not say.
        public let hasErrors: Bool?
        public let database: DatabaseReference
        public let started: Date
        public let stopped: Date
        /// Absent for an offline backup.
        public let startLSN: LSN?
        public let stopLSN: LSN?
        public let startSegment: String?
        public let stopSegment: String?
        /// Bytes of the data directory.
        public let size: UInt64
        /// Bytes in the repository that this backup needs.
        public let repositorySize: UInt64?
        /// The version of pgBackRest that made it.
        public let madeBy: String

        private enum CodingKeys: String, CodingKey { case label, type, error, database, timestamp, lsn, archive, info, backrest }
        private struct Times: Decodable { let start: Double, stop: Double }
        private struct Positions: Decodable { let start: LSN?, stop: LSN? }
        private struct Segments: Decodable { let start: String?, stop: String? }
        private struct Sizes: Decodable {
            struct InRepository: Decodable { let size: UInt64? }
            let size: UInt64
            let repository: InRepository
        }
        private struct Maker: Decodable { let version: String }

        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            label = try values.decode(String.self, forKey: .label)
            kind = try values.decode(Kind.self, forKey: .type)
            hasErrors = try values.decodeIfPresent(Bool.self, forKey: .error)
            database = try values.decode(DatabaseReference.self, forKey: .database)
            let times = try values.decode(Times.self, forKey: .timestamp)
            started = Date(timeIntervalSince1970: times.start)
            stopped = Date(timeIntervalSince1970: times.stop)
            let positions = try values.decodeIfPresent(Positions.self, forKey: .lsn)
            startLSN = positions?.start
            stopLSN = positions?.stop
            let segments = try values.decode(Segments.self, forKey: .archive)
            startSegment = segments.start
            stopSegment = segments.stop
            let sizes = try values.decode(Sizes.self, forKey: .info)
            size = sizes.size
            repositorySize = sizes.repository.size
            madeBy = try values.decode(Maker.self, forKey: .backrest).version
        }
    }

    private enum CodingKeys: String, CodingKey {
        case name, status, cipher
        case databases = "db"
        case backups = "backup"
        case archives = "archive"
        case repositories = "repo"
    }

    /// Reads the output of `info --output=json` for all stanzas it lists.
    ///
    /// pgBackRest puts into a message what it could not understand: of an encrypted file the bytes as they are.
    public static func decode(_ json: [UInt8]) throws -> [StanzaInfo] {
        let text = String(decoding: json.map { $0 < 0x20 ? 0x20 : $0 }, as: UTF8.self)
        return try JSONDecoder().decode([StanzaInfo].self, from: Data(text.utf8))
    }

    /// The database system that the stanza serves now; `nil` when there is no stanza yet.
    public var systemIdentifier: UInt64? { databases.last { $0.repositoryKey == repositoryKey }?.systemIdentifier }

    /// A stanza may have several repositories; the one that copies go through is the first.
    private var repositoryKey: Int { databases.map(\.repositoryKey).min() ?? 1 }

    /// Backups of the database system that the stanza serves now: before an upgrade of the server it was another one.
    public var currentBackups: [Backup] {
        backups.filter { backup in databases.last { $0.repositoryKey == backup.database.repositoryKey }?.id == backup.database.id }
    }

    /// The backup that starts at `lsn`, which is what the `backup_label` of a restored directory says.
    public func backup(startingAt lsn: LSN) -> Backup? { backups.last { $0.startLSN == lsn && $0.database.repositoryKey == repositoryKey } }
}
