import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Take away what the slave has inherited from its master, and what would have each write on it hang: that commits wait for a standby, which is itself.
struct ClearInherited: Step {
    static let name = "clear"
    private static let setting = "synchronous_standby_names"
    /// What the setting was.
    private static let before = Fact<AlteredSetting>("what \(setting) was")

    let order: FailedDatanode
    var title: String { "Take away what \(order.slave) has inherited and what would have writes hang there (\(Self.setting))" }

    private func names() async throws -> String {
        try await order.access.server(order.slave).settings([Self.setting], deadline: .after(.seconds(20)))[Self.setting] ?? ""
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        // Once it is the master, somebody may have given it a standby.
        if memory.began(PromoteSuccessor.self) { return .done("\(Self.setting) was empty when \(order.slave) was promoted") }
        let names = try await names()
        return names.isEmpty ? .done("\(Self.setting) is empty") : .needed([Change("\(order.slave): \(Self.setting) = '' (it is '\(names)'), and reload")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let server = try await order.access.server(order.slave), deadline = Deadline.after(.seconds(60)), was = try await names()
        guard server.features.hasFileSettingsView else {
            try await write("", run, server, deadline)
            return "it was '\(was)'"
        }
        try run.remember(Self.before, try await server.alteredSetting(Self.setting, deadline: deadline))
        try await server.alterSystem(Self.setting, to: "", deadline: deadline)
        return "it was '\(was)'"
    }

    /// Into the file that decides, of a server that has no ALTER SYSTEM.
    private func write(_ value: String, _ run: StepRun, _ server: ServerSession, _ deadline: Deadline) async throws {
        let instance = try await order.access.instance(order.slave), configuration = try await instance.configuration(through: server.connection, deadline: deadline)
        guard let decided = configuration.tree.deciding(Self.setting) else {
            throw Problem("\(order.slave): \(Self.setting) stands in none of its files", hint: "its command line says it: start it without, and resume")
        }
        let path = try HostPath(checking: decided.file), now = try await instance.host.read(path, as: instance.user, deadline: deadline)
        var file = SettingsFile(now ?? [])
        file.set(Self.setting, to: value)
        try await KeptFiles(instance: instance, of: run.step).apply(ConfigurationEdit(path: path, before: now, after: file.render()), run, deadline: deadline)
        try await server.reload(until: Self.setting, is: value, deadline: deadline)
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        if let new = try await order.failed.promoted(run.memory) { return .nothing(because: "\(new) is the master") }
        let server = try await order.access.server(order.slave), deadline = Deadline.after(.seconds(60))
        guard server.features.hasFileSettingsView else {
            let outcome = try await KeptFiles(instance: try await order.access.instance(order.slave), of: run.step).restore(run, deadline: deadline)
            try await server.reload(deadline: deadline)
            return outcome
        }
        guard let before = try run.memory.recall(Self.before) else { return .undone([]) }
        try await server.alterSystem(Self.setting, to: before.altered, expecting: before.inForce, deadline: deadline)
        return .undone(["\(order.slave): \(Self.setting) is '\(before.inForce)' again"])
    }
}
