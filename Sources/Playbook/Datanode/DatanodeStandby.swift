import Report

extension Playbook {
    /// `procedure: datanode-standby`: makes slaves of datanodes' masters, each on another host.
    public struct DatanodeStandby: Sendable {
        public let cluster: DatanodeCluster
        /// Those that are made, of which no two are of one datanode; in the order of the file.
        public let slaves: [DatanodeCluster.Slave]
        public let replication: Replication
        public let copy: HotStandby.Copy.BaseBackup
        /// Whether commits wait for them from then on.
        @Located public var isSynchronous: Bool
        /// Whether a master may be restarted where a setting needs that.
        @Located public var restarts: Bool

        /// By which role, and how, the slaves stream.
        public struct Replication: Sendable {
            @Located public var user: String
            /// Of a role that is made.
            @Located public var connectionLimit: Int
            @Located public var authentication: Authentication
            /// Whether the password of a role that is made is asked for; else it is made at random.
            @Located public var asksPassword: Bool

            /// How the masters know them.
            public enum Authentication: String, Sendable, Hashable {
                case password
                /// By their address alone.
                case trust
            }

            init?(_ section: Section) {
                let user = section.required("user", .identifier("a role name"), example: "replicator")
                let limit = section.optional("connection_limit", .number(2...9999), default: 10)
                let authentication = section.optional("authentication", .choice([("password", .password), ("trust", .trust)]), default: Authentication.password)
                let password = section.optional("password", .choice([("generate", false), ("prompt", true)]), default: false)
                if let authentication, authentication.wrappedValue == .trust, let place = section.given("password") {
                    section.report("with `authentication: trust` nobody asks for a password", hint: "take `password` out", at: place)
                    return nil
                }
                guard let user, let limit, let authentication, let password else { return nil }
                (_user, _connectionLimit, _authentication, _asksPassword) = (user, limit, authentication, password)
            }
        }

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { DatanodeCluster($0, &roster) }
            let build = section.optional("build", .slaves, default: nil)
            let replication = section.required("replication") { Replication($0) }
            let copy = section.optional("copy") { HotStandby.Copy.BaseBackup($0) }
            let synchronous = section.optional("synchronous", .choice([("yes", true), ("no", false)]), default: true)
            let restarts = section.optional("restart", .choice([("yes", true), ("no", false)]), default: false)
            guard let cluster, let build, let replication, let copy, let synchronous, let restarts else { return nil }
            guard let slaves = Self.built(build, of: cluster, section) else { return nil }
            (self.cluster, self.slaves, self.replication, self.copy) = (cluster, slaves, replication, copy)
            (_isSynchronous, _restarts) = (synchronous, restarts)
        }

        /// Reports what cannot be built.
        private static func built(_ build: Located<[String]?>, of cluster: DatanodeCluster, _ section: Section) -> [DatanodeCluster.Slave]? {
            let known = "cluster.slaves has " + cluster.slaves.map(\.node.name).joined(separator: ", ")
            var isSound = true
            for name in build.wrappedValue ?? [] where cluster[slave: name] == nil {
                let near = Spelling.nearest(to: name, among: cluster.slaves.map(\.node.name))
                let what = cluster[datanode: name] != nil ? "is a datanode" : cluster.coordinators.contains { $0.name == name } ? "is a coordinator" : "is none of cluster.slaves"
                section.report("\"\(name)\" \(what)\(what.hasPrefix("is a") ? ", and no slave" : "")", hint: near.map { "did you mean \"\($0)\"?" } ?? known, at: build.place)
                isSound = false
            }
            let slaves = cluster.slaves.filter { build.wrappedValue?.contains($0.node.name) ?? true }
            for (datanode, those) in Dictionary(grouping: slaves, by: \.datanode).sorted(by: { $0.key < $1.key }) where those.count > 1 {
                let names = those.map(\.node.name)
                section.report(
                    "\(names.joined(separator: ", ")) are slaves of \(datanode), and one run makes one of each datanode",
                    hint: "name those that are to be made: `build: \(names[0])`, and the next one in another run", at: build.place)
                isSound = false
            }
            return isSound ? slaves : nil
        }
    }
}

extension Scalar<[String]?> {
    /// `nil` for all.
    fileprivate static let slaves = Scalar("all, or names of slaves such as datanode1_slave, datanode2_slave") { text in
        if text == "all" { return .some(nil) }
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map { String($0.trimmed) }
        guard names.allSatisfy({ (1...63).contains($0.utf8.count) }), Set(names).count == names.count else { return .none }
        return .some(names)
    }
}
