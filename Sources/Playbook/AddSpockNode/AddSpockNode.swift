extension Playbook {
    /// `procedure: add-spock-node`: grafts a new node onto a Spock cluster from a physical copy of one of its nodes.
    public struct AddSpockNode: Sendable {
        public let cluster: Cluster
        /// The name of the node that is copied: one of ``Cluster/nodes``.
        @Located public var sourceName: String
        public let newNode: NewNode
        public let copy: Copy
        public let handover: Handover
        public let subscriptions: Subscriptions
        /// How the nodes are compared at the end.
        @Located public var proof: Proof
        /// Of a table that is larger only a sample is compared.
        @Located public var proofSampleAbove: ByteCount

        /// The node that is copied.
        public let source: Node
        /// Every other node of the cluster.
        public var peers: [Node] { cluster.nodes.filter { $0.name != sourceName } }

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster($0, &roster) }
            let members = roster
            let source = section.required("source", .nodeName, example: "n1")
            let newNode = section.required("new_node") { NewNode($0, &roster) }
            let copy = section.required("copy", .word("existing-standby", Copy(existing: section.place), or: "the keys of a copy below it")) { Copy($0, cluster: cluster) }
            let handover = section.required("handover") { Handover($0) }
            let subscriptions = section.optional("subscriptions") { Subscriptions($0, roster) }
            let proof = section.optional("proof", .choice([("hashes", .hashes), ("counts", .counts)]), default: Proof.hashes)
            let sampleAbove = section.optional("proof_sample_above", .byteCount, default: ByteCount(bytes: 200 << 30))

            if let source, !members.names.isEmpty, !members.knows(source.wrappedValue) {
                let names = members.names.map(\.wrappedValue)
                section.report(
                    roster.knows(source.wrappedValue)
                        ? "the source cannot be the new node" : "\"\(source.wrappedValue)\" is none of cluster.nodes",
                    hint: "cluster.nodes has " + names.joined(separator: ", "), at: source.place)
            }
            members.refuseSecond(roster, section)
            if let newNode, let place = newNode.tablespacesPlace, let copy, case .existingStandby = copy.method {
                section.report("an existing standby has its tablespaces already", hint: "take `tablespaces` out", at: place)
            }
            guard let cluster, let source, let newNode, let copy, let handover, let subscriptions, let proof, let sampleAbove,
                let sourceNode = cluster[source.wrappedValue]
            else { return nil }
            (self.cluster, _sourceName, self.source, self.newNode) = (cluster, source, sourceNode, newNode)
            (self.copy, self.handover, self.subscriptions, _proof, _proofSampleAbove) = (copy, handover, subscriptions, proof, sampleAbove)
        }
    }

    /// How nodes are compared at the end of a procedure.
    public enum Proof: String, Sendable, Hashable {
        /// Row counts and order-independent hashes of every replicated table.
        case hashes
        /// Row counts only.
        case counts
    }
}

extension Playbook.AddSpockNode {
    /// The node that is made.
    public struct NewNode: Sendable {
        public let node: Playbook.Node
        /// Absolute; where the copy goes.
        @Located public var dataDirectory: String
        /// The connection string the peers use to reach it, without a password; `nil` for the one of address and port.
        @Located public var dsn: String?
        /// Whether the nodes may be let in over the network without being asked who they are, where the source does so.
        @Located public var trustOverNetwork: Bool
        /// Where tablespaces go, by their name or their directory at the source; the others go where they are there.
        public let tablespaces: [String: String]
        /// Where the playbook says that.
        let tablespacesPlace: Place?

        init?(_ section: Section, _ roster: inout Roster) {
            let name = section.required("name", .nodeName, example: "n4")
            // Asked for here too: of a running node the server says it, of this one nobody can.
            let dataDirectory = section.required("data_directory", .path, example: "/var/lib/postgresql/15/main")
            let node = Playbook.Node(name, section, &roster)
            let dsn = section.optional("dsn", .dsn)
            let trust = section.optional("trust_over_network", .choice([("true", true), ("false", false)]), default: false)
            let tablespaces = section.optional("tablespaces") { $0.values(.path) }
            tablespacesPlace = section.given("tablespaces")
            guard let node, let dataDirectory, let dsn, let trust, let tablespaces else { return nil }
            (self.node, _dataDirectory, _dsn, _trustOverNetwork) = (node, dataDirectory, dsn, trust)
            self.tablespaces = tablespaces.mapValues(\.wrappedValue)
        }
    }
}
