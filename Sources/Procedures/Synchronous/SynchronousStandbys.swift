import EventLoop
import Playbook
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// The standbys that commits of a primary wait for, as they are and as they shall be.
actor SynchronousStandbys {
    nonisolated let group: Group
    nonisolated let change: Playbook.Synchronous.Change
    /// In bytes: a standby that is further behind is not waited for yet.
    nonisolated let catchUpLag: Int64
    nonisolated let patience: Patience
    private nonisolated let ways: Ways
    private var configured: ConfiguredNode?
    private var answering: Group?

    /// Of a change that nobody has to catch up for.
    /// - Parameter primary: the node whose configuration is changed, where that is known.
    init(_ change: Playbook.Synchronous.Change, _ group: Group, _ ways: Ways, primary: ConfiguredNode? = nil) {
        (self.group, self.ways, self.change, catchUpLag, patience, configured) = (group, ways, change, .max, Patience(), primary)
    }

    init(_ playbook: Playbook.Synchronous, _ group: Group, _ ways: Ways) {
        (self.group, self.ways, change) = (group, ways, playbook.change)
        (catchUpLag, patience) = (playbook.catchUpLag.bytes, Patience(limit: playbook.stallLimit))
    }

    /// The nodes that a commit waits for from now on and that have to be there for it.
    nonisolated var waitedFor: [String] {
        switch change {
        case .waitFor(let standbys): standbys.names
        case .add(let name): [name]
        case .off, .remove: []
        }
    }

    /// Who waits for nobody any more may be asked for because somebody is gone, and every commit waits.
    nonisolated var deadline: Deadline { .after(waitedFor.isEmpty ? .seconds(6) : .seconds(30)) }

    /// As ``Group/look(deadline:)``. Where nobody has to be there those that were silent once are not asked again.
    func look() async throws -> GroupView {
        guard waitedFor.isEmpty else { return try await group.look(deadline: deadline) }
        let view = try await (answering ?? group).look(deadline: deadline)
        if answering == nil { answering = Group(view.nodes.filter { $0.look != nil }.map(\.name), of: group.access) }
        return view
    }

    /// Waits until the primary takes as many standbys for synchronous as it has been told, and says which.
    func awaitWaitedFor(deadline: Deadline) async throws -> (primary: String, standbys: [StreamingStandby]) {
        let primary = try await look().primary().name, names = try await group.access.server(primary).synchronousStandbyNames(deadline: deadline)
        let found = try await wait(for: "\(primary) to take \(names.number) of \(names) for synchronous", until: deadline, every: .milliseconds(50)) {
            () -> Look<[StreamingStandby]> in
            let node = try await group.node(primary, deadline: deadline.forLook), found = GroupView([node]).standbysWaitedFor(by: names, on: node)
            let all = node.look?.senders.map { "\($0.application) \($0.state)" } ?? []
            return found.count >= names.number ? .found(found) : .notYet("it streams to " + (all.isEmpty ? "nobody" : list(all)))
        }
        return (primary, found)
    }

    /// The primary as a node whose configuration is changed.
    func primary(called name: String) throws -> ConfiguredNode {
        if let configured, configured.target.name == name { return configured }
        guard let target = NodeTarget(name, in: group.access.roster) else { throw UnknownNode(name: name) }
        let node = try ConfiguredNode(target, ways)
        configured = node
        return node
    }

    func close() async { await configured?.close() }
}

extension GroupView {
    /// What `synchronous_standby_names` of the primary has to say after `change`.
    /// - Throws: `Problem` where the server has no such list, or commits would wait for ever.
    func standbyNames(after change: Playbook.Synchronous.Change, from now: StandbyNames, _ version: MajorVersion) throws -> StandbyNames {
        // Who is gone is known by the name that pggraft gives.
        func application(_ node: String) -> String { self[node].flatMap { $0.look == nil ? nil : $0.applicationName } ?? node }
        func made(_ method: Playbook.Synchronous.Standbys.Method, _ number: Int, _ names: [String]) throws -> StandbyNames {
            guard let empty = StandbyNames("", version: version) else { return now }
            let list = names.reduce(empty) { $0.adding(application($1)) }
            switch method {
            case _ where version >= .postgres(10): return list.waiting(by: method == .any ? .any(number) : .first(number))
            case .first where version.number >= 906: return list.waiting(by: .number(number))
            case .first where number == 1: return list
            case .first, .any:
                throw Problem("PostgreSQL \(version) waits for one standby only, the first that is there", hint: "say FIRST 1 (…)")
            }
        }
        switch change {
        case .off: return try made(.first, 1, [])
        case .waitFor(let standbys): return try made(standbys.method, standbys.number, standbys.names)
        case .add(let name): return now.names.isEmpty ? try made(.first, 1, [name]) : now.adding(application(name))
        case .remove(let name):
            let rest = now.removing(application(name))
            guard rest.names.isEmpty || rest.isSatisfiable else {
                throw Problem(
                    "without \(name) a commit would wait for \(rest.number) of \(rest.names.count) standbys, and so for ever (\(now) is in force)",
                    hint: "say with `standbys:` whom commits shall wait for, or off")
            }
            return rest
        }
    }

    /// As many of the standbys on `list` as commits wait for, as the primary sees them.
    func standbysWaitedFor(by list: StandbyNames, on primary: Node) -> [StreamingStandby] {
        primary.look?.senders.filter { ($0.sync == .sync || $0.sync == .quorum) && (list.contains($0.application) || list.contains("*")) } ?? []
    }
}
