extension Playbook.AddSpockNode {
    /// How the new node gets the source's data: through a pgBackRest repository.
    public struct Copy: Sendable {
        @Located public var stanza: String
        public let repository: Repository
        @Located public var backup: Backup
        @Located public var compression: Compression
        /// Processes that copy at the same time; `nil` to go by the processors of the hosts.
        @Located public var processMax: Int?
        /// The role the new node streams as, from the source.
        @Located public var replicationUser: String
        /// What does not get on for so long is given up: the copy, the standby, the mesh that it waits for.
        @Located public var stallLimit: Duration

        /// Where the backup is kept.
        public enum Repository: Sendable {
            case host(RepositoryHost)
            /// A directory that is mounted on the source and on the new node at the same path.
            case shared(Located<String>)
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

        init?(_ section: Section, cluster: Playbook.Cluster?) {
            let stanza = section.optional("stanza", .stanza)
            let repository = section.required("repository") { Repository($0, osUser: cluster?.$osUser) }
            let backup = section.optional("backup", .backup, default: .full)
            let compression = section.optional(
                "compression", .choice([("lz4", .lz4), ("zst", .zst), ("none", .none)]), default: Compression.lz4)
            let processMax = section.optional("process_max", .number(1...999))
            let user = section.required("replication_user", .identifier("a role name"), example: "replicator")
            let stallLimit = section.optional("stall_limit", .duration(.seconds(10) ... .seconds(24 * 3600)), default: .seconds(300))
            guard let cluster, let stanza, let repository, let backup, let compression, let processMax, let user, let stallLimit else { return nil }
            _stanza = stanza.wrappedValue.map { Located($0, at: stanza.place) } ?? cluster.$name
            (self.repository, _backup, _compression) = (repository, backup, compression)
            (_processMax, _replicationUser, _stallLimit) = (processMax, user, stallLimit)
        }
    }

    /// A machine of its own that keeps the repository.
    public struct RepositoryHost: Sendable {
        /// What `ssh` would be given.
        @Located public var ssh: String
        /// How the database hosts reach it: a host name or an IP address.
        @Located public var address: String
        /// Absolute; the repository's directory.
        @Located public var path: String
        /// The OS user that owns the repository.
        @Located public var user: String

        init?(_ section: Section, osUser: Located<String>?) {
            let ssh = section.required("host", .ssh, example: "repo")
            let address = section.required("address", .address, example: "10.77.0.20")
            let path = section.optional("path", .path, default: "/var/lib/pgbackrest")
            let user = section.optional("user", .osUser)
            guard let ssh, let address, let path, let user,
                let owner = user.wrappedValue.map({ Located($0, at: user.place) }) ?? osUser
            else { return nil }
            (_ssh, _address, _path, _user) = (ssh, address, path, owner)
        }
    }
}

extension Playbook.AddSpockNode.Copy.Repository {
    /// One of the two kinds; the user of a repository host is `osUser` unless it says otherwise.
    init?(_ section: Section, osUser: Located<String>?) {
        let (host, shared) = (section.given("host"), section.given("shared"))
        let ofHost = ["address", "path", "user"].map { ($0, section.given($0)) }
        switch (host, shared) {
        case (nil, nil):
            section.report(
                "neither \"host\" nor \"shared\" is given",
                hint: "add `host: repo` with its `address`, or `shared: /mnt/backup`", at: section.place)
            return nil
        case (_?, let shared?):
            section.report(
                "a repository is on a host or in a shared directory, not both", hint: "keep one of `host` and `shared`", at: shared)
            return nil
        case (nil, _?):
            for case (let key, let place?) in ofHost {
                section.report(
                    "\"\(key)\" is for a repository on a host", hint: "take it out: `shared` is the repository's directory", at: place)
            }
            guard let directory = section.required("shared", .path, example: "/mnt/backup") else { return nil }
            self = .shared(directory)
        case (_?, nil):
            guard let host = Playbook.AddSpockNode.RepositoryHost(section, osUser: osUser) else { return nil }
            self = .host(host)
        }
    }
}
