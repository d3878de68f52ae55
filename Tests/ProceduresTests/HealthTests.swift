import Run
import Server
import Testing

@testable import Procedures
@testable import Spock

@Suite("What is left over in a mesh, from what was read")
struct HealthTests {
    private static func origins(_ name: OriginName, besides others: [OriginName] = [], in databases: [SpockNodeState.OtherDatabase] = []) -> [Finding] {
        var state = DoctorTests.state("n2")
        state.origins.append(.init(localID: 9, name: name, remoteLSN: nil))
        state.otherDatabases += databases
        return NothingIsLeftOver.origins(state, on: "n2", besides: others)
    }

    @Test func `an origin of another subscriber of the instance is none`() {
        #expect(Self.origins("pg_16400", besides: ["pg_16400"]) == [])
        #expect(Self.origins("spk_crm_x", in: [.init(name: "crm", spock: .nodes([5: "x"]), origins: ["spk_crm_x"])]) == [])
        #expect(Self.origins("left_over").map(\.isMet) == [false])
        #expect(Self.origins("left_over", in: [.init(name: "crm", spock: .nodes([5: "x"]), origins: ["spk_crm_x"])]).map(\.isMet) == [false])
        let unseen = Self.origins("spk_crm_x", in: [.init(name: "crm", spock: .unknown("no entry in pg_hba.conf"))])
        #expect(unseen.map(\.isMet) == [true])
        #expect(unseen.first?.found == "the origin spk_crm_x is of no subscription, unless it is one of crm, which nobody could look into")
    }

    private static func slots(_ change: (inout [NodeName: SpockNodeState]) -> Void) -> [Finding] {
        var states = Dictionary(uniqueKeysWithValues: DoctorTests.names.map { ($0, DoctorTests.state($0)) })
        change(&states)
        return NothingIsLeftOver.slots(MeshView(Array(states.values)))
    }

    @Test func `a slot that somebody outside reads is noted, and one that nobody reads is left over`() {
        #expect(Self.slots { _ in } == [])
        #expect(Self.slots { $0["n1"]?.slots.append(DoctorTests.slot("reporting")) }.map(\.isMet) == [true])
        #expect(Self.slots { $0["n1"]?.slots.append(DoctorTests.slot("left_over", isRead: false)) }.map(\.isMet) == [false])
        let second = Self.slots {
            $0["n2"]?.subscriptions.append(DoctorTests.orders())
            $0["n1"]?.slots.append(DoctorTests.slot("spk_orders"))
        }
        #expect(second == [], "of a second subscription of a pair")
    }
}
