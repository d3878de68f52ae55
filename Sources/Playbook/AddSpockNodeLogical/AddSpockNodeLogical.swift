import Foundation

extension Playbook {
    /// `procedure: add-spock-node-logical`: adds a node to a Spock cluster by Spock's own copy of structure and data.
    public struct AddSpockNodeLogical: Sendable {
        public let cluster: Cluster
        /// The name of the node that is copied: one of ``Cluster/nodes``.
        @Located public var sourceName: String
        public let newNode: NewNode
        public let copy: Copy
        public let subscriptions: AddSpockNode.Subscriptions
        /// How long the new node's slots may wait for transactions that are open.
        @Located public var slotWait: Duration
        /// Percent of the free space of a disk that WAL may take which is kept for the new node.
        @Located public var walFuse: Int
        /// How the nodes are compared at the end.
        @Located public var proof: Proof
        /// Of a table that is larger only a sample is compared.
        @Located public var proofSampleAbove: ByteCount

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster($0, &roster) }
            let members = roster
            let source = section.required("source", .nodeName, example: "n1")
            let newNode = section.required("new_node") { NewNode($0, &roster) }
            let copy = section.optional("copy") { Copy($0) }
            let subscriptions = section.optional("subscriptions") { AddSpockNode.Subscriptions($0, roster) }
            let slotWait = section.optional("slot_wait", .duration(.seconds(1) ... .seconds(86400)), default: .seconds(60))
            let fuse = section.optional("wal_fuse", .number(1...90), default: 20)
            let proof = section.optional("proof", .choice([("hashes", .hashes), ("counts", .counts)]), default: Proof.hashes)
            let sampleAbove = section.optional("proof_sample_above", .byteCount, default: ByteCount(bytes: 200 << 30))
            if let source { members.require(source, section) }
            members.refuseSecond(roster, section)
            guard let cluster, let source, let newNode, let copy, let subscriptions, let slotWait, let fuse, let proof, let sampleAbove,
                cluster[source.wrappedValue] != nil
            else { return nil }
            (self.cluster, _sourceName, self.newNode, self.copy, self.subscriptions) = (cluster, source, newNode, copy, subscriptions)
            (_slotWait, _walFuse, _proof, _proofSampleAbove) = (slotWait, fuse, proof, sampleAbove)
        }
    }
}

extension Playbook.AddSpockNodeLogical {
    /// The node that joins: its server runs, and has the database.
    public struct NewNode: Sendable {
        public let node: Playbook.Node
        /// The connection string by which the others reach it, without a password; `nil` for the one of address and port.
        @Located public var dsn: String?
        @Located public var location: String?
        @Located public var country: String?
        /// A JSON object.
        @Located public var info: String?

        init?(_ section: Section, _ roster: inout Roster) {
            let name = section.required("name", .nodeName, example: "n4")
            // Its server is stopped for a moment, and cannot be asked for it then.
            let node = Playbook.Node(name, section, &roster, needsDataDirectory: true)
            let dsn = section.optional("dsn", .dsn)
            let location = section.optional("location", .words("a location")), country = section.optional("country", .words("a country"))
            let info = section.optional("info", .jsonObject)
            guard let node, let dsn, let location, let country, let info else { return nil }
            (self.node, _dsn, _location, _country, _info) = (node, dsn, location, country, info)
        }
    }

    /// How Spock's copy is waited for.
    public struct Copy: Sendable {
        /// With a copy that does not get on.
        @Located public var stallLimit: Duration

        init?(_ section: Section) {
            guard let limit = section.optional("stall_limit", .duration(.seconds(10) ... .seconds(24 * 3600)), default: .seconds(300)) else { return nil }
            _stallLimit = limit
        }
    }
}

extension Scalar<String> {
    fileprivate static func words(_ expected: String) -> Scalar { Scalar(expected) { $0.isEmpty ? nil : $0 } }

    /// A JSON object, as its text.
    fileprivate static let jsonObject = Scalar("a JSON object such as '{\"tier\": \"gold\"}'", hint: "put it between single quotes") { text in
        do {
            return try JSONSerialization.jsonObject(with: Data(text.utf8)) is [String: Any] ? text : nil
        } catch {
            return nil
        }
    }
}
