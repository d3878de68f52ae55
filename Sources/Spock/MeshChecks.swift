internal import Server

/// What must be so before a node is added. Each check looks at one thing and finds nothing where all is well.
public enum MeshChecks {
    /// Every check, in the order a reader wants to hear of them.
    public static func all(of mesh: MeshView, adding new: NewNode, mode: Handover) -> [MeshFinding] {
        guard mode != .logical else {
            return visited(mesh) + privileges(mesh) + versions(mesh) + subscriptions(mesh) + (mesh.names.count > 1 ? models(of: new, in: mesh) : []) + identity(of: new, in: mesh)
                + writable(mesh, mode: mode) + prepared(mesh) + limits(of: mesh, adding: new) + tables(of: new.source, in: mesh) + replicationSets(mesh) + foreignSlots(mesh)
                + sharedInstances(mesh, source: new.source, mode: mode) + exceptions(mesh)
        }
        return visited(mesh) + privileges(mesh) + versions(mesh) + subscriptions(mesh) + models(of: new, in: mesh) + identity(of: new, in: mesh) + writable(mesh, mode: mode)
            + prepared(mesh) + limits(of: mesh, adding: new) + dependents(on: new.source, in: mesh) + tables(of: new.source, in: mesh)
            + replicationSets(mesh)
            + foreignSlots(mesh) + sharedInstances(mesh, source: new.source, mode: mode) + carried(by: new.source, in: mesh) + exceptions(mesh)
    }

    /// How the node will join.
    public enum Handover: Sendable, Hashable {
        case readOnly, live
        /// By Spock's own copy.
        case logical
    }

    /// Every node that some node knows was looked at.
    public static func visited(_ mesh: MeshView) -> [MeshFinding] {
        mesh.unvisited.map { node in
            .nodeNotVisited(node, knownBy: mesh.names.filter { mesh.states[$0]?.nodes.contains { $0.name == node } ?? false })
        }
    }

    /// pggraft is superuser everywhere: without that, other sessions' transactions are not seen.
    public static func privileges(_ mesh: MeshView) -> [MeshFinding] {
        mesh.names.filter { mesh.states[$0]?.isSuperuser == false }.map { .notSuperuser($0) }
    }

    /// The same version everywhere, and the library of the version the extension is at.
    public static func versions(_ mesh: MeshView) -> [MeshFinding] {
        var versions: [NodeName: SpockVersion] = [:], findings: [MeshFinding] = []
        for name in mesh.names {
            guard let state = mesh.states[name] else { continue }
            versions[name] = state.version
            if let library = state.libraryVersion, let installed = state.extensionVersion, library.number != installed.number {
                findings.append(.extensionNotUpdated(name, library: library, extension: installed))
            }
            if !state.isLoaded { findings.append(.notLoaded(name)) }
        }
        if Set(versions.values).count > 1 { findings.append(.versionsDiffer(versions)) }
        return findings
    }

    /// Every pair subscribed both ways, once, every subscription `replicating`, all with the same settings.
    public static func subscriptions(_ mesh: MeshView) -> [MeshFinding] {
        var findings: [MeshFinding] = []
        for (provider, subscriber) in mesh.pairs {
            guard let subscription = mesh.subscription(provider: provider, subscriber: subscriber) else {
                findings.append(.subscriptionMissing(provider: provider, subscriber: subscriber))
                continue
            }
            let names = mesh.allSubscriptions(provider: provider, subscriber: subscriber).map(\.name)
            if names.count > 1 { findings.append(.subscriptionsDoubled(names, provider: provider, subscriber: subscriber)) }
            let status = mesh.states[subscriber]?.statuses[subscription.name] ?? .unknown
            if status != .replicating {
                findings.append(.subscriptionNotReplicating(subscription.name, provider: provider, subscriber: subscriber, status: status))
            }
        }
        let kinds = Dictionary(grouping: mesh.subscriptions, by: \.settings)
        if kinds.count > 1 {
            findings.append(.subscriptionSettingsDiffer(kinds.values.map { $0.map(\.name).sorted() }.sorted { $0.count > $1.count }))
        }
        let forwarding = mesh.subscriptions.filter { !$0.settings.forwardOrigins.isEmpty }
        if !forwarding.isEmpty { findings.append(.originsForwarded(forwarding.map(\.name).sorted())) }
        if !mesh.subscriptions.isEmpty, mesh.subscriptionPattern == nil {
            findings.append(.noSubscriptionPattern(mesh.subscriptions.map(\.name).sorted()))
        }
        return findings
    }

    /// Each subscription of the new node has one that it can be modelled on.
    public static func models(of new: NewNode, in mesh: MeshView) -> [MeshFinding] {
        do throws(NoSubscriptionModel) {
            _ = try SubscriptionModels(of: mesh.subscriptions, source: new.source, peers: mesh.names.filter { $0 != new.source })
            return []
        } catch {
            // That one is missing has its own finding.
            if case .missing = error { return [] }
            return [.noSubscriptionModel(of: new.name, error)]
        }
    }

    /// The window is long enough for subscriptions that apply late: twice, since the mesh is drained before and after the slots.
    public static func delays(of mesh: MeshView, window: Duration) -> [MeshFinding] {
        let delayed = mesh.subscriptions.filter { $0.settings.applyDelay > .zero }
        guard let longest = delayed.map(\.settings.applyDelay).max() else { return [] }
        return [.applyDelayed(delayed.map(\.name).sorted(), longest: longest, needed: longest * 2 + .seconds(5), window: window)]
    }

    /// The new node's name and id are free everywhere.
    public static func identity(of new: NewNode, in mesh: MeshView) -> [MeshFinding] {
        let knowing = mesh.names.filter { mesh.states[$0]?.nodes.contains { $0.name == new.name } ?? false }
        if !knowing.isEmpty { return [.nameTaken(new.name, on: knowing)] }
        guard let other = mesh.nodeIDs[new.id] else { return [] }
        return [.idTaken(new.name, id: new.id, by: other)]
    }

    /// No node is read-only already, and no role escapes when it shall be.
    public static func writable(_ mesh: MeshView, mode: Handover) -> [MeshFinding] {
        mesh.names.flatMap { name -> [MeshFinding] in
            guard let state = mesh.states[name] else { return [] }
            var findings: [MeshFinding] = []
            if let value = state.settings[ReadOnlyMode.setting], value != ReadOnlyMode.off.rawValue {
                findings.append(.readOnlyAlready(name, value: value))
            }
            if mode == .readOnly, !state.readOnlyOverrides.isEmpty {
                findings.append(.readOnlyOverridden(name, by: state.readOnlyOverrides))
            }
            if mode == .readOnly, !state.superuserClients.isEmpty, let version = state.version, !ReadOnlyMode.stopsSuperusers(on: version) {
                findings.append(.superuserClients(name, state.superuserClients))
            }
            return findings
        }
    }

    public static func prepared(_ mesh: MeshView) -> [MeshFinding] {
        mesh.names.compactMap { name in
            guard let prepared = mesh.states[name]?.preparedTransactions, !prepared.isEmpty else { return nil }
            return .preparedTransactions(name, prepared)
        }
    }

    public static func dependents(on source: NodeName, in mesh: MeshView) -> [MeshFinding] {
        guard let dependents = mesh.states[source]?.extensionDependents, !dependents.isEmpty else { return [] }
        return [.extensionDependents(source, dependents)]
    }

    /// The source's replication sets can be made again.
    public static func tables(of source: NodeName, in mesh: MeshView) -> [MeshFinding] {
        guard let refused = mesh.states[source]?.refusedTables, !refused.isEmpty else { return [] }
        return [.tablesRefused(source, refused)]
    }

    /// Every set a subscription names exists on its provider.
    public static func replicationSets(_ mesh: MeshView) -> [MeshFinding] {
        mesh.subscriptions.compactMap { subscription in
            let there = Set(mesh.states[subscription.provider]?.replicationSets.map(\.name) ?? [])
            let missing = subscription.settings.replicationSets.filter { !there.contains($0) }
            return missing.isEmpty ? nil : .replicationSetMissing(subscription.name, provider: subscription.provider, sets: missing)
        }
    }

    /// Slots of Spock's plugin that no subscription of the mesh reads: somebody else subscribes, or a removed node left one.
    public static func foreignSlots(_ mesh: MeshView) -> [MeshFinding] {
        mesh.names.flatMap { name -> [MeshFinding] in
            guard let state = mesh.states[name] else { return [] }
            let ours = Set(mesh.allSubscriptions.filter { $0.provider == name }.map(\.slot))
            return state.slots
                .filter { $0.plugin == ReplicationSlot.spockPlugin && $0.database == state.database && !ours.contains($0.name) }
                .map { .foreignSlot(name, slot: $0.name, isActive: $0.isActive) }
        }
    }

    /// Two Spock databases of one instance must not know nodes of the same id: they share the rows by which a clone knows where to go on. Of the
    /// source's other databases all must be known: they come with the copy.
    public static func sharedInstances(_ mesh: MeshView, source: NodeName, mode: Handover) -> [MeshFinding] {
        mesh.names.flatMap { name -> [MeshFinding] in
            guard let state = mesh.states[name] else { return [] }
            let ids = Set(state.nodes.map(\.id)), isCopied = name == source && mode != .logical
            return state.otherDatabases.compactMap { database -> MeshFinding? in
                switch database.spock {
                case .absent: return nil
                case .closed: return isCopied ? .databaseClosed(name, database: database.name) : nil
                case .unknown(let reason): return .otherDatabaseUnknown(name, database: database.name, reason: reason, isCopied: isCopied)
                case .nodes(let nodes):
                    let shared = ids.intersection(nodes.keys).sorted()
                    guard !shared.isEmpty || mode == .live else { return nil }
                    return .instanceShared(name, database: database.name, sharedIDs: shared, mode: mode)
                }
            }
        }
    }

    /// What of the source's databases comes with a copy and is taken off it, or cannot be, and what the copy loses.
    public static func carried(by source: NodeName, in mesh: MeshView) -> [MeshFinding] {
        guard let state = mesh.states[source] else { return [] }
        var findings: [MeshFinding] = []
        for other in state.otherDatabases.compactMap(\.carried) {
            if !other.replicators.isEmpty { findings.append(.identityCarried(source, database: other.database, other.identities)) }
            if !other.dependents.isEmpty { findings.append(.carriedDependents(source, database: other.database, other.dependents)) }
        }
        for database in [state.carried].compactMap({ $0 }) + state.otherDatabases.compactMap(\.carried) {
            if !database.strangers.isEmpty { findings.append(.strangersCarried(source, database: database.database, database.strangers)) }
            if !database.unlogged.isEmpty { findings.append(.unloggedTables(source, database: database.database, database.unlogged)) }
        }
        let others = state.carried?.dependents.filter { !state.extensionDependents.contains($0) } ?? []
        if !others.isEmpty { findings.append(.carriedDependents(source, database: state.database, others)) }
        return findings
    }

    public static func exceptions(_ mesh: MeshView) -> [MeshFinding] {
        mesh.names.compactMap { name in
            guard let count = mesh.states[name]?.exceptionCount, count > 0 else { return nil }
            return .exceptionsLogged(name, rows: count)
        }
    }

    /// What is too small for one node more, on every node that is there and on the new one.
    public static func limits(of mesh: MeshView, adding new: NewNode) -> [MeshFinding] {
        MeshLimit.all(of: mesh, adding: new).filter { !$0.isSufficient }.map(MeshFinding.limit)
    }
}
