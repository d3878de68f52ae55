import PostgresClient
import ProcedureKit
import Procedures
import Server
import Spock
import Testing

@testable import pggraft

@Suite("A Spock cluster on a terminal")
struct MeshStatusViewTests {
    private static let names: [NodeName] = ["n1", "n2", "n3", "n5", "n6", "n7", "n8", "n9"]

    private static func look(_ name: NodeName, without disabled: SubscriptionName? = nil) -> SpockLook {
        let peers = names.filter { $0 != name }
        let subscriptions = peers.map { peer in
            Subscription(
                id: 1, name: SubscriptionName(stringLiteral: "sub_\(peer)_\(name)"), provider: peer, subscriber: name, providerDSN: Conninfo([:]), isEnabled: true,
                slot: SlotName(stringLiteral: "spk_\(peer)_\(name)"), settings: .init())
        }
        let slots = peers.map { peer in
            ReplicationSlot(
                name: SlotName(stringLiteral: "spk_\(name)_\(peer)"), plugin: "spock_output", database: "app", activePID: "sub_\(name)_\(peer)" == disabled?.rawValue ? nil : 7,
                restartLSN: .zero, confirmedFlushLSN: LSN(position: 0x5000), walStatus: nil, retainedBytes: 4096)
        }
        return SpockLook(
            database: "app", written: LSN(position: 0x5000), at: ServerMoment(microseconds: 0), local: name, known: names, subscriptions: subscriptions,
            statuses: Dictionary(uniqueKeysWithValues: subscriptions.map { ($0.name, $0.name == disabled ? .disabled : .replicating) }), slots: slots)
    }

    private static func view(without disabled: SubscriptionName? = nil) -> MeshStatusView {
        var clock = LagClock()
        for name in names { clock.look(name.rawValue, at: LSN(position: 0x5000)) }
        let answers = names.map { MeshStatus.Answer($0.rawValue, .serving(look($0, without: disabled))) }
        return MeshStatusView(cluster: "app", status: MeshStatus(SpockMembers(cluster: "app", members: names.map(\.rawValue)), answers, clock))
    }

    @Test func `where there are too few lines, subscriptions that are well are one of them`() {
        let terminal = Terminal(), whole = Self.view().lines(terminal), short = Self.view().lines(terminal, atMost: 30)
        #expect(whole.count { $0.contains("replicating  yes") } == 56)
        #expect(short.count <= 30 && !short.contains { $0.contains("sub_") }, "\(short)")
        #expect(short.contains("56 replicate, their slots are read: 0 B behind at most, for 0 s"), "\(short)")
    }

    @Test func `one that is not well is shown, however few there are`() {
        let lines = Self.view(without: "sub_n1_n2").lines(Terminal(), atMost: 30)
        #expect(lines.contains { $0.hasPrefix("sub_n1_n2     n1    n2  disabled  no") }, "\(lines)")
        #expect(lines.contains { $0.hasPrefix("55 others replicate, their slots are read") }, "\(lines)")
        #expect(lines.contains { $0.contains("sub_n1_n2 (n1 to n2) is disabled: nobody reads its slot spk_n1_n2") })
    }

    @Test func `how far everybody is changes nothing that a watcher wants to hear of`() {
        #expect(Self.view().shape == Self.view().shape)
        #expect(Self.view().shape != Self.view(without: "sub_n1_n2").shape)
    }
}
