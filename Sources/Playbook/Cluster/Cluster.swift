extension Playbook {
    /// The nodes that replicate one database to each other, as they are before the procedure.
    public struct Cluster: Sendable {
        /// Names the lock, and the stanza unless that is named.
        @Located public var name: String
        @Located public var database: String
        /// The PostgreSQL superuser that pggraft connects as; its password is never in a playbook.
        @Located public var user: String
        /// The OS user that owns the data directories.
        @Located public var osUser: String
        /// In the order of the file; at least one.
        public let nodes: [Node]

        public subscript(name: String) -> Node? { nodes.first { $0.name == name } }

        /// - Parameter needsDataDirectories: whether each node has to say where its data is, because its server may not run.
        init?(_ section: Section, _ roster: inout Roster, needsDataDirectories: Bool = false) {
            let name = section.required("name", .clusterName, example: "app")
            let database = section.required("database", .identifier("a database name"), example: "app")
            let user = section.required("user", .identifier("a role name"), example: "spock_admin")
            let osUser = section.optional("os_user", .osUser, default: "postgres")
            let nodes = section.each("nodes", .nodeName, example: "n1: {address: 10.77.0.11}") { Node($0, $1, &roster, needsDataDirectory: needsDataDirectories) }
            guard let name, let database, let user, let osUser, let nodes else { return nil }
            (_name, _database, _user, _osUser, self.nodes) = (name, database, user, osUser, nodes)
        }
    }
}
