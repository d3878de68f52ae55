import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import Report
import Run

/// No file of the old primary says something that ends a recovery, but where its mark as a standby overrides it: whoever starts it then would have a
/// second primary.
struct NothingEndsRecovery: Requirement {
    let name = "recovery target"
    let ground: SwitchGround

    func look(_ memory: Memory) async throws -> [Finding] {
        let (_, primary, _) = try await ground.require(memory), instance = try await ground.group.access.instance(primary.name)
        guard instance.features.standbyMarker == .signalFile else { return [] }
        return Self.findings(try await instance.settingsTree(deadline: .after(.seconds(30))), on: primary.name, isOverridden: instance.sealOverrides)
    }

    static func findings(_ tree: SettingsTree, on node: String, isOverridden: (RecoveryTarget) -> Bool) -> [Finding] {
        RecoveryTarget.inForce(tree).filter(\.endsRecovery).map {
            Finding(
                "recovery target", on: node, "\($0): as a standby it would stop there, or promote itself",
                isOverridden($0)
                    ? .note(hint: "the run overrides it in postgresql.auto.conf before it promotes")
                    : .notMet(hint: "it is left from a recovery to a point in time: pggraft conf reset \(node) \($0.name)"))
        }
    }
}
