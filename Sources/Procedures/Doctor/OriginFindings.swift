import PostgresClient
import Report
import Server
import Spock

/// What of replication origins, and of node ids, is left or doubled.
enum OriginFindings {
    /// Origins that no subscription uses.
    static func stale(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.names.flatMap { name -> [Diagnosis] in
            guard let state = mesh.state(name), let examination = mesh.examinations[name] else { return [] }
            let unseen = state.unseenDatabases
            return state.unusedOrigins(besides: examination.otherOrigins).map { originName in
                let doubt = unseen.isEmpty ? "" : ", unless it is one of \(list(unseen)), which nobody could look into"
                return Diagnosis(
                    .staleOrigin, on: name.rawValue, "replication origin \(originName)", found: "no subscription uses it\(doubt)", needed: "a subscription, or no origin",
                    why: "it takes one of \(MeshLimit.originLimit(state)), and a new subscription of that name would go on where it stands",
                    mend: ("SELECT pg_replication_origin_drop(\(literal: originName.rawValue))" as SQL).typed)
            }
        }
    }

    /// States under a number that is neither an origin's nor a node's.
    static func ownerless(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        let ids = mesh.view.nodeIDs
        return mesh.names.flatMap { name -> [Diagnosis] in
            guard let state = mesh.state(name), state.unseenDatabases.isEmpty else { return [] }
            return state.origins.filter { $0.name == nil && ids[$0.localID] == nil }.map { origin in
                let label = "pggraft_gone_\(origin.localID)"
                return Diagnosis(
                    .ownerlessState, on: name.rawValue, "replication state \(origin.localID)",
                    found: "it has no origin, and no node has this id; it stands at \(origin.remoteLSN?.description ?? "0/0")", needed: "a node of this id, or no state",
                    why: "it is left of a node that was removed: it takes one of \(MeshLimit.originLimit(state)), and a node that gets the id would be taken to stand there",
                    mend: """
                        BEGIN; SET LOCAL allow_system_table_mods = on; INSERT INTO pg_replication_origin VALUES (\(origin.localID), '\(label)'); \
                        SELECT pg_replication_origin_drop('\(label)'); COMMIT
                        """)
            }
        }
    }

    /// The same node id in two databases of an instance.
    static func sharedIDs(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.names.flatMap { name -> [Diagnosis] in
            guard let state = mesh.state(name) else { return [] }
            let own = Dictionary(state.nodes.map { ($0.id, $0.name) }) { first, _ in first }
            return state.otherDatabases.compactMap { database -> Diagnosis? in
                guard case .nodes(let nodes) = database.spock else { return nil }
                let shared = nodes.keys.filter { own[$0] != nil }.sorted()
                guard !shared.isEmpty else { return nil }
                let ids = shared.map { "\($0) (\(own[$0]?.rawValue ?? "") here, \(nodes[$0]?.rawValue ?? "") there)" }
                return Diagnosis(
                    .sharedNodeID, on: name.rawValue, "database \(database.name)", found: "it knows nodes with ids of nodes of \(state.database): \(list(ids))",
                    needed: "ids that are in one database only",
                    why: "the instance keeps one position for each id: a copy of it, and a recovery after a crash, would go on at the other database's",
                    mend: "give the nodes of one of the two clusters other names, from which the ids are made: spock.node_drop and spock.node_create, with its subscriptions anew")
            }
        }
    }
}
