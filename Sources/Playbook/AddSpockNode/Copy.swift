extension Playbook.AddSpockNode {
    /// How the new node gets its data.
    public struct Copy: Sendable {
        public let method: Method
        /// The role that the new node streams as, from the source; `nil` for the one that an existing standby streams as.
        @Located public var replicationUser: String?

        public enum Method: Sendable {
            case pgBackRest(Playbook.BackRestCopy)
            /// It has them: as a standby of the source that somebody has made.
            case existingStandby(ExistingStandby)
        }

        /// A standby of the source, whoever has made it, and by whichever tool.
        public struct ExistingStandby: Sendable {
            /// What does not get on for so long is given up: the standby, the mesh that it waits for.
            @Located public var stallLimit: Duration
        }

        private enum Word { case pgBackRest, existingStandby }

        init?(_ section: Section, cluster: Playbook.Cluster?) {
            let word = section.optional("method", .choice([("pgbackrest", Word.pgBackRest), ("existing-standby", .existingStandby)]), default: Word.pgBackRest)
            switch word?.wrappedValue {
            case .pgBackRest:
                let copy = Playbook.BackRestCopy(section, cluster: cluster)
                let user = section.required("replication_user", .identifier("a role name"), example: "replicator")
                guard let copy, let user else { return nil }
                method = .pgBackRest(copy)
                _replicationUser = Located<String?>(user.wrappedValue, at: user.place)
            case .existingStandby:
                let stallLimit = section.optional("stall_limit", .duration(.seconds(10) ... .seconds(24 * 3600)), default: .seconds(300))
                let user = section.optional("replication_user", .identifier("a role name"))
                guard let stallLimit, let user else { return nil }
                method = .existingStandby(ExistingStandby(stallLimit: stallLimit))
                _replicationUser = user
            case nil:
                section.ignoreOtherKeys()
                return nil
            }
        }

        /// Of a word for the section: an existing standby, and nothing else to be said of it.
        init(existing place: Place) {
            method = .existingStandby(ExistingStandby(stallLimit: Located(.seconds(300), at: place)))
            _replicationUser = Located<String?>(nil, at: place)
        }

        /// What does not get on for so long is given up.
        public var stallLimit: Duration {
            switch method {
            case .pgBackRest(let copy): copy.stallLimit
            case .existingStandby(let standby): standby.stallLimit
            }
        }

        /// Where it goes through a repository.
        public var backRest: Playbook.BackRestCopy? { if case .pgBackRest(let copy) = method { copy } else { nil } }
    }
}
