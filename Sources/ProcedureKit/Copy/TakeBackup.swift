import EventLoop
import PgBackRest
import RemoteHost
import Report
public import Run

/// Take a full backup of the source, or choose the one that is there.
public struct TakeBackup: Step {
    public static let name = "backup"
    private let copy: BackRestCopy

    /// The label of the backup this run took.
    static let taken = Fact<String>("backup taken")
    /// The labels that the stanza had before this run took its backup.
    static let labelsBefore = Fact<[String]>("backups before")
    /// The label of the backup that is restored.
    public static let chosen = Fact<String>("backup")

    public init(copy: BackRestCopy) { self.copy = copy }

    public var title: String {
        switch copy.order.backup {
        case .full: "Take a full backup of \(copy.source)"
        case .newest: "Use the newest backup of \(copy.source)"
        case .set(let label): "Use the backup \(label) of \(copy.source)"
        }
    }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        if let label = try memory.recall(Self.chosen) {
            if try await copy.node.state() > .empty { return .done("\(copy.node.name) holds the backup \(label)") }
            if try await copy.backups().contains(where: { $0.label == label }) { return .done("\(label) is in the repository") }
        }
        guard case .full = copy.order.backup else { return .needed([Change("look it up in the repository")]) }
        let again = memory.began(name) ? ["what an earlier attempt left in the repository is resumed or made anew by pgBackRest"] : []
        let place = copy.hostName(try await copy.layout().repositoryRole), size = try await copy.node.sourceSize().inBytes
        return .needed((["\(place): pgbackrest backup --type=full, \(size)"] + again).map { Change($0) })
    }

    public func perform(_ run: StepRun) async throws -> String {
        guard case .full = copy.order.backup else {
            let label = try copy.chosen(try await copy.backups()).label
            try run.remember(Self.chosen, label)
            return label
        }
        let layout = try await copy.layout(), role = layout.repositoryRole, host = try await copy.host(role)
        let began = ContinuousClock.Instant.now
        async let cores = BackRest.cores(of: host, deadline: .after(.seconds(20))), bytes = copy.node.sourceSize()
        let left = try await leftBehind(run), usual = BackRest.backupProcesses(cores: try await cores), size = try await bytes
        let processes = copy.order.processes ?? usual
        if let label = left {
            try run.remember(Self.taken, label)
            try run.remember(Self.chosen, label)
            return "\(label), which an earlier attempt began and pgBackRest finished by itself"
        }
        let backRest = layout.backRest(for: role)
        let (label, warnings) = try await copy.whileMoving("the backup of \(copy.source)", backRest, on: host, run) { deadline, seen in
            try await backRest.backUp(on: host, processes: processes, bytesTotal: size, deadline: deadline) {
                seen()
                run.progress("backup: \($0.text)", fraction: $0.percent / 100)
            }
        }
        try run.remember(Self.taken, label)
        try run.remember(Self.chosen, label)
        warnings.forEach { run.note("\($0)") }
        return "\(label), \(size.inBytes) in \(began.duration(to: .now).inSeconds) with \(processes) processes"
    }

    /// The backup that an earlier attempt of this run began and did not see through, if pgBackRest has finished it by itself.
    ///
    /// One that still runs is waited for: it is this run's own, or somebody's who may not be disturbed.
    private func leftBehind(_ run: StepRun) async throws -> String? {
        let layout = try await copy.layout(), role = layout.repositoryRole, backRest = layout.backRest(for: role), host = try await copy.host(role)
        guard let before = try run.memory.recall(Self.labelsBefore) else {
            try run.remember(Self.labelsBefore, try await copy.backups().map(\.label))
            return nil
        }
        let what = "a backup of stanza \(layout.stanza) that still runs on \(host.name) to end"
        try await wait(for: what, with: copy.order.patience, every: .seconds(1), tell: { run.note($0) }) { () -> MovingLook<Void, UInt64> in
            let running = try await backRest.runningProcesses(on: host, deadline: .after(.seconds(30))).filter { $0.command.hasPrefix("backup") }
            guard !running.isEmpty else { return .found(()) }
            run.progress("a backup that was begun earlier still runs on \(host.name)")
            return .notYet("pid \(list(running.map { "\($0.pid)" }))", try await copy.bytesMoved(by: backRest, on: host))
        }
        return try await copy.backups().last { !before.contains($0.label) && $0.hasErrors != true && $0.kind == .full }?.label
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        // The backup goes with the stanza where this run made that; in a stanza that was there it is one more backup, and expires.
        guard let label = try run.memory.recall(Self.taken) else { return .undone([]) }
        let madeStanza = try run.memory.created(by: CreateStanza.name).contains { $0.kind == "stanza" }
        return .undone(madeStanza ? [] : ["the backup \(label) stays in the stanza, which was there before"])
    }
}

extension CopyProgress {
    /// `3.2 GB of 11 GB, 29 %, 4 min left`.
    var text: String {
        "\(bytesDone.inBytes) of \(bytesTotal.inBytes), \(Int(percent.rounded(.down))) %" + (remaining.map { ", \($0.inSeconds) left" } ?? "")
    }
}
