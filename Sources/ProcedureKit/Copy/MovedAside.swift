import EventLoop
import Instance
public import RemoteHost
import Report
public import Run

/// What was in the place of a copy, under another name beside its own.
extension CopiedNode {
    private static let kind = "directory moved aside"

    /// Under which name; in a plan there is no run yet.
    public func aside(_ directory: HostPath, _ memory: Memory) throws -> HostPath {
        directory.directory / "\(directory.name).before-\(try memory.header?.run ?? "RUN")"
    }

    /// Gives the data directory, in which no server runs, that name.
    public func moveAside(_ run: StepRun) async throws -> String {
        let instance = try await instance(run.memory), aside = try aside(instance.dataDirectory, run.memory)
        try run.creating(Created(Self.kind, on: name, aside.path))
        try await instance.moveDataDirectory(to: aside, deadline: .after(.seconds(60)))
        return "\(instance.dataDirectory) is \(aside) by now"
    }

    /// Gives back the names that the step has taken away, where nothing else has them by now.
    public func moveBack(_ run: StepRun) async throws -> UndoOutcome {
        let moved = try run.created.filter { $0.kind == Self.kind }
        guard !moved.isEmpty else { return .undone([]) }
        let instance = try await instance(run.memory), deadline = Deadline.after(.seconds(60)), directory = instance.dataDirectory
        return await takeBack(moved) { thing in
            let aside = try HostPath(checking: thing.name)
            guard try await instance.host.stat(aside, as: instance.user, deadline: deadline) != nil else { return .absent }
            switch try await instance.dataDirectoryState(deadline: deadline) {
            case .absent: break
            case .empty: try await instance.host.removeIfEmpty(directory, as: instance.user, deadline: deadline)
            case .foreign, .cluster:
                return .left(
                    Problem("\(thing.place): \(aside) stays where it is: \(directory) is not empty", hint: "pggraft undo RUN --purge-data removes what the run has copied"))
            }
            try await instance.moveDataDirectory(backFrom: aside, deadline: deadline)
            return .gone("\(thing.place): \(directory) is what it was")
        }
    }
}
