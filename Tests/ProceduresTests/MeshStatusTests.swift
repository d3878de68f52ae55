import PostgresClient
import ProcedureKit
import Report
import Server
import Spock
import Testing

@testable import Procedures

@Suite("The status of a Spock cluster, from what its nodes have said")
struct MeshStatusTests {
    static let cluster = SpockMembers(cluster: "app", members: ["n1", "n2", "n3"], unsettled: "n4")

    static func slot(_ name: String, isRead: Bool = true, confirmed: UInt64 = 0x5000, retained: Int64 = 4096) -> ReplicationSlot {
        ReplicationSlot(
            name: SlotName(stringLiteral: name), plugin: "spock_output", database: "app", activePID: isRead ? 7 : nil, restartLSN: LSN(position: 0x4000),
            confirmedFlushLSN: LSN(position: confirmed), walStatus: "reserved", retainedBytes: retained)
    }

    /// A node of a cluster in which all is well.
    static func look(_ name: NodeName, of nodes: [NodeName] = ["n1", "n2", "n3"]) -> SpockLook {
        let peers = nodes.filter { $0 != name }
        let subscriptions = peers.enumerated().map { index, peer in
            Subscription(
                id: UInt32(index), name: SubscriptionName(stringLiteral: "sub_\(peer)_\(name)"), provider: peer, subscriber: name, providerDSN: Conninfo([:]), isEnabled: true,
                slot: SlotName(stringLiteral: "spk_\(peer)_\(name)"), settings: .init())
        }
        return SpockLook(
            database: "app", written: LSN(position: 0x5000), at: ServerMoment(microseconds: 100_000_000), local: name, known: nodes, subscriptions: subscriptions,
            statuses: Dictionary(uniqueKeysWithValues: subscriptions.map { ($0.name, .replicating) }),
            lastCommits: Dictionary(uniqueKeysWithValues: peers.map { ($0, ServerMoment(microseconds: 40_000_000)) }), slots: peers.map { slot("spk_\(name)_\($0)") })
    }

    static func clock() -> LagClock {
        var clock = LagClock()
        for node in ["n1", "n2", "n3"] { clock.look(node, at: LSN(position: 0x5000)) }
        return clock
    }

    static func status(_ change: (inout [String: MeshStatus.Answer]) -> Void = { _ in }) -> MeshStatus {
        var answers = Dictionary(uniqueKeysWithValues: (["n1", "n2", "n3"] as [NodeName]).map { ($0.rawValue, MeshStatus.Answer($0.rawValue, .serving(look($0)))) })
        change(&answers)
        return MeshStatus(cluster, Array(answers.values), clock())
    }

    private static func edit(_ answers: inout [String: MeshStatus.Answer], _ node: String, _ change: (inout SpockLook) -> Void) {
        guard var look = answers[node]?.state?.answer else { return }
        change(&look)
        answers[node] = MeshStatus.Answer(node, .serving(look))
    }

    @Test func `of one that is well there is nothing to say, and everything to see`() throws {
        let status = Self.status()
        #expect(status.problems == [])
        #expect(status.nodes.map { "\($0.name) \($0.role)" } == ["n1 member", "n2 member", "n3 member", "n4 noMember"])
        #expect(status.links.count == 6 && status.links.allSatisfy(\.isWell) && status.otherSlots == [])
        let link = try #require(status.links.first)
        #expect([link.subscription, link.provider, link.subscriber, link.status, link.slot] == ["sub_n1_n2", "n1", "n2", "replicating", "spk_n1_n2"])
        #expect(link.lagBytes == 0 && link.lag == Lag.none && link.retained == 4096)
    }

    @Test func `who is behind is told in bytes, and by the age of what he has applied`() throws {
        let status = Self.status { Self.edit(&$0, "n1") { $0.slots[0].confirmedFlushLSN = LSN(position: 0x4F00) } },
            link = try #require(status.links.first { $0.slot == "spk_n1_n2" })
        #expect(link.lagBytes == 256 && link.lag == .atMost(.seconds(60)))
        #expect(status.problems == [])
    }

    @Test func `one that joins is asked as soon as somebody knows it`() {
        let four: [NodeName] = ["n1", "n2", "n3", "n4"]
        let status = MeshStatus(Self.cluster, four.map { MeshStatus.Answer($0.rawValue, .serving(Self.look($0, of: four))) })
        #expect(status.links.count == 12 && status.problems == [])
    }

    static let wrong: [(name: String, change: @Sendable (inout [String: MeshStatus.Answer]) -> Void, facts: [String])] = [
        ("silent", { $0["n3"] = .init("n3", nil, last: look("n3"), silence: .seconds(4)) }, ["n3 has given no answer for 4 s"]),
        ("unreachable", { $0["n3"] = .init("n3", .unreachable(Problem("n3: no route"))) }, ["n3 cannot be asked: no route"]),
        ("deaf", { $0["n3"] = .init("n3", .deaf([], Problem("too many clients")), last: look("n3")) }, ["n3 runs and lets nobody in: too many clients"]),
        ("a standby", { edit(&$0, "n2") { $0.isInRecovery = true } }, ["n2 is a standby"]),
        ("another database", { edit(&$0, "n3") { ($0.local, $0.subscriptions) = (nil, []) } }, ["n3: database app is no Spock node"]),
        ("another node", { edit(&$0, "n3") { $0.local = "n7" } }, ["n3 is the node n7"]),
        ("without Spock", { edit(&$0, "n3") { $0.readOnly = nil } }, ["n3: Spock is not loaded"]),
        ("read-only", { edit(&$0, "n2") { $0.readOnly = "user" } }, ["n2 is read-only: spock.readonly is 'user'"]),
        ("exceptions", { edit(&$0, "n2") { $0.exceptions = 14 } }, ["n2: spock.exception_log has 14 rows: changes that were discarded there"]),
        (
            "disabled",
            {
                edit(&$0, "n2") { $0.statuses["sub_n1_n2"] = .disabled }
                edit(&$0, "n1") { $0.slots[0] = slot("spk_n1_n2", isRead: false, retained: 3 << 20) }
            }, ["sub_n1_n2 (n1 to n2) is disabled: nobody reads its slot spk_n1_n2, for which n1 keeps 3 MB"]
        ),
        (
            "says replicating", { edit(&$0, "n1") { $0.slots[0] = slot("spk_n1_n2", isRead: false) } },
            ["sub_n1_n2 (n1 to n2) says replicating, and nobody reads its slot spk_n1_n2, for which n1 keeps 4 KB"]
        ),
        (
            "a slot that is gone", { edit(&$0, "n1") { $0.slots.remove(at: 0) } }, ["sub_n1_n2 (n1 to n2) says replicating, and nobody reads its slot spk_n1_n2"]
        ),
        ("down, with its slot read", { edit(&$0, "n2") { $0.statuses["sub_n1_n2"] = .down } }, ["sub_n1_n2 (n1 to n2) is down"]),
        (
            "a subscription that is missing", { edit(&$0, "n2") { $0.subscriptions.remove(at: 0) } },
            ["n2 does not subscribe to n1"]
        ),
        (
            "a slot of nobody", { edit(&$0, "n1") { $0.slots.append(slot("left_over", isRead: false, retained: 1 << 30)) } },
            ["n1: nobody reads the slot left_over, for which it keeps 1 GB"]
        ),
        ("a node that nobody has named", { edit(&$0, "n1") { $0.known.append("n9") } }, ["n9 is a node of the cluster, and the playbook does not name it"]),
    ]

    @Test(arguments: wrong.indices)
    func `tells what is wrong`(index: Int) {
        let (_, change, facts) = Self.wrong[index], problems = Self.status(change).problems
        #expect(problems.map(\.fact) == facts)
        #expect(problems.allSatisfy { $0.hint != nil || $0.fact.contains("no route") || $0.fact.contains("too many") })
    }

    @Test func `a slot that is read is nobody's fault, and one that may be that of a silent node is not to be dropped`() {
        let read = Self.status { Self.edit(&$0, "n1") { $0.slots.append(Self.slot("reporting")) } }
        #expect(read.problems == [] && read.otherSlots.map(\.slot) == ["reporting"])
        let silent = Self.status {
            $0["n3"] = .init("n3", nil, silence: .seconds(5))
            Self.edit(&$0, "n1") { $0.slots[1] = Self.slot("spk_n1_n3", isRead: false) }
        }
        #expect(silent.problems.map(\.fact) == ["n3 has given no answer for 5 s", "n1: nobody reads the slot spk_n1_n3, for which it keeps 4 KB"])
        #expect(silent.problems.last?.hint == "it may be that of n3, which gives no answer: bring that back first")
        let unnamed = Self.status {
            Self.edit(&$0, "n1") { look in
                look.known.append("n9")
                look.slots.append(Self.slot("spk_n1_n9", isRead: false))
            }
        }
        #expect(unnamed.problems.first?.hint == "it may be that of n9, which the playbook does not name: name that there first")
    }

    @Test func `of a slot that nobody reads it is only said what is known`() {
        func hint(_ change: @escaping (inout SpockLook, inout ReplicationSlot) -> Void) -> String? {
            Self.status {
                Self.edit(&$0, "n1") { look in
                    var slot = Self.slot("left_over", isRead: false)
                    change(&look, &slot)
                    look.slots.append(slot)
                }
            }.problems.last?.hint
        }
        let drop = "SELECT pg_drop_replication_slot('left_over')"
        #expect(
            hint { $1.database = "crm" } == "it is of database crm, and who reads there is not known here: see that first; where nobody will come back to it: \(drop)")
        #expect(hint { _, _ in } == "a run may have made it for n4 (pggraft runs); where none has, it is of no subscription: \(drop)")
        #expect(
            hint { ($1.plugin, $1.database) = (nil, nil) } == "no subscription of the cluster reads it; drop it where nobody will come back to it: \(drop)")
        #expect(hint { look, _ in look.isInRecovery = true } == "name the primary in the playbook")
    }

    @Test func `both subscriptions of a pair are its own`() {
        let status = Self.status {
            Self.edit(&$0, "n2") { look in
                var second = look.subscriptions[0]
                (second.name, second.slot) = ("sub_orders", "spk_orders")
                look.subscriptions.append(second)
                look.statuses["sub_orders"] = .down
            }
            Self.edit(&$0, "n1") { $0.slots.append(Self.slot("spk_orders", isRead: false)) }
        }
        #expect(status.otherSlots == [] && status.links.count == 7)
        #expect(status.problems.map(\.fact) == ["sub_orders (n1 to n2) is down: nobody reads its slot spk_orders, for which n1 keeps 4 KB"])
    }
}
