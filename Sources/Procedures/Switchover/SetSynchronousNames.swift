import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// Have commits on the new primary wait for the standbys that take the places of those they waited for.
struct SetSynchronousNames: LeavesNothing {
    static let name = "synchronous"
    private static let setting = "synchronous_standby_names"
    let group: SwitchedGroup
    var title: String { "Carry synchronous_standby_names over to \(group.new)" }
    var leavesNothing: String { group.keeps }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        guard !roles.names.after.isEmpty else { return .done("no commit waits for a standby") }
        if try await group.isPromoted(), try await group.access.server(roles.new).alteredSetting(Self.setting, deadline: .after(.seconds(20))).inForce == roles.names.after {
            return .done(roles.names.after)
        }
        return .needed([Change("\(roles.new): \(Self.setting) = '\(roles.names.after)' (on \(roles.old): '\(roles.names.before)'), once all of them stream")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), server = try await group.access.server(roles.new)
        let streaming = try await server.standbys(deadline: .after(.seconds(20))).filter(\.isStreaming).map(\.application)
        try await server.alterSystem(Self.setting, to: roles.names.after, deadline: .after(.seconds(30)))
        return "\(roles.names.after); \(list(streaming)) \(streaming.count == 1 ? "streams" : "stream")"
    }
}
