import Report

extension Playbook {
    /// `procedure: hot-standby`: makes a streaming standby of a running primary, or of another standby.
    public struct HotStandby: Sendable {
        public let cluster: Cluster
        /// The name of the primary: one of ``Cluster/nodes``.
        @Located public var primary: String
        public let standby: Standby
        /// The name of the node that it streams from: the primary, or a standby of it.
        @Located public var upstream: String
        public let copy: Copy
        public let replication: Replication
        public let archive: Archive
        /// Whether the node that it streams from may be restarted where a setting needs that.
        @Located public var restarts: Bool

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster($0, &roster) }
            let members = roster
            let primary = section.required("primary", .nodeName, example: "db1")
            let standby = section.required("standby") { Standby($0, &roster) }
            let upstream = section.optional("upstream", .nodeName)
            let copy = section.required("copy") { Copy($0, cluster: cluster) }
            let replication = section.required("replication") { Replication($0) }
            let archive = section.optional("archive", .word("none", .none, or: "the keys of an archive below it"), default: .none) { Archive($0, cluster: cluster) }
            let restarts = section.optional("restart", .choice([("yes", true), ("no", false)]), default: false)

            for name in [primary, upstream.flatMap { given in given.wrappedValue.map { Located($0, at: given.place) } }].compactMap(\.self) { members.require(name, section) }
            members.refuseSecond(roster, section)
            if let copy, case .pgBackRest = copy.method, let name = upstream?.wrappedValue, let place = upstream?.place, name != primary?.wrappedValue {
                section.report(
                    "a copy by pgbackrest is one of the primary", hint: "say `method: pg_basebackup` for a standby of \(name), or leave `upstream` out", at: place)
            }
            if let standby, let copy, standby.existing == .delta, case .baseBackup = copy.method {
                section.report("pg_basebackup cannot go on with what is there", hint: "say `existing: move-aside`, or copy by pgbackrest", at: standby.$existing.place)
            }
            if let standby, standby.walDirectory != nil, let copy, case .pgBackRest = copy.method {
                section.report("pgbackrest puts the WAL into the data directory", hint: "take `wal_directory` out, or copy by pg_basebackup", at: standby.$walDirectory.place)
            }
            if let archive, case .stanza(let stanza) = archive {
                if let copy, case .pgBackRest = copy.method {
                    section.report("a copy by pgbackrest archives into its own stanza", hint: "take `archive` out, or copy by pg_basebackup", at: stanza.$stanza.place)
                } else if let name = upstream?.wrappedValue, name != primary?.wrappedValue {
                    section.report("the stanza is one that the primary archives into", hint: "take `archive` out, or leave `upstream` out", at: stanza.$stanza.place)
                }
            }
            guard let cluster, let primary, let standby, let upstream, let copy, let replication, let archive, let restarts, cluster[primary.wrappedValue] != nil,
                upstream.wrappedValue.map({ cluster[$0] != nil }) ?? true
            else { return nil }
            (self.cluster, _primary, self.standby, self.copy, self.replication) = (cluster, primary, standby, copy, replication)
            _upstream = upstream.wrappedValue.map { Located($0, at: upstream.place) } ?? primary
            (self.archive, _restarts) = (archive, restarts)
        }
    }
}

extension Playbook.HotStandby {
    /// The node that is made.
    public struct Standby: Sendable {
        public let node: Playbook.Node
        /// Absolute; where the copy goes.
        @Located public var dataDirectory: String
        /// Where its WAL goes; `nil` for the data directory.
        @Located public var walDirectory: String?
        /// Where tablespaces go, by their name or their directory at the source; the others go where they are there.
        public let tablespaces: [String: String]
        @Located public var existing: Existing

        /// What becomes of a data directory that is there already.
        public enum Existing: String, Sendable, Hashable {
            case refuse
            case moveAside = "move-aside"
            case delta
        }

        init?(_ section: Section, _ roster: inout Roster) {
            let name = section.required("name", .nodeName, example: "db2")
            // Asked for here too: of a running node the server says it, of this one nobody can.
            let dataDirectory = section.required("data_directory", .path, example: "/var/lib/postgresql/15/main")
            let node = Playbook.Node(name, section, &roster)
            let walDirectory = section.optional("wal_directory", .path)
            let tablespaces = section.optional("tablespaces") { $0.values(.path) }
            let existing = section.optional(
                "existing", .choice([("refuse", .refuse), ("move-aside", .moveAside), ("delta", .delta)]), default: Existing.refuse)
            guard let node, let dataDirectory, let walDirectory, let tablespaces, let existing else { return nil }
            (self.node, _dataDirectory, _walDirectory, _existing) = (node, dataDirectory, walDirectory, existing)
            self.tablespaces = tablespaces.mapValues(\.wrappedValue)
        }
    }

    /// How the standby gets its data.
    public struct Copy: Sendable {
        public let method: Method

        public enum Method: Sendable {
            case baseBackup(BaseBackup)
            case pgBackRest(Playbook.BackRestCopy)
        }

        /// By `pg_basebackup`. <https://www.postgresql.org/docs/current/app-pgbasebackup.html>
        public struct BaseBackup: Sendable {
            /// Whether the source makes its checkpoint at once.
            @Located public var checkpointsFast: Bool
            /// In a second; `nil` for no limit.
            @Located public var maximumRate: ByteCount?
            /// How the server compresses what it sends.
            @Located public var compression: Compression
            @Located public var verifies: Bool
            /// What does not get on for so long is given up.
            @Located public var stallLimit: Duration

            public enum Compression: String, Sendable, Hashable { case none, gzip, lz4, zstd }
        }

        private enum Word { case baseBackup, pgBackRest }

        init?(_ section: Section, cluster: Playbook.Cluster?) {
            let word = section.optional("method", .choice([("pg_basebackup", Word.baseBackup), ("pgbackrest", .pgBackRest)]), default: Word.baseBackup)
            switch word?.wrappedValue {
            case .pgBackRest:
                guard let copy = Playbook.BackRestCopy(section, cluster: cluster) else { return nil }
                method = .pgBackRest(copy)
            case .baseBackup:
                guard let copy = BaseBackup(section) else { return nil }
                method = .baseBackup(copy)
            case nil:
                section.ignoreOtherKeys()
                return nil
            }
        }
    }

    /// By which role, and how, the standby streams.
    public struct Replication: Sendable {
        @Located public var user: String
        /// Of a role that is made.
        @Located public var connectionLimit: Int
        @Located public var slot: Slot
        /// What stays free where the WAL of the node is that it streams from: the slot is given up before.
        @Located public var keepsFree: ByteCount
        /// Whether the password of a role that is made is asked for; else it is made at random.
        @Located public var asksPassword: Bool

        /// The slot that its WAL is kept in.
        public enum Slot: Sendable, Hashable {
            /// One of the standby's name.
            case ofStandby
            case named(String)
            case none
        }

        init?(_ section: Section) {
            let user = section.required("user", .identifier("a role name"), example: "replicator")
            let limit = section.optional("connection_limit", .number(2...9999), default: 5)
            let slot = section.optional("slot", .slot, default: .ofStandby)
            let keepFree = section.optional("keep_free", .byteCount, default: .freeForWAL)
            let password = section.optional("password", .choice([("generate", false), ("prompt", true)]), default: false)
            guard let user, let limit, let slot, let keepFree, let password else { return nil }
            (_user, _connectionLimit, _slot, _keepsFree, _asksPassword) = (user, limit, slot, keepFree, password)
        }
    }

    /// Where the primary archives its WAL for the standby.
    public enum Archive: Sendable {
        case none
        case directory(ArchiveDirectory)
        /// A stanza of pgBackRest, into which it does so already.
        case stanza(Playbook.BackRestCopy)

        init?(_ section: Section, cluster: Playbook.Cluster?) {
            guard let stanza = section.optional("stanza", .stanza) else {
                section.ignoreOtherKeys()
                return nil
            }
            if let name = stanza.wrappedValue {
                let repository = section.optional("repository", .existing, default: .existing) { Playbook.BackRestCopy.Repository($0, osUser: cluster?.$osUser) }
                guard let repository else { return nil }
                self = .stanza(Playbook.BackRestCopy(archiveOf: Located(name, at: stanza.place), repository))
                return
            }
            guard let directory = ArchiveDirectory(section) else { return nil }
            self = .directory(directory)
        }
    }

    /// `REP_ARCHIVE` of the document.
    public struct ArchiveDirectory: Sendable {
        /// On the primary.
        @Located public var path: String
        /// Where the standby finds the same; `nil` where it does not.
        @Located public var onStandby: String?
        /// Whether it is this standby's alone, which clears it of what it has replayed.
        @Located public var isCleared: Bool

        init?(_ section: Section) {
            let path = section.required("directory", .path, example: "/var/backups/pgsql/archive")
            let onStandby = section.optional("on_standby", .path)
            let cleanup = section.optional("cleanup", .choice([("yes", true), ("no", false)]), default: false)
            if let onStandby, let cleanup, cleanup.wrappedValue, onStandby.wrappedValue == nil {
                section.report("an archive that the standby does not see cannot be cleared by it", hint: "say `on_standby:`, or take `cleanup` out", at: cleanup.place)
                return nil
            }
            guard let path, let onStandby, let cleanup else { return nil }
            (_path, _onStandby, _isCleared) = (path, onStandby, cleanup)
        }
    }
}

extension Playbook.HotStandby.Copy.BaseBackup {
    init?(_ section: Section) {
        let checkpoint = section.optional("checkpoint", .choice([("fast", true), ("spread", false)]), default: true)
        let rate = section.optional("max_rate", .byteCount)
        let compression = section.optional(
            "compression", .choice([("none", .none), ("gzip", .gzip), ("lz4", .lz4), ("zstd", .zstd)]), default: Compression.none)
        let verify = section.optional("verify", .choice([("yes", true), ("no", false)]), default: true)
        let stallLimit = section.optional("stall_limit", .duration(.seconds(10) ... .seconds(24 * 3600)), default: .seconds(300))
        if let limit = rate?.wrappedValue, let place = rate?.place, !(32 << 10...1024 << 20).contains(limit.bytes) {
            section.report("pg_basebackup takes a rate from 32kB to 1024MB a second", hint: "write one of these, or take `max_rate` out", at: place)
            return nil
        }
        guard let checkpoint, let rate, let compression, let verify, let stallLimit else { return nil }
        (_checkpointsFast, _maximumRate, _compression, _verifies, _stallLimit) = (checkpoint, rate, compression, verify, stallLimit)
    }
}

extension Scalar<Playbook.HotStandby.Replication.Slot> {
    /// As the server takes it, or `none`.
    fileprivate static let slot = Scalar("the name of a slot, of lower-case letters, digits and _, or none") { text in
        if text == "none" { return Playbook.HotStandby.Replication.Slot.none }
        let isName = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
            default: false
            }
        }
        return isName && (1...63).contains(text.utf8.count) ? .named(text) : nil
    }
}
