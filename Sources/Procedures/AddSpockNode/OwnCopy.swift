import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run

/// The system identifier of what is restored: the source's.
enum CopiedSystem { static let fact = Fact<String>("system identifier") }

/// What is in the new node's data directory when a run is undone.
enum Holding: Sendable, Equatable {
    case nothing
    /// What this run restored, in whole or in part.
    case copy
    /// Something else; the text says what.
    case other(String)

    /// - Parameters:
    ///   - files: up to a few of the files in it, directories left out.
    ///   - system: of what is there, where it can be read.
    ///   - copied: the system and the backup that this run restored.
    init(_ directory: RestoredDirectory, files: [String], system: String?, copied: (system: String?, backup: String?)) {
        switch directory {
        case .absent, .empty: self = .nothing
        // A restore begins with directories, and emptying a copy ends with them.
        case _ where files.isEmpty: self = .copy
        case _ where system != nil && system == copied.system: self = .copy
        case .incomplete(let set?) where set == copied.backup: self = .copy
        case .incomplete(let set?): self = .other("part of the backup \(set)")
        case _ where system != nil: self = .other("the cluster with the system identifier \(system ?? "")")
        case .incomplete, .complete, .foreign: self = .other("files that this run did not restore (\(files.joined(separator: ", ")))")
        }
    }
}

extension Seed {
    func holding(_ clone: Instance, _ memory: Memory) async throws -> Holding {
        let deadline = Deadline.after(.seconds(60)), host = clone.host
        let directory = try await RestoredDirectory.inspect(clone.dataDirectory, on: host, user: clone.user, deadline: deadline)
        let look = #"[ -d "$1" ] || exit 0; cd -- "$1" && find . ! -type d -printf '%P\n' | head -n 5"#
        let files = try await host.require(.script(look, clone.dataDirectory.path).as(clone.user), deadline: deadline).text
        let control = clone.dataDirectory / "global/pg_control"
        var system: String?
        if try await host.stat(control, as: clone.user, deadline: deadline) != nil {
            system = try await clone.controlData(deadline: deadline).systemIdentifier.description
        }
        return Holding(
            directory, files: files.split(separator: "\n").map(String.init), system: system,
            copied: (try memory.recall(CopiedSystem.fact), try memory.recall(ChosenBackup.fact)))
    }

    /// Removes what this run restored, where the operator asked for that.
    func purgeDataDirectory(_ run: StepRun) async throws -> UndoOutcome {
        let created = try run.memory.created(by: run.step)
        guard created.contains(where: { $0.kind == "data directory" }) else { return .undone([]) }
        guard try !run.memory.holdsUnreadWrites else { return .left([waitsForUnread("\(newNode): \(playbook.newNode.dataDirectory)")]) }
        let clone = try await newNodeInstance(run.memory), directory = clone.dataDirectory, deadline = Deadline.after(.seconds(60))
        // What an earlier connection left running would write on into it.
        try await BackRest(stanza: try stanza(), user: clone.user).endRunningProcesses(on: clone.host, deadline: deadline)
        var undone: [String] = []
        switch try await holding(clone, run.memory) {
        case .nothing: break
        case .other(let what):
            return .left([
                Problem(
                    "\(newNode): \(directory) holds \(what), not the copy that this run made: left alone",
                    hint: "find out whose it is; undo again when it has another place, or when the directory is empty")
            ])
        case .copy:
            if try await clone.status(deadline: deadline).isRunning {
                await access.forgetServer(newNode)
                try await clone.stop(mode: .fast, deadline: .after(.seconds(120)))
            }
            guard undo.purgesData else {
                return .left([
                    Problem(
                        "\(newNode): the data directory \(directory) is left as it is, stopped",
                        hint: "pggraft undo --purge-data removes what is in it")
                ])
            }
            try await clone.host.require(.script(Self.emptying, directory.path).as(clone.user), deadline: .after(.seconds(3600)))
            undone = ["\(newNode): \(directory) is empty"]
        }
        if created.contains(Created("directory", on: newNode, directory.path)) {
            // Somebody's file may be in it by now; then it stays.
            _ = try await clone.host.run(Command("rmdir", directory.path).as(clone.user), deadline: deadline)
        }
        return .undone(undone)
    }

    // What tells whose it is goes last, so that an undo that was cut off knows it again.
    private static let emptying = """
        cd -- "$1" || exit 1
        for space in pg_tblspc/*/; do [ -d "$space" ] && find "$space" -mindepth 1 -maxdepth 1 -name 'PG_*' -exec rm -rf -- {} +; done
        find . -mindepth 1 -maxdepth 1 ! -name global ! -name PG_VERSION ! -name backup.manifest -exec rm -rf -- {} + &&
            { [ ! -d global ] || find global -mindepth 1 ! -name pg_control -delete; } &&
            rm -f PG_VERSION && rm -rf global && rm -f backup.manifest
        """

    /// Why `thing` is not taken back yet.
    nonisolated func waitsForUnread(_ thing: String) -> Problem {
        Problem(
            "\(thing) is left as it is: what clients wrote on \(newNode) may not be on \(list(members)) yet",
            hint: "see what stands above at the step that opened \(newNode); then undo again")
    }
}

extension Memory {
    /// Whether clients may have written on the new node what no other node has read.
    var holdsUnreadWrites: Bool {
        get throws { try began(OpenNewNode.self) && recall(OpenNewNode.emptied) != true }
    }
}
