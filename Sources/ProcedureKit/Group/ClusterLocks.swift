import Report
public import Run

/// The lock of a cluster whose primary changes: on every server of it that can be reached, so that whoever takes it on any of them is refused.
public actor ClusterLocks {
    private let group: Group
    private let name: String
    private var locks: [String: ClusterLock] = [:]

    public init(_ name: String, on group: Group) { (self.name, self.group) = (name, group) }

    /// - Throws: as ``take(holder:where:)``, what a look throws.
    public func take(holder: Holder) async throws { try await take(holder: holder, where: try await group.look()) }

    /// - Parameter view: who can be reached.
    /// - Throws: ``LockTaken``; `Problem` where no server can be reached.
    public func take(holder: Holder, where view: GroupView) async throws {
        let serving = view.nodes.filter { $0.look != nil }.map(\.name)
        guard !serving.isEmpty else {
            throw Problem("no server of \(list(group.nodes)) can be asked: \(view.nodes.map { "\($0.name) \(view.description(of: $0))" }.joined(separator: "; "))")
        }
        // One after the other: of two that begin at the same time one is refused by the first server, and neither by the other.
        for node in serving {
            let lock = locks[node] ?? ClusterLock(name, on: node, of: group.access, saying: "works on cluster \(name)")
            locks[node] = lock
            try await lock.take(holder: holder)
        }
    }

    /// Takes those again that were lost with their connections.
    /// - Throws: ``LockTaken`` when somebody else has one by now.
    public func keep() async throws { for lock in locks.values { try await lock.keep() } }

    public func release() async { for lock in locks.values { await lock.release() } }
}
