import EventLoop
public import Instance
import PgBackRest
import PostgresClient
import RemoteHost
import Report
public import Run
import Server
import Synchronization

/// Copy over the source's database files with `pg_basebackup`.
public struct CopyFiles: Step {
    public static let name = "base-backup"
    /// How the copy is made.
    public struct Order: Sendable {
        /// Whether the source makes its checkpoint at once.
        public var checkpointsFast: Bool
        /// In kilobytes a second; `nil` for no limit.
        public var maximumRate: Int?
        public var compression: BaseBackupOptions.Compression?
        /// Whether the copy is compared with the list of its files (from 13).
        public var verifies: Bool
        /// With a copy that does not get on.
        public var patience: Patience

        public init(
            checkpointsFast: Bool = true, maximumRate: Int? = nil, compression: BaseBackupOptions.Compression? = nil, verifies: Bool = true, patience: Patience = Patience()
        ) {
            (self.checkpointsFast, self.maximumRate, self.compression) = (checkpointsFast, maximumRate, compression)
            (self.verifies, self.patience) = (verifies, patience)
        }
    }

    private let order: Order
    private let standby: Standby
    private let hasBeenMade: @Sendable () async throws -> Bool

    /// That the copy is whole; `false` where the slot was given up since that kept what it needs.
    static let isWhole = Fact<Bool>("base backup whole")

    /// - Parameter hasBeenMade: whether the standby is there already, by other hands.
    public init(_ order: Order, standby: Standby, hasBeenMade: @escaping @Sendable () async throws -> Bool = { false }) {
        (self.order, self.standby, self.hasBeenMade) = (order, standby, hasBeenMade)
    }

    /// By which a copy of this run is known.
    static func label(_ memory: Memory) throws -> String { "pggraft \(try memory.header?.run ?? "")" }

    private var node: CopiedNode { standby.node }
    public var title: String { "Copy over primary database files: \(standby.source) to \(standby.name), with pg_basebackup" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        let instance = try await node.instance(), deadline = Deadline.after(.seconds(30)), path = instance.dataDirectory
        let state = try await instance.baseBackupState(deadline: deadline)
        if memory.began(Self.self) {
            // Another cluster that is in its place by now is not taken for it.
            let whole = try memory.recall(Self.isWhole), isCopied = whole == true, ours = try Self.label(memory)
            let isOurs = if let whole { whole } else { try await instance.baseBackupLabel(deadline: deadline) == ours }
            if (state == .started && isOurs) || (isCopied && [.whole, .unknown].contains(state)) { return .done("\(standby.name) has the copy") }
            if state != .empty {
                await node.reached(.partlyRestored)
                return .needed([Change("\(standby.name): empty \(path), where an attempt of this run was cut off, and copy anew")])
            }
        } else if try await hasBeenMade() {
            return .done("\(standby.name) streams from \(standby.source)")
        }
        await node.reached(.empty)
        let options = try await options(), needed = try await needed()
        let missing = needed.compactMap { directory, state -> String? in
            if case .absent = state.kind { "\(standby.name): make the directory \(directory.path) (\(directory.purpose))" } else { nil }
        }
        let size = try await node.sourceSize().inBytes
        var copy = "\(standby.name): pg_basebackup from \(standby.source) into \(path), \(size), \(options.conninfo)"
        if !options.tablespaces.isEmpty { copy += ", tablespaces " + options.tablespaces.sorted { $0.key < $1.key }.map { "\($0.key) to \($0.value)" }.joined(separator: ", ") }
        if let directory = options.walDirectory { copy += ", WAL in \(directory)" }
        if let rate = order.maximumRate { copy += ", at most \((UInt64(rate) * 1024).inBytes) a second" }
        let waits = order.checkpointsFast ? [] : ["\(standby.source): the copy waits for the next checkpoint, which is spread over minutes (copy.checkpoint: spread)"]
        return .needed((missing + waits + [copy]).map { Change($0) })
    }

    private func options(label: String? = nil) async throws -> BaseBackupOptions {
        let spaces = try await node.placedTablespaces().compactMap { space, target in target.map { (space.location, $0) } }.filter { $0.0 != $0.1.path }
        return BaseBackupOptions(
            conninfo: try await standby.primaryConninfo(), checkpointsFast: order.checkpointsFast, slot: standby.slot?.rawValue,
            tablespaces: Dictionary(spaces) { first, _ in first }, walDirectory: node.walDirectory, maximumRate: order.maximumRate, compression: order.compression,
            label: label)
    }

    public func perform(_ run: StepRun) async throws -> String {
        let instance = try await node.instance(), host = instance.host, directory = instance.dataDirectory, soon = Deadline.after(.seconds(60))
        let isFirst = try !run.created.contains { $0.kind == Self.kind }, label = try Self.label(run.memory)
        // What an earlier connection left running would write into the same directory.
        async let ended: Void = instance.endBaseBackups(deadline: soon)
        async let system = node.sourceIdentifier(deadline: soon), there = host.stat(directory, as: instance.user, deadline: soon)
        async let isEmpty = isFirst ? instance.baseBackupState(deadline: soon) == .empty : false, first = isFirst ? needed() : [], options = options(label: label)
        try run.remember(CopiedNode.programs, KnownPrograms(of: instance))
        try run.remember(CopiedNode.system, "\(try await system)")
        if try await there == nil { try run.creating(Created("directory", on: node.name, directory.path)) }
        try run.creating(Created(Self.kind, on: node.name, directory.path))
        try await ended
        try await host.makeDirectory(directory, mode: 0o700, as: instance.user, deadline: soon)
        let (isFree, missing, settled) = try await (isEmpty, first, options)
        var isAnew = false
        if isFree {
            try await rememberPlaces(run)
            try await node.makeDirectories(missing, run)
        } else {
            if let said = try await verifyWhole(instance, run) { return said }
            isAnew = try await clear(instance, run)
            try await node.makeDirectories(try await needed(), run)
        }
        await node.reached(.empty)
        let began = ContinuousClock.Instant.now, bytes = try await copy(settled, instance, run)
        let took = began.duration(to: .now), verified = try await verify(instance, run)
        try run.remember(Self.isWhole, true)
        await node.reached(.restored)
        return "\(bytes.inBytes) in \(took.inSeconds)\(verified)" + (isAnew ? " (begun anew)" : "")
    }

    private static let kind = "data directory"

    private func needed() async throws -> [(directory: NeededDirectory, state: PathState)] { try await node.states(of: try await node.neededDirectories(of: standby)) }

    private func rememberPlaces(_ run: StepRun) async throws {
        let spaces = try await node.placedTablespaces().compactMap { $0.target?.path }
        try run.remember(CopiedNode.places, CopiedNode.Places(tablespaces: spaces, wal: node.walDirectory?.path))
    }

    /// A copy that an attempt has made, and that was not yet compared when it was cut off, need not be made anew.
    /// - Returns: `nil` where there is none, or it is not right.
    private func verifyWhole(_ instance: Instance, _ run: StepRun) async throws -> String? {
        let deadline = Deadline.after(.seconds(60)), ours = try Self.label(run.memory)
        guard try run.memory.recall(Self.isWhole) != false else { return nil }
        guard try await instance.baseBackupState(deadline: deadline) == .whole, try await instance.baseBackupLabel(deadline: deadline) == ours else { return nil }
        do {
            let verified = try await verify(instance, run)
            try run.remember(Self.isWhole, true)
            await node.reached(.restored)
            return "an earlier attempt has copied it\(verified)"
        } catch is BaseBackupFailed {
            return nil
        }
    }

    /// Removes what an attempt that was cut off has left.
    /// - Returns: whether there was something.
    private func clear(_ instance: Instance, _ run: StepRun) async throws -> Bool {
        guard try await !instance.status(deadline: .after(.seconds(30))).isRunning else {
            throw Problem("\(node.name): a server runs in \(instance.dataDirectory)", hint: "find out whose it is, and stop it; then resume")
        }
        let holding = try await node.holding(run.memory)
        if case .other(let what) = holding {
            throw Problem("\(node.name): \(instance.dataDirectory) holds \(what) by now", hint: "find out who writes there, and empty it; then resume")
        }
        if holding == .copy { try await instance.emptyDataDirectory(deadline: .after(.seconds(3600))) }
        try await node.clearPlaces(run.memory)
        try await rememberPlaces(run)
        return holding == .copy
    }

    /// - Returns: how many bytes were copied.
    private func copy(_ options: BaseBackupOptions, _ instance: Instance, _ run: StepRun) async throws -> UInt64 {
        let seen = Mutex<(meter: ProgressMeter, last: BaseBackupProgress?)>((ProgressMeter(), nil)), standby = standby
        // A checkpoint that is spread takes as long as the source has been told.
        let patience = order.checkpointsFast ? order.patience : Patience(limit: order.patience.limit + .seconds(3600), tellsAfter: order.patience.tellsAfter)
        try await moving(
            "the copy of \(standby.source) to \(standby.name)", with: patience, every: .seconds(2), tell: { run.note($0) },
            by: {
                let last = seen.withLock { $0.last }
                return (last == nil ? "\(standby.source) has sent nothing yet: it makes its checkpoint first" : "nothing arrives any more", last?.bytesDone)
            },
            { deadline in
                try await instance.copy(options, deadline: deadline) { progress in
                    let text = seen.withLock { seen -> (String, Double) in
                        seen.last = progress
                        let far = seen.meter.reached(progress.bytesDone, of: progress.bytesTotal, at: .now)
                        return (far.text, far.percent / 100)
                    }
                    run.progress("copy: \(text.0)", fraction: text.1)
                }
            })
        return seen.withLock { $0.last?.bytesDone ?? 0 }
    }

    private func verify(_ instance: Instance, _ run: StepRun) async throws -> String {
        guard order.verifies else { return "" }
        run.progress("the copy is compared with the list of its files")
        switch try await instance.verifyCopy(deadline: .after(.seconds(24 * 3600))) {
        case .verified: return ", verified by pg_verifybackup"
        case .noProgram: return "; not verified: this version has no pg_verifybackup here"
        case .crashed(let how):
            run.note("pg_verifybackup on \(node.name) was \(how): the copy is not compared with the list of its files")
            return "; not verified: pg_verifybackup was \(how)"
        }
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try !run.created.isEmpty else { return .undone([]) }
        // What an earlier connection left running would write on into it.
        let instance = try await node.instance(run.memory)
        if try node.obstacle(to: "", run.memory) == nil { try await instance.endBaseBackups(deadline: .after(.seconds(60))) }
        return try await node.purge(run)
    }
}
