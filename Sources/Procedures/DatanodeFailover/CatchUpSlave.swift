import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// See that the slave has replayed all that it has received.
struct CatchUpSlave: LeavesNothing {
    static let name = "catch-up"
    /// What became of commits that the master had acknowledged, as far as its files say.
    static let acknowledged = Fact<String>("what was acknowledged")
    let order: FailedDatanode
    var title: String { "See that \(order.slave) has replayed all that it has received from \(order.datanode)" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let kept = try memory.recall(FailedGroup.succession) { return .done("\(kept.new) had received up to \(kept.received)") }
        let state = try await order.access.server(order.slave).recovery(deadline: .after(.seconds(20)))
        guard state.isInRecovery else { return .done("\(order.slave) is the master") }
        return .needed([Change("\(order.slave): received up to \(state.receivedLSN?.description ?? "nothing"), replayed up to \(state.replayedLSN?.description ?? "nothing")")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let server = try await order.access.server(order.slave)
        // The master is fenced, and nothing comes any more: what the receiver has still to write it writes at once.
        let state = try await server.recovery(deadline: .after(.seconds(20)))
        let end = [state.receivedLSN, state.replayedLSN].compactMap(\.self).max() ?? .zero
        let behind = max(0, end.bytes(since: state.replayedLSN ?? .zero))
        if behind > 0 { try await server.waitReplayed(to: end, of: order.datanode, deadline: .after(.seconds(3600))) }
        let last = try await server.recovery(deadline: .after(.seconds(20)))
        let received = [end, last.receivedLSN ?? .zero, last.replayedLSN ?? .zero].max() ?? end
        let timeline = try await server.replication(deadline: .after(.seconds(20))).timeline ?? 0
        let acknowledged = try await acknowledged()
        if let acknowledged { try run.remember(Self.acknowledged, acknowledged) }
        // By that the step is known as done.
        try run.remember(FailedGroup.succession, Succession(old: order.datanode, new: order.slave, received: received, timeline: timeline))
        return "\(order.slave) has replayed all that it has, up to \(received) (\(UInt64(behind).inBytes) were left)\(acknowledged.map { "; \($0)" } ?? "")"
    }

    /// Whether the lost master has acknowledged nothing that the slave has not; `nil` where its files cannot be read.
    private func acknowledged() async throws -> String? {
        do {
            let instance = try await order.failed.oldInstance()
            let names = try await instance.configuration(through: nil, deadline: .after(.seconds(20))).tree.deciding("synchronous_standby_names")?.value ?? ""
            guard let list = StandbyNames(names, version: instance.version), list.isAlwaysWaitedFor(order.slave) else {
                let said = names.isEmpty ? "no slave" : "synchronous_standby_names = '\(names)', and not in every commit for \(order.slave)"
                return "\(order.datanode) waited for \(said): what it has acknowledged last may be missing"
            }
            return "\(order.datanode) waited for \(order.slave) (synchronous_standby_names = '\(names)'): what it has acknowledged is there"
        } catch let error where !(error is CancellationError) {
            return nil
        }
    }
}
