import Report

extension Playbook {
    /// `procedure: synchronous`: commits on the primary wait for standbys, or wait no more.
    public struct Synchronous: Sendable {
        public let cluster: Cluster
        @Located public var change: Change
        /// A standby that is waited for has to be closer to the primary than this.
        @Located public var catchUpLag: ByteCount
        /// After how long without any progress a wait is given up.
        @Located public var stallLimit: Duration

        /// What becomes of the list of standbys that commits wait for.
        public enum Change: Sendable, Hashable {
            /// It is this one.
            case waitFor(Standbys)
            /// Nobody is waited for.
            case off
            /// One more is in it, or one less; the others stay as they are.
            case add(String), remove(String)

            /// The nodes that it says something of.
            public var names: [String] {
                switch self {
                case .waitFor(let standbys): standbys.names
                case .add(let name), .remove(let name): [name]
                case .off: []
                }
            }
        }

        /// As `synchronous_standby_names` says it.
        public struct Standbys: Sendable, Hashable {
            public enum Method: String, Sendable, Hashable {
                case first = "FIRST"
                case any = "ANY"
            }

            public var method: Method
            /// How many of them a commit waits for.
            public var number: Int
            /// The nodes.
            public var names: [String]
        }

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster(pair: $0, &roster) }
            let list = section.optional("standbys", .standbys), add = section.optional("add", .nodeName), remove = section.optional("remove", .nodeName)
            let catchUpLag = section.optional("catch_up_lag", .byteCount, default: ByteCount(bytes: 16 << 20))
            let stallLimit = section.optional("stall_limit", .duration(.seconds(5) ... .seconds(86400)), default: .seconds(60))
            guard let list, let add, let remove else { return nil }
            let given = [
                list.wrappedValue.map { Located($0, at: list.place) }, add.wrappedValue.map { Located(Change.add($0), at: add.place) },
                remove.wrappedValue.map { Located(Change.remove($0), at: remove.place) },
            ].compactMap(\.self)
            guard given.count == 1, let change = given.first else {
                section.report(
                    given.isEmpty ? "it is not said what commits shall wait for" : "standbys, add and remove exclude each other",
                    hint: "write `standbys: FIRST 1 (db2)`, `standbys: off`, `add: db2` or `remove: db2`", at: given.last?.place ?? section.place)
                return nil
            }
            for name in change.wrappedValue.names { roster.require(Located(name, at: change.place), section) }
            guard let cluster, let catchUpLag, let stallLimit, change.wrappedValue.names.allSatisfy({ cluster[$0] != nil }) else { return nil }
            (self.cluster, _change, _catchUpLag, _stallLimit) = (cluster, change, catchUpLag, stallLimit)
        }
    }
}

extension Scalar<Playbook.Synchronous.Change> {
    /// `FIRST 1 (db2, db3)`, `ANY 1 (db2, db3)`, `db2, db3`, `off`. How PostgreSQL quotes a name is allowed.
    fileprivate static let standbys = Scalar("FIRST 1 (db2, db3), ANY 1 (db2, db3) or off") { text in
        if text == "off" { return .value(.off) }
        var method = Playbook.Synchronous.Standbys.Method.first, number = 1, list = text[...]
        if let match = text.wholeMatch(of: #/(?:(?i:(FIRST|ANY))\s+)?([0-9]{1,9})\s*\((.*)\)/#) {
            if let word = match.1, let named = Playbook.Synchronous.Standbys.Method(rawValue: word.uppercased()) { method = named }
            guard let count = Int(match.2), count > 0 else { return .malformed(hint: "how many a commit waits for is at least 1") }
            (number, list) = (count, match.3)
        }
        let names = list.split(separator: ",", omittingEmptySubsequences: false).map { word in
            let name = String(word).trimmed
            return name.count > 2 && name.hasPrefix("\"") && name.hasSuffix("\"") ? String(name.dropFirst().dropLast()) : name
        }
        guard names.allSatisfy({ !$0.isEmpty && !$0.contains { "()\" ".contains($0) } }) else { return .malformed() }
        guard !names.contains("*") else { return .refused("* is whoever comes first, known or not", hint: "name the standbys that commits shall wait for") }
        guard Set(names).count == names.count else { return .malformed(hint: "name each of them once") }
        guard number <= names.count else {
            return .refused("a commit would wait for \(number) of \(names.count), and so for ever", hint: "name more standbys, or a smaller number")
        }
        return .value(.waitFor(Playbook.Synchronous.Standbys(method: method, number: number, names: names)))
    }
}
