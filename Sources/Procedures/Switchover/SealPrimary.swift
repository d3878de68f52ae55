import EventLoop
import Instance
import ProcedureKit
import Report
import Run

/// See to it that nobody can start the old primary as one: from here on whatever starts there is a standby.
struct SealPrimary: LeavesNothing {
    static let name = "seal"
    let group: SwitchedGroup
    var title: String { "Mark the stopped primary as a standby, and end its lease" }
    var leavesNothing: String { "the mark goes when the primary is started again" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        if SwitchedGroup.goesForward(memory) { return .done("\(roles.old) is marked") }
        return .needed([Change("\(roles.old): its mark as a standby; its watchdog ends, so that nothing starts it as a primary any more")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), checkpoint = try run.recall(StopPrimary.checkpoint)
        let instance = try await group.access.instance(roles.old)
        guard let lease = try await group.window.giveAway([roles.old])[roles.old] else { throw UnknownNode(name: roles.old) }
        let data = try await instance.seal(endingLease: lease, deadline: .after(.seconds(20)))
        guard data.state == .shutDown, data.checkpoint == checkpoint else {
            // It was a primary that was shut down again: the mark is of this moment.
            if data.state == .shutDown { try await instance.unseal(deadline: .after(.seconds(20))) }
            throw Problem("\(roles.old) was started since it was stopped: its last checkpoint is at \(data.checkpoint), not \(checkpoint)", hint: "resume the run: it begins anew")
        }
        await group.sealed()
        return "whoever starts \(roles.old) starts a standby"
    }
}
