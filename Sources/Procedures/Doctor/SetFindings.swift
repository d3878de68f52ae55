import PostgresClient
import Report
import Server
import Spock

/// What is not replicated though it looks so.
enum SetFindings {
    /// Sets with tables that the subscriptions to their node leave out, all together.
    static func leftOut(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.view.pairs.flatMap { provider, subscriber -> [Diagnosis] in
            let all = mesh.view.allSubscriptions(provider: provider, subscriber: subscriber), enabled = all.filter(\.isEnabled)
            // Of those that are disabled something else is said.
            let reading = enabled.isEmpty ? all : enabled
            guard let subscription = reading.first else { return [] }
            let sets = mesh.state(provider)?.replicationSets ?? [], named = Set(reading.flatMap(\.settings.replicationSets)), isOne = reading.count == 1
            let read = Set(sets.filter { named.contains($0.name) }.flatMap { $0.tables.map(\.relation) })
            return sets.filter { !named.contains($0.name) }.compactMap { set -> Diagnosis? in
                let missing = Set(set.tables.map(\.relation)).subtracting(read).sorted()
                guard !missing.isEmpty else { return nil }
                return Diagnosis(
                    .setLeftOut, on: subscriber.rawValue, "\(isOne ? "subscription" : "subscriptions") \(list(reading.map(\.name.rawValue)))",
                    found: "\(isOne ? "it leaves" : "they leave") out the replication set \(set.name) of \(provider), which has \(tables(missing))",
                    needed: "the set among those that \(isOne ? "it names" : "they name")",
                    why: "what \(provider) writes there does not come to \(subscriber), and the status is replicating all the same",
                    mend: "compare the tables, then \(("SELECT spock.sub_add_repset(\(literal: subscription.name.rawValue), \(literal: set.name.rawValue))" as SQL).typed)")
            }
        }
    }

    /// Tables that no set of their node has.
    static func inNoSet(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.names.compactMap { name -> Diagnosis? in
            guard let found = mesh.examinations[name]?.tablesInNoSet, let first = found.first else { return nil }
            return Diagnosis(
                .tableInNoSet, on: name.rawValue, found.count == 1 ? "table \(first)" : "\(found.count) tables",
                found: "\(found.count == 1 ? "it is" : "\(tables(found)) are") in no replication set", needed: "a set, unless each node shall have rows of its own",
                why: "what is written there on \(name) comes to no other node", mend: "\(adding(first, to: "default")), on every node")
        }
    }

    /// Tables that are in a set and could not be put there today.
    static func refused(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.names.flatMap { name in
            (mesh.state(name)?.refusedTables ?? []).map { table in
                switch table.reason {
                case .identity:
                    Diagnosis(
                        .tableWithoutKey, on: name.rawValue, "table \(table.relation)",
                        found: "it has no primary key, or another replica identity, and is in \(table.set), which replicates UPDATE and DELETE", needed: "a primary key",
                        why: "an UPDATE or DELETE there is refused, or finds no row on the others",
                        mend:
                            "\(("ALTER TABLE \(table.relation.sql) ADD PRIMARY KEY (…)" as SQL).typed), on every node; or move it to a set of inserts: \(removing(table)), "
                            + adding(table.relation, to: "default_insert_only"))
                case .unlogged:
                    Diagnosis(
                        .refusedTable, on: name.rawValue, "table \(table.relation)", found: "it is unlogged, and in \(table.set)", needed: "a logged table",
                        why: "nothing of it is in the WAL, and so nothing comes to the others", mend: ("ALTER TABLE \(table.relation.sql) SET LOGGED" as SQL).typed)
                case .columns:
                    Diagnosis(
                        .refusedTable, on: name.rawValue, "table \(table.relation)", found: "its column list in \(table.set) does not fit its columns",
                        needed: "the columns of its key, and none that is gone",
                        why: "rows come to the others without what tells them apart",
                        mend: "\(removing(table)), then spock.repset_add_table with another list, on every node")
                }
            }
        }
    }

    /// Sequences that number the rows of a table on several nodes, with the same numbers.
    static func sequences(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        var nodes: [RelationName: [(node: NodeName, sequence: KeySequence)]] = [:]
        for name in mesh.names {
            for sequence in mesh.examinations[name]?.keySequences ?? [] where !(nodes[sequence.name]?.contains { $0.node == name } ?? false) {
                nodes[sequence.name, default: []].append((name, sequence))
            }
        }
        return nodes.keys.sorted().compactMap { name -> Diagnosis? in
            let all = nodes[name] ?? [], colliding = all.filter { one in all.contains { $0.node != one.node && $0.sequence.collides(with: one.sequence) } }
            guard let first = colliding.first else { return nil }
            let found = colliding.map { node, sequence in
                "\(node) goes on with \(sequence.next) in steps of \(sequence.increment)"
            }
            return Diagnosis(
                .collidingSequence, on: list(colliding.map(\.node.rawValue)), "sequence \(name)",
                found: "it numbers \(first.sequence.table).\(first.sequence.column): \(found.joined(separator: ", "))",
                needed: "numbers of its own for every node that writes: steps that do not meet, or ranges",
                why: "two nodes give the same key to different rows, and one of these is lost on every node",
                mend: parting(name, all, facts))
        }
    }

    /// Statements by which they never meet again, where every node that has the sequence is known.
    private static func parting(_ name: RelationName, _ all: [(node: NodeName, sequence: KeySequence)], _ facts: DoctorFacts) -> String {
        let unseen = facts.unlooked + facts.unnamed
        guard unseen.isEmpty else {
            return
                "\(list(unseen)), which \(unseen.count == 1 ? "was" : "were") not looked at, may have it, too: numbers that are free there are not known; bring that back, then ask again"
        }
        guard let steps = KeySteps.parting(all, members: facts.mesh?.names.count ?? all.count) else {
            return "what it makes, or its range, leaves no room for common steps: give it a range of its own on every node, with ALTER SEQUENCE, on its node alone"
        }
        let statements = steps.map { "\($0.node): ALTER SEQUENCE \(name.sql.typed) INCREMENT BY \($0.increment) RESTART WITH \($0.restart)" }
        return (statements + ["each on its node alone: SET spock.enable_ddl_replication = off first, where DDL is replicated"]).joined(separator: "\n")
    }

    private static func adding(_ table: RelationName, to set: ReplicationSetName) -> String {
        ("SELECT spock.repset_add_table(\(literal: set.rawValue), \(literal: table.sql.typed))" as SQL).typed
    }

    private static func removing(_ table: RefusedTable) -> String {
        ("SELECT spock.repset_remove_table(\(literal: table.set.rawValue), \(literal: table.relation.sql.typed))" as SQL).typed
    }

    private static func tables(_ names: [RelationName]) -> String { list(names.map(\.description), atMost: 10) }
}
