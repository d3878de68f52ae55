import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Allow the others to connect to the new primary, and make their slots there, while it is still a standby.
struct PrepareNewPrimary: Step {
    static let name = "prepare"
    let group: SwitchedGroup
    var title: String { "Allow the other hosts to connect to \(group.new) for replication, and make their slots there" }

    /// What the standby itself would have commits wait for, before the run.
    private static let namesBefore = Fact<AlteredSetting>("synchronous_standby_names of the new primary before")
    private static let setting = "synchronous_standby_names"

    private var access: ClusterAccess { group.access }
    private var deadline: Deadline { .after(.seconds(60)) }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        var changes = try await roles.admission(access).wants().changes(on: roles.new)
        if try await !access.server(roles.new).alteredSetting(Self.setting, deadline: deadline).inForce.isEmpty {
            changes.append(Change("\(roles.new): no commit waits for a standby until the others follow (\(Self.setting) = '')"))
        }
        if changes.isEmpty, try memory.recall(SwitchedGroup.roles) != nil { return .done("the others may connect, and their slots are there") }
        return .needed(changes.isEmpty ? [Change("\(roles.new): nothing is missing")] : changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try await group.keep(run), server = try await access.server(roles.new)
        try await roles.admission(access).perform(run)
        let names = try await server.alteredSetting(Self.setting, deadline: deadline)
        if !names.inForce.isEmpty {
            if try run.memory.recall(Self.namesBefore) == nil { try run.remember(Self.namesBefore, names) }
            try await server.alterSystem(Self.setting, to: "", deadline: deadline)
        }
        return "\(list(roles.followers.map(\.name))) may stream from \(roles.new), and have their slots there"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        if try await group.isPromoted() { return .nothing(because: group.keeps) }
        let outcome = try await FollowerAdmission.undo(run, on: group.new, access)
        guard let before = try run.memory.recall(Self.namesBefore) else { return outcome }
        let server = try await access.server(group.new)
        guard try await server.alteredSetting(Self.setting, deadline: deadline).inForce.isEmpty else { return outcome }
        try await server.alterSystem(Self.setting, to: before.altered, expecting: before.inForce, deadline: deadline)
        return outcome.and(.undone(["\(group.new): \(Self.setting) is what it was"]))
    }
}

extension Roles {
    /// The new primary streams from the old one: it knows the password for that, and by which rule it is let in.
    func admission(_ access: ClusterAccess) throws -> FollowerAdmission {
        let (old, new) = (try access.roster.entry(old), try access.roster.entry(new)), role = followers.first?.role ?? ""
        return FollowerAdmission(
            of: followers, to: new.name, learningFrom: [.init(new.name, file: passfile, PasswordFile.Line(host: old.address, port: old.port, database: "replication", user: role))],
            like: { try await FollowerAdmission.rule(on: old.name, for: role, from: new.address, access, deadline: .after(.seconds(60))) }, access)
    }
}
