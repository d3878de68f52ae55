import Report
public import Server

/// Something a check found. A blocker keeps the run from beginning; a warning is shown.
public enum MeshFinding: Sendable, Hashable, CustomStringConvertible {
    case nodeNotVisited(NodeName, knownBy: [NodeName])
    case notSuperuser(NodeName)
    case notLoaded(NodeName)
    case versionsDiffer([NodeName: SpockVersion])
    case extensionNotUpdated(NodeName, library: SpockVersion, extension: SpockVersion)
    case subscriptionsDoubled([SubscriptionName], provider: NodeName, subscriber: NodeName)
    case subscriptionMissing(provider: NodeName, subscriber: NodeName)
    case subscriptionNotReplicating(SubscriptionName, provider: NodeName, subscriber: NodeName, status: SubscriptionStatus)
    /// Groups of subscriptions with equal settings, the greatest first.
    case subscriptionSettingsDiffer([[SubscriptionName]])
    case originsForwarded([SubscriptionName])
    case noSubscriptionModel(of: NodeName, NoSubscriptionModel)
    /// - Parameter needed: how long the window must be allowed to be, at least.
    case applyDelayed([SubscriptionName], longest: Duration, needed: Duration, window: Duration)
    case noSubscriptionPattern([SubscriptionName])
    case nameTaken(NodeName, on: [NodeName])
    case idTaken(NodeName, id: NodeID, by: NodeName)
    case readOnlyAlready(NodeName, value: String)
    case readOnlyOverridden(NodeName, by: [String])
    case superuserClients(NodeName, [String])
    case preparedTransactions(NodeName, [PreparedTransaction])
    case limit(MeshLimit)
    case extensionDependents(NodeName, [String])
    case tablesRefused(NodeName, [RefusedTable])
    case replicationSetMissing(SubscriptionName, provider: NodeName, sets: [ReplicationSetName])
    case foreignSlot(NodeName, slot: SlotName, isActive: Bool)
    case instanceShared(NodeName, database: String, sharedIDs: [NodeID], mode: MeshChecks.Handover)
    case otherDatabaseUnknown(NodeName, database: String, reason: String, isCopied: Bool)
    /// A database that takes no connections comes with the copy as it is.
    case databaseClosed(NodeName, database: String)
    case identityCarried(NodeName, database: String, [String])
    case carriedDependents(NodeName, database: String, [String])
    /// Extensions that replicate in the node's name, and that nobody here knows how to take off a copy.
    case strangersCarried(NodeName, database: String, [String])
    case unloggedTables(NodeName, database: String, [RelationName])
    case exceptionsLogged(NodeName, rows: Int)

    public enum Severity: Sendable, Hashable {
        case blocker, warning
    }

    public var severity: Severity {
        switch self {
        case .noSubscriptionPattern, .subscriptionSettingsDiffer, .foreignSlot, .exceptionsLogged, .databaseClosed, .identityCarried, .unloggedTables,
            .superuserClients:
            .warning
        case .otherDatabaseUnknown(_, _, _, let isCopied): isCopied ? .blocker : .warning
        case .applyDelayed(_, _, let needed, let window): needed > window ? .blocker : .warning
        default: .blocker
        }
    }

    public var description: String { Problem(fact, hint: hint).description }

    /// What was found, and where.
    public var fact: String {
        switch self {
        case .nodeNotVisited(let node, let knownBy): "node \(node) is known to \(list(knownBy)), but it was not looked at"
        case .notSuperuser(let node): "\(node): the role is no superuser"
        case .notLoaded(let node): "\(node): Spock is not loaded"
        case .versionsDiffer(let versions):
            "the nodes have different versions of Spock: " + versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        case .extensionNotUpdated(let node, let library, let installed):
            "\(node): the library is Spock \(library), the extension in the database still \(installed)"
        case .subscriptionsDoubled(let names, let provider, let subscriber): "\(subscriber) reads \(provider) over \(names.count) subscriptions: \(list(names))"
        case .subscriptionMissing(let provider, let subscriber): "\(subscriber) does not subscribe to \(provider)"
        case .subscriptionNotReplicating(let name, let provider, let subscriber, let status):
            "subscription \(name) from \(provider) to \(subscriber) is \(status)"
        case .subscriptionSettingsDiffer(let groups):
            "the subscriptions have different settings: " + groups.map { $0.map(\.description).joined(separator: ", ") }.joined(separator: " | ")
        case .originsForwarded(let names): "\(list(names)) \(names.count == 1 ? "passes" : "pass") on what other nodes have written (forward_origins)"
        case .noSubscriptionModel(_, let why): why.fact
        case .applyDelayed(let names, let longest, let needed, let window):
            "\(list(names)) \(names.count == 1 ? "applies" : "apply") late (apply_delay up to \(longest.inSeconds)): the window waits for that"
                + (needed > window ? ", and may last \(window.inSeconds) only" : "")
        case .noSubscriptionPattern(let names): "the names of the subscriptions follow no pattern: \(list(names))"
        case .nameTaken(let name, let on): "the node name \(name) is taken: \(list(on)) \(on.count == 1 ? "knows" : "know") a node called so"
        case .idTaken(let name, let id, let other): "\(name) would have the node id \(id), which is that of \(other)"
        case .readOnlyAlready(let node, let value): "\(node): spock.readonly is '\(value)' already"
        case .superuserClients(let node, let who):
            "\(node): superusers are connected, whom the read-only mode of this version does not stop: \(who.joined(separator: ", "))"
        case .readOnlyOverridden(let node, let who): "\(node): \(who.joined(separator: ", ")) has a spock.readonly of its own"
        case .preparedTransactions(let node, let prepared):
            "\(node): \(prepared.count == 1 ? "a transaction is" : "\(prepared.count) transactions are") prepared: \(list(prepared))"
        case .limit(let limit): "\(limit.node): \(limit.setting) is \(limit.found), \(limit.needed) are needed (\(limit.sum))"
        case .extensionDependents(let node, let dependents):
            "\(node): \(dependents.count == 1 ? "an object depends" : "\(dependents.count) objects depend") on the extension spock: \(dependents.joined(separator: "; "))"
        case .tablesRefused(let node, let tables): "\(node): Spock would not take these tables into their replication sets again: \(list(tables))"
        case .replicationSetMissing(let name, let provider, let sets):
            "subscription \(name) names \(list(sets)), which \(provider) does not have"
        case .foreignSlot(let node, let slot, let isActive):
            "\(node): slot \(slot) belongs to no subscription of the mesh, and is \(isActive ? "being read" : "read by nobody")"
        case .instanceShared(let node, let database, let ids, _):
            "\(node): database \(database) of the same instance is a Spock node too"
                + (ids.isEmpty ? "" : ", with the same node ids \(ids.map(String.init).joined(separator: ", "))")
        case .otherDatabaseUnknown(let node, let database, let reason, _):
            "\(node): whether database \(database) of the same instance has Spock is not known: \(reason)"
        case .databaseClosed(let node, let database):
            "\(node): database \(database) takes no connections: whether it has Spock or pglogical is not known"
        case .identityCarried(let node, let database, let identities): "\(node): database \(database) has \(list(identities)) too"
        case .carriedDependents(let node, let database, let dependents):
            "\(node): in database \(database) \(dependents.count == 1 ? "an object depends" : "\(dependents.count) objects depend") on the extensions that replicate: \(dependents.joined(separator: "; "))"
        case .strangersCarried(let node, let database, let names): "\(node): database \(database) has the extension \(list(names))"
        case .unloggedTables(let node, let database, let tables):
            "\(node): \(tables.count == 1 ? "a table is" : "\(tables.count) tables are") unlogged in database \(database): \(list(tables))"
        case .exceptionsLogged(let node, let rows): "\(node): spock.exception_log has \(rows) rows: changes that were discarded before this run"
        }
    }

    /// What to do.
    public var hint: String {
        switch self {
        case .nodeNotVisited: "name it in the playbook, or remove what is left of it from the mesh"
        case .notSuperuser: "connect as a superuser: the transactions of others cannot be seen otherwise"
        case .notLoaded: "put spock into shared_preload_libraries and restart"
        case .versionsDiffer: "bring all nodes to one version first"
        case .extensionNotUpdated: "run ALTER EXTENSION spock UPDATE there"
        case .subscriptionsDoubled: "how far one node has applied another is then not one position: make one subscription of them that names the sets of all"
        case .subscriptionMissing(let provider, let subscriber): "create the subscription from \(provider) on \(subscriber) first"
        case .subscriptionNotReplicating(_, let provider, let subscriber, _):
            "repair it first: look into the logs of \(subscriber) and of \(provider)"
        case .subscriptionSettingsDiffer: "each new subscription is like the one of its pair: make them alike if that is not meant"
        case .originsForwarded:
            "every node gets such changes twice, from the one that wrote them and from the one that passes them on, and Spock then doubles rows of tables without a primary key: make these subscriptions anew with forward_origins := '{}'"
        case .noSubscriptionModel(_, let why): why.hint ?? ""
        case .applyDelayed(_, _, let needed, let window):
            needed > window
                ? "let handover.window_limit be \(needed.inSeconds), or make these subscriptions anew without it" : "every node is read-only for that much longer"
        case .superuserClients: "what they write in the window is not lost: they only write on while the others wait"
        case .noSubscriptionPattern: "the new ones are called \(SubscriptionPattern.usual), unless the playbook says otherwise"
        case .nameTaken: "choose another name, or remove the node of that name first"
        case .idTaken: "choose another name: the id is made from it"
        case .readOnlyAlready: "find out who closed it and why, and open it first"
        case .readOnlyOverridden: "take it away for the run: ALTER ROLE … RESET spock.readonly"
        case .preparedTransactions: "COMMIT PREPARED or ROLLBACK PREPARED them first"
        case .limit(let limit): "set \(limit.setting) to at least \(limit.needed) and restart \(limit.node)"
        case .extensionDependents: "they would keep the extension from being dropped on the copy; drop them for the run, and create them again"
        case .tablesRefused:
            "give each a primary key and REPLICA IDENTITY DEFAULT, or take it out of the set: the new node could not be given the same sets"
        case .replicationSetMissing(_, let provider, _): "create the set on \(provider), or take it from the subscription"
        case .foreignSlot(_, _, true): "somebody outside the mesh subscribes: the new node's changes will reach it only if it subscribes there too"
        case .foreignSlot(_, let slot, false): "it keeps WAL; if nobody needs it, drop it: SELECT pg_drop_replication_slot('\(slot)')"
        case .instanceShared(_, _, let shared, .live) where shared.isEmpty: "the position to go on from would be ambiguous: use the read-only handover"
        case .instanceShared:
            "the position to go on from would be ambiguous: the instance has one for each node id; choose another source, or give the nodes of one mesh other names"
        case .databaseClosed: "it comes with the copy as it is: if it has, let nobody connect to it on the new node before its extension is dropped there"
        case .identityCarried:
            "it comes with the copy and is taken off it before anything of it runs: on the new node that database is a plain one, with the rows of the moment of the copy"
        case .carriedDependents: "they would keep the extensions from being dropped on the copy; drop them for the run, and create them again"
        case .strangersCarried: "pggraft does not know how to take it off a copy, which would act in the source's name: choose another source"
        case .unloggedTables: "they are empty on the new node: their rows are in no WAL"
        case .otherDatabaseUnknown(_, _, _, isCopied: true): "it comes with the copy, and so does a node that it may be: let the role connect to it, so that it can be looked into"
        case .otherDatabaseUnknown: "let the role connect to it, so that it can be checked"
        case .exceptionsLogged: "compare the nodes; a new node inherits what the source lacks"
        }
    }
}

/// `n1, n2 and n3`.
private func list(_ items: [some CustomStringConvertible]) -> String { Report.list(items.map(\.description)) }
