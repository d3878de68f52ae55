extension Playbook {
    /// How a copy gets its source's data through a pgBackRest repository.
    public struct BackRestCopy: Sendable {
        @Located public var stanza: String
        public let repository: Repository
        @Located public var backup: Backup
        @Located public var compression: Compression
        /// How the repository of a new stanza is encrypted.
        @Located public var cipher: Cipher
        /// Processes that copy at the same time; `nil` to go by the processors of the hosts.
        @Located public var processMax: Int?
        /// What does not get on for so long is given up: the copy, the standby, the mesh that it waits for.
        @Located public var stallLimit: Duration

        /// Where the backup is kept.
        public enum Repository: Sendable {
            /// Where the source's pgBackRest has it.
            case existing
            case host(RepositoryHost)
            /// A directory that is mounted on the source and on the new node at the same path, or is on the one host of both.
            case shared(Located<String>)
            case s3(S3Repository)
            /// On a host, reached through pgBackRest's own server there.
            case tls(TLSRepository)
        }

        /// Which backup set is restored.
        public enum Backup: Sendable, Hashable {
            /// A new full one, taken for the purpose.
            case full
            /// The newest there is.
            case newest
            /// The one of this label.
            case set(String)
        }

        public enum Compression: String, Sendable, Hashable {
            case lz4, zst, none
        }

        public enum Cipher: String, Sendable, Hashable {
            case none
            case aes256 = "aes-256-cbc"
        }

        /// One that is archived into, and not copied from.
        init(archiveOf stanza: Located<String>, _ repository: Repository) {
            (_stanza, self.repository) = (stanza, repository)
            _backup = Located(.newest, at: stanza.place)
            _compression = Located(.lz4, at: stanza.place)
            _cipher = Located(.none, at: stanza.place)
            _processMax = Located(nil, at: stanza.place)
            _stallLimit = Located(.seconds(300), at: stanza.place)
        }

        init?(_ section: Section, cluster: Playbook.Cluster?) {
            let stanza = section.optional("stanza", .stanza)
            let repository = section.required("repository", .existing) { Repository($0, osUser: cluster?.$osUser) }
            let backup = section.optional("backup", .backup, default: .full)
            let compression = section.optional(
                "compression", .choice([("lz4", .lz4), ("zst", .zst), ("none", .none)]), default: Compression.lz4)
            let cipher = section.optional("cipher", .choice([("none", .none), ("aes-256-cbc", .aes256)]), default: Cipher.none)
            let processMax = section.optional("process_max", .number(1...999))
            let stallLimit = section.optional("stall_limit", .duration(.seconds(10) ... .seconds(24 * 3600)), default: .seconds(300))
            guard let cluster, let stanza, let repository, let backup, let compression, let cipher, let processMax, let stallLimit else { return nil }
            _stanza = stanza.wrappedValue.map { Located($0, at: stanza.place) } ?? cluster.$name
            (self.repository, _backup, _compression, _cipher) = (repository, backup, compression, cipher)
            (_processMax, _stallLimit) = (processMax, stallLimit)
        }
    }
}
