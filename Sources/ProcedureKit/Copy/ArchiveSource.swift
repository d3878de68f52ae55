import EventLoop
import Instance
import PgBackRest
import Report
public import Run
import Server

/// The source of a copy archives its WAL into the stanza.
public struct ArchiveSource: Step {
    public static let name = "archiving"
    private let copy: BackRestCopy

    public init(copy: BackRestCopy) { self.copy = copy }

    public var title: String { "Archive the WAL of \(copy.source) into the stanza" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        let command = try await copy.layout().backRest(for: .source).archiveCommand, archiving = try await copy.archiving()
        if archiving.command == command || archiving.state == .ready { return .done("archive_command is \(archiving.command)") }
        if let problem = archiving.problem { return .blocked([problem]) }
        return .needed([Change("\(copy.source): ALTER SYSTEM SET archive_command = '\(command)', reload, read back")])
    }

    public func perform(_ run: StepRun) async throws -> String {
        let command = try await copy.layout().backRest(for: .source).archiveCommand, server = try await copy.access.server(copy.source)
        if try run.memory.recall(ArchiveCommand.written) == nil {
            let before = try await server.alteredSetting(ArchiveCommand.setting, deadline: .after(.seconds(10))).altered
            try run.remember(ArchiveCommand.written, ArchiveCommand(ours: command, before: before))
        }
        try await server.alterSystem(ArchiveCommand.setting, to: command, deadline: .after(.seconds(20)))
        return "archive_command is \(command)"
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome { try await copy.restoreArchiveCommand(run) }
}

/// The archive_command of a run, and what `postgresql.auto.conf` said before; `nil` where it said nothing.
struct ArchiveCommand: Sendable, Codable {
    static let written = Fact<ArchiveCommand>("archive_command")
    static let setting = "archive_command"

    var ours: String
    var before: String?

    enum TakingBack: Equatable {
        case restore, reload
        case left(Problem)
    }

    /// What takes this run's archive_command back where `postgresql.auto.conf` says `now`.
    func takingBack(from now: String?, on node: String) -> TakingBack {
        if now == ours { return .restore }
        if now == before { return .reload }
        func said(_ command: String?) -> String { command.map { "'\(Redaction.redacted($0))'" } ?? "not set" }
        let undoing = before.map { "SET archive_command = '\($0)'" } ?? "RESET archive_command"
        return .left(
            Problem(
                "\(node): archive_command in postgresql.auto.conf is \(said(now)), which this run did not set: left alone (it was \(said(before)) before)",
                hint: "keep it if it is meant; ALTER SYSTEM \(undoing); SELECT pg_reload_conf(); is what it was. Then undo again"))
    }
}

extension BackRestCopy {
    /// Puts archive_command back, where it still is this run's.
    func restoreArchiveCommand(_ run: StepRun) async throws -> UndoOutcome {
        guard let command = try run.memory.recall(ArchiveCommand.written) else { return .undone([]) }
        let server = try await access.server(source)
        switch command.takingBack(from: try await server.alteredSetting(ArchiveCommand.setting, deadline: .after(.seconds(10))).altered, on: source) {
        case .restore:
            try await server.alterSystem(ArchiveCommand.setting, to: command.before, deadline: .after(.seconds(20)))
            return .undone(["\(source): archive_command is what it was"])
        case .reload:
            // An undo that was cut off may have put the setting back without the server having read it.
            try await server.reload(until: ArchiveCommand.setting, is: command.before, deadline: .after(.seconds(20)))
            return .undone([])
        case .left(let problem): return .left([problem])
        }
    }
}
