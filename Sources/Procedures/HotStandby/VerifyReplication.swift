import EventLoop
import Foundation
import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// Verify that replication is functioning: what is written on the primary is read on the standby.
struct VerifyReplication: Step {
    static let name = "verify-replication"
    /// What was seen.
    static let said = Fact<String>("verification")

    let pair: StandbyPair
    var title: String { "Verification of replication: a row written on \(pair.primary) is read on \(pair.standby.name)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let said = try memory.recall(Self.said) { return .done(said) }
        // Made and verified by another run.
        if !memory.began(StartStandby.self), try await pair.streams() { return .done(try await pair.streamingState()) }
        return .needed([
            Change("\(pair.sender): \(pair.standby.name) streams in pg_stat_replication; its lag"),
            Change("\(pair.primary): write a row (a table pggraft.probe, removed afterwards); \(pair.standby.name): read it"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let primary = try await pair.access.server(pair.primary), deadline = Deadline.after(.seconds(60)), token = UUID().uuidString
        let limits = try await pair.compareMinima()
        try run.creating(Created("table", on: pair.primary, "pggraft.probe"))
        let began = ContinuousClock.Instant.now
        try await primary.writeProbe(token, deadline: deadline)
        try await pair.access.server(pair.standby.name).readProbe(token, deadline: deadline)
        let took = began.duration(to: .now)
        try await primary.dropProbe(deadline: deadline)
        let text = "\(try await pair.streamingState()); a row written on \(pair.primary) was read there \(took.inSeconds) later; \(limits)"
        try run.remember(Self.said, text)
        return text
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        await takeBack(try run.created) { [pair] thing in
            let server = try await pair.access.server(thing.place), deadline = Deadline.after(.seconds(20))
            guard try await server.hasProbe(deadline: deadline) else { return .absent }
            try await server.dropProbe(deadline: deadline)
            return .gone("\(thing) is dropped")
        }
    }
}

extension StandbyPair {
    /// How it streams, and how far behind it is.
    func streamingState() async throws -> String {
        let (lag, _) = try await standby.replay(), name = standby.name, slot = standby.slot
        let seen = try await access.server(sender).standbys(deadline: .after(.seconds(20))).first { $0.application == name }
        return "\(name) is \(seen?.state ?? "not seen") from \(sender)\(slot.map { " through the slot \($0)" } ?? ""), \(UInt64(max(0, lag)).inBytes) behind"
    }

    /// What a standby needs at least as much of as its primary has, or its recovery stops one day.
    func compareMinima() async throws -> String {
        let deadline = Deadline.after(.seconds(20)), own = try await access.server(standby.name), names = own.features.hotStandbyMinima
        async let theirs = access.server(primary).settings(names, deadline: deadline)
        let ours = try await own.settings(names, deadline: deadline)
        let others = try await theirs
        for name in names {
            guard let own = ours[name].flatMap({ Int($0) }), let other = others[name].flatMap({ Int($0) }), own < other else { continue }
            throw Problem(
                "\(standby.name): \(name) is \(own), and \(primary) has \(other): its recovery would stop", hint: "set \(name) = \(other) there, and restart it")
        }
        return names.map { "\($0) \(ours[$0] ?? "?") (\(primary) \(others[$0] ?? "?"))" }.joined(separator: ", ")
    }
}
