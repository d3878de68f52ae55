extension Playbook {
    /// `procedure: remove-spock-node`: takes a node out of a Spock cluster.
    public struct RemoveSpockNode: Sendable {
        public let cluster: Cluster
        /// The name of the node that leaves, as Spock knows it; one of ``Cluster/nodes`` as long as it exists.
        @Located public var node: String
        /// Whether clients are let in on it again in the end; otherwise its database takes none.
        @Located public var keepsOpen: Bool
        /// Whether others may read from it that are none of the cluster's nodes.
        @Located public var lettingOthersRead: Bool
        /// How long client transactions on it may go on before they are ended.
        @Located public var transactionGrace: Duration
        /// A wait ends when nothing has moved for so long.
        @Located public var stallLimit: Duration
        /// How the nodes that stay are compared at the end.
        @Located public var proof: Proof
        /// Of a table that is larger only a sample is compared.
        @Located public var proofSampleAbove: ByteCount

        /// The nodes that stay.
        public var staying: [Node] { cluster.nodes.filter { $0.name != node } }

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster($0, &roster) }
            let node = section.required("node", .nodeName, example: "n4")
            let open = section.optional("keep_open", .choice([("false", false), ("true", true)]), default: false)
            let others = section.optional("other_readers", .choice([("refuse", false), ("leave", true)]), default: false)
            let grace = section.optional("transaction_grace", .duration(.zero ... .seconds(3600)), default: .milliseconds(500))
            let stall = section.optional("stall_limit", .duration(.seconds(10) ... .seconds(86400)), default: .seconds(300))
            let proof = section.optional("proof", .choice([("hashes", .hashes), ("counts", .counts)]), default: Proof.hashes)
            let sampleAbove = section.optional("proof_sample_above", .byteCount, default: ByteCount(bytes: 200 << 30))
            if let node, !roster.names.isEmpty, roster.names.allSatisfy({ $0.wrappedValue == node.wrappedValue }) {
                section.report(
                    "\"\(node.wrappedValue)\" is the only one of cluster.nodes: nobody would stay", hint: "name every node that stays in cluster.nodes", at: node.place)
                return nil
            }
            guard let cluster, let node, let open, let others, let grace, let stall, let proof, let sampleAbove else { return nil }
            (self.cluster, _node, _keepsOpen, _lettingOthersRead, _transactionGrace, _stallLimit) = (cluster, node, open, others, grace, stall)
            (_proof, _proofSampleAbove) = (proof, sampleAbove)
        }
    }
}
