import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Choose the standby that has most, and allow the others to connect to it.
struct ChooseSuccessor: Step {
    static let name = "choose"
    let failed: FailedGroup
    var title: String {
        failed.wanted.map { "See that \($0) has most, and allow the others to connect to it" } ?? "Choose the standby that has most, and allow the others to connect to it"
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let new = try await failed.promoted(memory) { return .done("\(new) is the primary") }
        let succession = try await failed.succession(memory)
        let changes = try await failed.admission(succession).wants().changes(on: succession.new)
        if try memory.recall(FailedGroup.succession) != nil, changes.isEmpty { return .done("\(succession.new) has most") }
        return .needed([Change("\(succession.new) has most: received up to \(succession.received)")] + changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        let succession = try await failed.succession(run.memory), server = try await failed.access.server(succession.new)
        try run.remember(FailedGroup.succession, succession)
        try await failed.admission(succession).perform(run)
        // Or the first write hangs: nobody streams from it yet.
        let names = try await server.alteredSetting("synchronous_standby_names", deadline: .after(.seconds(20)))
        if !names.inForce.isEmpty {
            try await server.alterSystem("synchronous_standby_names", to: "", deadline: .after(.seconds(20)))
            run.note("\(succession.new): synchronous_standby_names was '\(names.inForce)' and is empty now, so that no write hangs")
        }
        return "\(succession.new) has most: received up to \(succession.received) on timeline \(succession.timeline)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        if let new = try await failed.promoted(run.memory) { return .nothing(because: "\(new) is the primary") }
        guard let succession = try run.memory.recall(FailedGroup.succession) else { return .undone([]) }
        return try await FollowerAdmission.undo(run, on: succession.new, failed.access)
    }
}
