extension Playbook {
    /// A Postgres-XC cluster: the GTM, the coordinators, the datanodes, and the slaves of datanodes.
    public struct DatanodeCluster: Sendable {
        /// Names the lock.
        @Located public var name: String
        @Located public var database: String
        /// The PostgreSQL superuser that pggraft connects as, on every server.
        @Located public var user: String
        /// The OS user that owns the data directories.
        @Located public var osUser: String
        /// Where the programs of Postgres-XC are, unless a node says otherwise; `nil` when they are to be found.
        @Located public var binDirectory: String?
        public let gtm: Node
        /// In the order of the file; at least one.
        public let coordinators: [Node]
        /// Where the master of each datanode is, under the name that the coordinators know it by; at least one.
        public let datanodes: [Node]
        public let slaves: [Slave]

        /// A standby of a datanode's master.
        public struct Slave: Sendable {
            public let node: Node
            /// The datanode.
            @Located public var datanode: String
            /// The directory on the slave's host that the master archives its WAL into; `nil` for none.
            @Located public var archive: String?
            /// What `ssh` is given on the master's host to reach the slave's; `nil` for the slave's address.
            @Located public var archiveHost: String?
        }

        public subscript(datanode name: String) -> Node? { datanodes.first { $0.name == name } }
        public subscript(slave name: String) -> Slave? { slaves.first { $0.node.name == name } }
        /// Those of a datanode.
        public func slaves(of datanode: String) -> [Slave] { slaves.filter { $0.datanode == datanode } }

        /// The GTM in a roster; no server of PostgreSQL.
        public static let gtmName = "gtm"

        init?(_ section: Section, _ roster: inout Roster) {
            let name = section.required("name", .clusterName, example: "xc")
            let database = section.required("database", .identifier("a database name"), example: "app")
            let user = section.required("user", .identifier("a role name"), example: "postgres")
            let osUser = section.optional("os_user", .osUser, default: "postgres")
            let binDirectory = section.optional("bin_directory", .path)
            let gtmName = Located(Self.gtmName, at: section.place)
            let gtm = section.required("gtm") { Node(gtmName, $0, &roster, needsDataDirectory: true, portExample: "20001") }
            let example = "{address: 10.77.0.61, port: 20006, data_directory: /home/postgresxc/pgxc/datanode}"
            let coordinators = section.each("coordinators", .nodeName, example: "coord1: {address: 10.77.0.61, port: 20004}") {
                Node($0, $1, &roster, portExample: "20004")
            }
            let datanodes = section.each("datanodes", .nodeName, example: "datanode1: \(example)") {
                Node($0, $1, &roster, needsDataDirectory: true, portExample: "20006")
            }
            let slaves = section.each("slaves", .nodeName, example: "datanode1_slave: \(example)") { Slave($0, $1, &roster, datanodes: datanodes, coordinators: coordinators) }
            guard let name, let database, let user, let osUser, let binDirectory, let gtm, let coordinators, let datanodes, let slaves else { return nil }
            (_name, _database, _user, _osUser, _binDirectory) = (name, database, user, osUser, binDirectory)
            (self.gtm, self.coordinators, self.datanodes, self.slaves) = (gtm, coordinators, datanodes, slaves)
        }

        /// Reports `name` where it is no datanode.
        func require(datanode name: Located<String>, _ section: Section) -> Bool {
            Self.require(datanode: name, section, datanodes: datanodes, coordinators: coordinators)
        }

        /// The slave called `name`; reports it where there is none.
        /// - Parameter hint: where it is a datanode, and so a master.
        func require(slave name: Located<String>, _ section: Section, hint: String) -> Slave? {
            if let found = self[slave: name.wrappedValue] { return found }
            let text = name.wrappedValue, isMaster = self[datanode: text] != nil, names = slaves.map(\.node.name).joined(separator: ", ")
            section.report(
                isMaster ? "\"\(text)\" is a datanode, and no slave" : "\"\(text)\" is none of cluster.slaves", hint: isMaster ? hint : "cluster.slaves has \(names)",
                at: name.place)
            return nil
        }

        fileprivate static func require(datanode name: Located<String>, _ section: Section, datanodes: [Node], coordinators: [Node]) -> Bool {
            guard !datanodes.contains(where: { $0.name == name.wrappedValue }) else { return true }
            let text = name.wrappedValue, known = "cluster.datanodes has " + datanodes.map(\.name).joined(separator: ", ")
            if coordinators.contains(where: { $0.name == text }) {
                section.report("\"\(text)\" is a coordinator, and no datanode", hint: known, at: name.place)
            } else if let near = datanodes.first(where: { $0.name.lowercased() == text.lowercased() }) {
                section.report(
                    "\"\(text)\" is none of cluster.datanodes", hint: "capitals count: did you mean \"\(near.name)\"?", at: name.place)
            } else {
                section.report("\"\(text)\" is none of cluster.datanodes", hint: known, at: name.place)
            }
            return false
        }
    }
}

extension Playbook.DatanodeCluster.Slave {
    fileprivate init?(
        _ name: Located<String>, _ section: Section, _ roster: inout Roster, datanodes: [Playbook.Node]?, coordinators: [Playbook.Node]?
    ) {
        let datanode = section.required("of", .nodeName, example: "datanode1")
        let node = Playbook.Node(name, section, &roster, needsDataDirectory: true, portExample: "20010")
        let archive = section.optional("archive", .archive, default: nil), archiveHost = section.optional("archive_host", .sshHost)
        guard let datanode, let node, let archive, let archiveHost else { return nil }
        if let datanodes, let coordinators, !Playbook.DatanodeCluster.require(datanode: datanode, section, datanodes: datanodes, coordinators: coordinators) { return nil }
        // The coordinators keep it in the type `name`, and cut off what is too long without a word.
        guard node.address.utf8.count <= 63 else {
            section.report(
                "\"\(node.address)\" has \(node.address.utf8.count) bytes, and coordinators keep 63 of an address", hint: "write its IP address", at: node.$address.place)
            return nil
        }
        if let directory = archive.wrappedValue, let data = node.dataDirectory, (directory + "/").hasPrefix(data + "/") {
            section.report("the archive is inside of the data directory, which the copy has to find empty", hint: "name another directory", at: archive.place)
            return nil
        }
        if archive.wrappedValue == nil, archiveHost.wrappedValue != nil {
            section.report("an archive's host without an archive", hint: "say `archive: DIRECTORY`, or take `archive_host` out", at: archiveHost.place)
            return nil
        }
        self.node = node
        (_datanode, _archive, _archiveHost) = (datanode, archive, archiveHost)
    }
}

extension Scalar<String> {
    /// What stands on a command line of `ssh`, which takes no port there.
    fileprivate static let sshHost = Scalar("an SSH host, or user@host", hint: "its port stands in ~/.ssh/config of the master's OS user") { text in
        guard case .value(let host) = Scalar<String>.ssh.reading(of: text), !host.contains(":") else { return nil }
        return host
    }
}

extension Scalar<String?> {
    fileprivate static let archive = Scalar("none, or an absolute path") { text in
        if text == "none" { return .value(nil) }
        switch Scalar<String>.path.reading(of: text) {
        case .value(let path): return .value(path)
        case .malformed(let hint): return .malformed(hint: hint)
        case .refused(let fact, let hint): return .refused(fact, hint: hint)
        }
    }
}
