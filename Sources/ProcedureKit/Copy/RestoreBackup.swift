import EventLoop
import Instance
import PgBackRest
import PostgresClient
import RemoteHost
import Report
public import Run

/// Restore the backup to the copy, as a standby.
public struct RestoreBackup: Step {
    public static let name = "restore"
    private let copy: BackRestCopy
    private let standby: Standby
    private let hasBeenMade: @Sendable () async throws -> Bool
    private let inspected = Inspected<Ground>()

    /// What an empty place has to be told of.
    private struct Ground: Sendable {
        var conninfo: Conninfo
        var tablespaces: [UInt32: HostPath]
        var needed: [(directory: NeededDirectory, state: PathState)]
    }

    /// The configuration file that it restores by; empty for pgBackRest's default place.
    private static let configuration = Fact<String>("configuration of the restore")
    /// That what was in its place is the copy by now.
    private static let isOverwritten = Fact<Bool>("data directory overwritten")

    /// - Parameter hasBeenMade: whether the copy is there already, by other hands.
    public init(copy: BackRestCopy, standby: Standby, hasBeenMade: @escaping @Sendable () async throws -> Bool = { false }) {
        (self.copy, self.standby, self.hasBeenMade) = (copy, standby, hasBeenMade)
    }

    /// Whether a cluster is in its place of which only what differs is to be copied.
    private func overwrites(_ memory: Memory) throws -> Bool { try copy.node.existing == .overwritten && memory.recall(Self.isOverwritten) != true }

    public var title: String { "Restore the backup to \(copy.node.name)" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        await inspected.keep(nil)
        let node = copy.node.name, path = try await copy.node.instance().dataDirectory
        let state = try await copy.node.state()
        if state > .empty, try overwrites(memory), try await !hasBeenMade() {
            return .needed([Change("\(node): pgbackrest restore --delta overwrites what differs in \(path)")])
        }
        switch state {
        case .empty:
            let ground = try await look()
            await inspected.keep(ground)
            let missing = ground.needed.compactMap { directory, state -> String? in
                if case .absent = state.kind { "\(node): make the directory \(directory.path) (\(directory.purpose))" } else { nil }
            }
            let moved = ground.tablespaces.sorted { $0.key < $1.key }.map { " --tablespace-map=\($0.key)=\($0.value)" }.joined()
            let restore = "\(node): pgbackrest restore --type=standby\(moved) into \(path), primary_conninfo: \(ground.conninfo)"
            return .needed((missing + [restore]).map { Change($0) })
        case .partlyRestored: return .needed([Change("\(node): pgbackrest restore --delta goes on with what is in \(path)")])
        case let state: return .done("\(node) is \(state)")
        }
    }

    private func look() async throws -> Ground {
        async let map = copy.node.tablespaceMap(), conninfo = standby.primaryConninfo()
        let needed = try await copy.node.states(of: try await copy.node.neededDirectories(of: standby))
        return Ground(conninfo: try await conninfo, tablespaces: try await map, needed: needed)
    }

    public func perform(_ run: StepRun) async throws -> String {
        let layout = try await copy.layout(), label = try run.recall(TakeBackup.chosen), backRest = layout.backRest(for: .target)
        let instance = try await copy.node.instance(), host = instance.host, directory = instance.dataDirectory, soon = Deadline.after(.seconds(60))
        // What an earlier connection left running would write into the same directory.
        async let ended: Void = backRest.endRunningProcesses(on: host, deadline: soon)
        async let ground = ground(), state = copy.node.state(), backups = copy.backups(), system = copy.node.sourceIdentifier(deadline: soon)
        async let there = host.stat(directory, as: instance.user, deadline: soon), cores = BackRest.cores(of: host, deadline: soon)
        let found = try await state, isOver = try overwrites(run.memory) && found > .empty, isPart = found == .partlyRestored || isOver
        try run.remember(CopiedNode.programs, KnownPrograms(of: instance))
        try run.remember(CopiedNode.system, "\(try await system)")
        try run.remember(Self.configuration, backRest.configuration?.path ?? "")
        if try await there == nil { try run.creating(Created("directory", on: copy.node.name, directory.path)) }
        try run.creating(Created("data directory", on: copy.node.name, directory.path))
        try await ended
        if !isPart {
            try await host.makeDirectory(directory, mode: 0o700, as: instance.user, deadline: .after(.seconds(20)))
            // pgBackRest takes them for somebody else's files.
            try await instance.removeEmptyDirectories(deadline: .after(.seconds(20)))
        }
        let needed = try await ground
        try await copy.node.makeDirectories(needed.needed, run)
        let options = try RestoreOptions(primaryConninfo: needed.conninfo, set: label, delta: isPart, archiveOff: true, tablespaces: needed.tablespaces)
        let usual = BackRest.restoreProcesses(cores: try await cores), backup = try await backups.first { $0.label == label }
        let processes = copy.order.processes ?? usual
        let began = ContinuousClock.Instant.now
        let (_, warnings) = try await copy.whileMoving("the restore of \(label) to \(copy.node.name)", backRest, on: host, run) { deadline, seen in
            try await backRest.restore(options, on: host, processes: processes, bytesTotal: backup?.size, deadline: deadline) {
                seen()
                run.progress("restore: \($0.text)", fraction: $0.percent / 100)
            }
        }
        warnings.forEach { run.note("\($0)") }
        if copy.node.existing == .overwritten { try run.remember(Self.isOverwritten, true) }
        await copy.node.reached(.restored)
        return "\(label) in \(began.duration(to: .now).inSeconds) with \(processes) processes" + (isPart ? " (went on with --delta)" : "")
    }

    private func ground() async throws -> Ground {
        if let ground = await inspected.take() { return ground }
        return try await look()
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try !run.created.isEmpty else { return .undone([]) }
        // What an earlier connection left running would write on into it.
        let instance = try await copy.node.instance(run.memory)
        if try copy.node.obstacle(to: "", run.memory) == nil {
            let configuration = try run.memory.recall(Self.configuration).flatMap { HostPath($0) }
            try await BackRest(stanza: copy.order.stanza, user: instance.user, configuration: configuration).endRunningProcesses(on: instance.host, deadline: .after(.seconds(60)))
        }
        return try await copy.node.purge(run)
    }
}
