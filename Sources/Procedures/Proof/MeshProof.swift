import EventLoop
public import Playbook
import PostgresClient
public import ProcedureKit
import Report
import Run
import Spock

/// The proof alone, of a mesh as it is: every node that the playbook names and that is a member, the new one too once it is. It keeps nobody from writing,
/// and changes nothing but a table of its own, which it removes again.
public struct MeshProof: Sendable {
    private let mesh: SpockMesh
    private let access: ClusterAccess
    private let lock: ClusterLock
    private let order: Proof.Order

    /// - Parameters:
    ///   - ways: how hosts and servers are reached.
    ///   - seed: decides which rows a sample has; by default any.
    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook, _ ways: Ways, seed: Int? = nil) throws {
        let cluster: String
        (mesh, cluster) = try SpockMesh.named(by: playbook, ways)
        access = mesh.access
        lock = ClusterLock(cluster, on: mesh.source, of: access, saying: "works on cluster \(cluster)")
        order = try Proof.Order(playbook, seed: seed)
    }

    /// What it came to, where nothing differs.
    public struct Verdict: Sendable {
        public var nodes: [String]
        /// What the nodes say of each other, and every table that was compared, as lines.
        public var text: String
        public var tables: [Comparison.Table]
        /// With the reason.
        public var notCompared: [(table: String, reason: String)]
    }

    /// - Parameter tell: takes what is worth a line: why it does not get on.
    /// - Throws: `NodesDiffer`, `Problem` that says what is not as it must be; `LockTaken` while a run works on the cluster.
    public func make(tell: @escaping @Sendable (String) -> Void, progress: @escaping @Sendable (String, Double?) -> Void) async throws -> Verdict {
        do {
            // Runs use the same table.
            try await lock.take(holder: Holder())
            let nodes = try await members()
            guard nodes.count > 1 else { throw Problem("\(list(nodes)) has nobody to be compared with", hint: "name the other nodes of the cluster in cluster.nodes") }
            let proof = Proof(mesh: mesh, nodes: nodes, joined: nil, order: order)
            let proven = try await proof.make(since: nil, tell: tell, progress: progress)
            await close()
            return Verdict(nodes: nodes, text: proven.text, tables: proven.comparison.equal, notCompared: proven.comparison.leftOut)
        } catch {
            await close()
            throw error
        }
    }

    private func close() async {
        await lock.release()
        await access.close()
    }

    /// The members, and the new node where the source knows it.
    private func members() async throws -> [String] {
        let known = try await mesh.spock(mesh.source).nodes(deadline: .after(.seconds(20))).map(\.name.rawValue)
        let strangers = known.filter { !mesh.nodes.contains($0) }
        guard strangers.isEmpty else {
            throw Problem(
                "\(mesh.source) knows \(list(strangers)), which the playbook does not name",
                hint: "name every node of the cluster in cluster.nodes: what is not looked at is not proven")
        }
        return mesh.nodes.filter { $0 != mesh.newNode || known.contains($0) }
    }
}

extension Proof.Order {
    /// - Throws: `Problem` where the playbook is of no Spock cluster.
    fileprivate init(_ playbook: Playbook, seed: Int?) throws {
        switch playbook.procedure {
        case .addSpockNode(let add): try self.init(add, seed: seed)
        case .addSpockNodeLogical(let add): self.init(add, seed: seed)
        default: throw Problem("\(playbook.name) adds no node to a Spock cluster", hint: "name the playbook that has added one")
        }
    }

    /// - Parameter seed: by default any.
    init(_ playbook: Playbook.AddSpockNode, seed: Int? = nil) throws {
        self.init(
            compares: playbook.proof == .hashes, samplesAbove: playbook.proofSampleAbove.bytes, seed: seed ?? Self.anySeed(),
            patience: Patience(limit: playbook.copy.stallLimit))
    }

    /// - Parameter seed: by default any.
    init(_ playbook: Playbook.AddSpockNodeLogical, seed: Int? = nil) {
        self.init(
            compares: playbook.proof == .hashes, samplesAbove: playbook.proofSampleAbove.bytes, seed: seed ?? Self.anySeed(), patience: Patience(limit: playbook.copy.stallLimit))
    }

    private static func anySeed() -> Int { Int.random(in: 1...999_999) }
}
