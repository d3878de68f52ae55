import EventLoop
import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// One of the nodes is the primary, and no other one.
struct ThereIsOnePrimary: Requirement {
    let name = "primary"
    let standbys: SynchronousStandbys

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await standbys.look(), primary = try view.primary()
        _ = try view.standbyNames(
            after: standbys.change, from: try await standbys.group.access.server(primary.name).synchronousStandbyNames(deadline: .after(.seconds(20))),
            try await standbys.group.access.server(primary.name).features.version)
        return [Finding(name, on: primary.name, view.description(of: primary))]
    }
}

/// A standby that commits are to wait for streams from the primary, under a name that no other one has.
struct StandbyCanBeWaitedFor: Requirement {
    let name = "standby"
    let standby: String
    let standbys: SynchronousStandbys
    var place: String? { standby }

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await standbys.look(), primary = try primary(in: view)
        guard let node = view[standby] else { throw UnknownNode(name: standby) }
        guard node.name != primary.name else {
            return [Finding(name, on: standby, "it is the primary itself", .notMet(hint: "name its standbys: \(list(view.standbys(of: primary).map(\.name)))"))]
        }
        if let problem = view.obstacle(to: node, takingThePlaceOf: primary, within: .max) { return [Finding(notMet: name, on: standby, problem)] }
        let application = node.applicationName, alike = primary.look?.senders.filter { $0.application == application }.count ?? 0
        guard alike == 1 else {
            return [
                Finding(
                    name, on: standby, "\(alike) connections to \(primary.name) bear its name, \(application): the server could take one for the other",
                    .notMet(hint: "give each standby an application_name of its own in its primary_conninfo"))
            ]
        }
        let lag = view.lag(of: node, behind: primary).map { "\(UInt64($0).inBytes) behind" } ?? "streams"
        return [Finding(name, on: standby, "streams from \(primary.name) as \(application), \(lag)")]
    }

    /// Where there is none, that is another requirement's finding.
    private func primary(in view: GroupView) throws -> GroupView.Node {
        do { return try view.primary() } catch { throw NotLooked() }
    }
}

/// What clients' commits wait for depends on a setting of theirs, too.
struct CommitsAskForIt: Requirement {
    let name = "synchronous_commit"
    let standbys: SynchronousStandbys

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !standbys.waitedFor.isEmpty, let primary = try await standbys.look().nodes.first(where: \.isPrimary)?.name else { return [] }
        // The session's own is ours.
        let connection = try await standbys.group.access.connection(primary, asItIs: true, deadline: .after(.seconds(20)))
        let value: String?
        do {
            value = try await ServerSession(asItIs: connection).settings([name], deadline: .after(.seconds(20)))[name]
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
        guard let value, ["off", "local"].contains(value) else { return value.map { [Finding(name, on: primary, $0)] } ?? [] }
        return [
            Finding(
                name, on: primary, value,
                .note(hint: "commits wait for no standby as long as it is \(value): sessions have to ask for it, or `pggraft conf set \(primary) synchronous_commit=on`"))
        ]
    }
}
