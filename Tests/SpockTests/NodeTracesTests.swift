import PostgresClient
import Server
import Testing

@testable import Spock

/// What a node that stays has of one that leaves, and nothing that is another pair's.
@Suite struct NodeTracesTests {
    /// n1 of a mesh of three, from which n3 leaves.
    private static func traces(
        read: Set<SlotName> = [], expected: SlotName? = nil, origins: Set<OriginName> = [], _ change: (inout SpockNodeState) -> Void = { _ in }
    ) -> NodeTraces {
        var state = MeshChecksTests.state("n1")
        change(&state)
        return NodeTraces(of: "n3", in: state, staying: ["spk_app_n1_sub_n1_n2"], read: read, expected: expected, origins: origins)
    }

    private static let own: SlotName = "spk_app_n1_sub_n1_n3"

    @Test func `its subscription, whatever it is called, and the slot that its own catalog names`() {
        let traces = Self.traces(read: ["legacy_7"]) { state in
            state.subscriptions[1].name = "whatever"
            state.slots[1].name = "legacy_7"
        }
        #expect(traces.isKnown && !traces.isEmpty)
        #expect(traces.subscriptions.map(\.name) == ["whatever"])
        #expect(traces.slots.map(\.name) == ["legacy_7"] && traces.unknownSlots.isEmpty && traces.origins.isEmpty)
    }

    @Test func `a slot that a node which stays reads is never its own, whoever says so`() {
        #expect(Self.traces(read: ["spk_app_n1_sub_n1_n2"], expected: "spk_app_n1_sub_n1_n2").slots.isEmpty)
    }

    @Test func `without its catalog only the slot of the mesh's own naming is its own; what nobody reads is told, and what somebody reads is not`() {
        let expected = Self.traces(expected: Self.own) { state in state.slots.append(MeshChecksTests.slot("spk_app_n1_other", activePID: nil)) }
        #expect(expected.slots.map(\.name) == [Self.own] && expected.unknownSlots.map(\.name) == ["spk_app_n1_other"])
        let unknown = Self.traces { state in state.slots[1] = MeshChecksTests.slot(Self.own, activePID: nil) }
        #expect(unknown.slots.isEmpty && unknown.unknownSlots.map(\.name) == [Self.own])
        #expect(Self.traces().unknownSlots.isEmpty, "it is read")
    }

    @Test func `slots of other databases and other plugins are nobody's here`() {
        let traces = Self.traces(read: [Self.own], expected: Self.own) { state in
            state.slots[1].database = "other"
            state.slots.append(MeshChecksTests.slot("standby", activePID: nil))
            state.slots[2].plugin = nil
        }
        #expect(traces.slots.isEmpty && traces.unknownSlots.isEmpty)
    }

    @Test func `an origin that a subscription still has is not left over, whatever it is called`() {
        let origins: Set<OriginName> = ["spk_app_n3_sub_n3_n1", "spk_app_n2_sub_n2_n1"]
        #expect(Self.traces(origins: origins).origins.isEmpty)
        #expect(Self.traces(origins: origins) { $0.subscriptions.remove(at: 1) }.origins == ["spk_app_n3_sub_n3_n1"])
    }

    @Test func `how far it is applied is told by the origin of its subscription`() {
        let traces = Self.traces { state in state.origins[1].remoteLSN = LSN("0/1234") }
        #expect(traces.applied == ["sub_n3_n1": LSN("0/1234") ?? .zero])
        #expect(Self.traces().applied == [:])
    }

    @Test func `nothing is left where there is nothing`() {
        let traces = Self.traces(read: [Self.own], expected: Self.own, origins: ["spk_app_n3_sub_n3_n1"]) { state in
            state.nodes.removeAll { $0.name == "n3" }
            state.subscriptions.removeAll { $0.provider == "n3" }
            state.slots.removeAll { $0.name == Self.own }
            state.origins.removeAll { $0.name == "spk_app_n3_sub_n3_n1" }
        }
        #expect(traces.isEmpty && traces.unknownSlots.isEmpty)
    }

    @Test(
        arguments: [
            (NodeRemoval.dropNode("n4"), "SELECT spock.node_drop(node_name := $1, ifexists := true) AS dropped  -- $1 = 'n4'"),
            (
                NodeRemoval.addNowhere(to: "n4"),
                """
                SELECT spock.node_add_interface(node_name := $1, interface_name := $2, dsn := 'host=/nonexistent') WHERE NOT EXISTS (\
                SELECT FROM spock.node_interface i JOIN spock.node n ON n.node_id = i.if_nodeid WHERE n.node_name = $3 AND i.if_name = $4)  \
                -- $1 = 'n4', $2 = 'pggraft_nowhere', $3 = 'n4', $4 = 'pggraft_nowhere'
                """
            ),
            (
                NodeRemoval.lead("sub_n4_n1"),
                "SELECT spock.sub_alter_interface(subscription_name := $1, interface_name := $2)  -- $1 = 'sub_n4_n1', $2 = 'pggraft_nowhere'"
            ),
            (NodeProgress.delete(4711), "DELETE FROM spock.progress WHERE remote_node_id = $1::oid  -- $1 = '4711'"),
        ] as [(SQL, String)])
    func `the statements of a removal`(sql: SQL, text: String) { #expect(sql.description == text) }
}
