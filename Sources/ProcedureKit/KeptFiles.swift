public import EventLoop
public import Instance
public import RemoteHost
import Report
public import Run

/// Configuration files of a node that a run changes and undo puts back: before its first change each is copied to a file
/// beside it that bears the run's name.
public struct KeptFiles: Sendable {
    private let instance: Instance
    /// Whose changes are put back; `nil` for those of all steps.
    private let step: String?

    /// - Parameter step: whose changes ``restore(_:deadline:)`` puts back; `nil` for those of all steps.
    public init(instance: Instance, of step: String? = nil) { (self.instance, self.step) = (instance, step) }

    private static let original = "original", made = "configuration file"

    /// What `run` changed or made on `node`.
    public static func changed(on node: String, in memory: Memory, by step: String? = nil) throws -> [Created] {
        try memory.created(by: step).filter { $0.place == node && ($0.kind == original || $0.kind == made) }
    }

    /// Where `path` of `node` is as it was before the run; `nil` where the run has not changed it.
    public static func original(of path: HostPath, on node: String, in memory: Memory) throws -> HostPath? {
        guard try !changed(on: node, in: memory).isEmpty else { return nil }
        let kept = try place(of: path, memory)
        return try changed(on: node, in: memory).contains(Created(original, on: node, kept.path)) ? kept : nil
    }

    /// The previous versions that the run has kept anywhere, and that are still there.
    /// - Throws: `Problem` for a path that is no previous version of this run's, what connecting to their hosts throws.
    public static func left(by memory: Memory, _ access: ClusterAccess) async throws -> [Created] {
        let kept = try memory.created().filter { $0.kind == original }
        let found = try await onEach(kept) { thing in
            try await access.host(thing.place).stat(try path(of: thing, memory), as: try access.roster.entry(thing.place).osUser, deadline: .after(.seconds(30))) != nil
        }
        return kept.filter { found[$0] == true }
    }

    /// Removes a previous version that nobody needs any more: an undo cannot put it back then.
    /// - Throws: as ``left(by:_:)``.
    public static func remove(_ thing: Created, keptBy memory: Memory, _ access: ClusterAccess) async throws {
        let path = try path(of: thing, memory), host = try await access.host(thing.place)
        try await host.asOwner(try access.roster.entry(thing.place).osUser) { try await host.remove(path, as: $0, deadline: .after(.seconds(30))) }
    }

    /// Where the previous version of `path` is kept: `pg_hba.conf.before-20261121-120000-app`.
    public static func place(of path: HostPath, _ memory: Memory) throws -> HostPath {
        path.directory / (path.name + (try suffix(memory)))
    }

    private static func suffix(_ memory: Memory) throws -> String {
        guard let run = try memory.header?.run else { throw Problem("the journal does not say which run it is of") }
        return ".before-\(run)"
    }

    /// The path of a previous version. It may be worked on as root: a journal that names any other file is not followed.
    private static func path(of thing: Created, _ memory: Memory) throws -> HostPath {
        let path = try HostPath(checking: thing.name), suffix = try suffix(memory)
        guard path.name.hasSuffix(suffix) else {
            throw Problem("\(thing.place): \(path) is no previous version that this run has kept (*\(suffix)), although its journal says so: left alone")
        }
        return path
    }

    /// Does `edit`, once what was there before is kept.
    public func apply(_ edit: ConfigurationEdit, _ run: StepRun, deadline: Deadline) async throws {
        try await keep(edit.path, run, deadline: deadline)
        // Before it is written, and beside the earlier ones: an undo may find either.
        let marks: [String] = try run.memory.recall(Self.written(edit.path)) ?? []
        try await refuseForeign(edit, marks, run, deadline: deadline)
        try run.remember(Self.written(edit.path), marks + [fingerprint(edit.after)])
        try await edit.apply(on: instance.host, as: instance.user, deadline: deadline)
    }

    /// What somebody wrote into a file between two writes of this run would go with an undo.
    private func refuseForeign(_ edit: ConfigurationEdit, _ marks: [String], _ run: StepRun, deadline: Deadline) async throws {
        guard !marks.isEmpty, !marks.contains(fingerprint(edit.before)) else { return }
        let kept = try Self.place(of: edit.path, run.memory)
        guard try await instance.host.read(kept, as: instance.user, deadline: deadline) != edit.before else { return }
        throw Problem(
            "\(instance.node): \(edit.path) was changed by someone else since this run wrote it: left alone",
            hint: "what it was before the run is in \(kept): undo the run, which leaves such a file alone, and begin anew")
    }

    private func keep(_ path: HostPath, _ run: StepRun, deadline: Deadline) async throws {
        let kept = try Self.place(of: path, run.memory)
        let thing = Created(Self.original, on: instance.node, kept.path), new = Created(Self.made, on: instance.node, path.path)
        let created = try run.memory.created()
        guard !created.contains(new) else { return }
        guard try await instance.host.stat(kept, as: instance.user, deadline: deadline) == nil else {
            guard created.contains(thing) else {
                throw Problem("\(instance.node): \(kept) is there already, and this run did not make it", hint: "compare it with \(path), and take it away; then resume")
            }
            return
        }
        guard try await instance.host.stat(path, as: instance.user, deadline: deadline) != nil else { return try run.creating(new) }
        try run.creating(thing)
        try await instance.host.asOwner(instance.user) { try await instance.host.copy(path, to: kept, as: $0, deadline: deadline) }
    }

    /// Each file that the run changed, and where its previous version was kept.
    public func originals(_ memory: Memory) throws -> [(path: HostPath, kept: HostPath)] {
        try Self.changed(on: instance.node, in: memory, by: step).compactMap { try Self.versions(of: $0, memory) }
    }

    /// A file and its previous version; `nil` for one that the run has made.
    private static func versions(of thing: Created, _ memory: Memory) throws -> (path: HostPath, kept: HostPath)? {
        guard thing.kind == original else { return nil }
        let kept = try path(of: thing, memory)
        return (try HostPath(checking: String(kept.path.dropLast(try suffix(memory).count))), kept)
    }

    /// Puts the files back where they still are as the run left them, and takes the kept versions away.
    public func restore(_ run: StepRun, deadline: Deadline) async throws -> UndoOutcome {
        let instance = instance
        return await takeBack(try Self.changed(on: instance.node, in: run.memory, by: step)) { thing in
            guard let (path, kept) = try Self.versions(of: thing, run.memory) else {
                return try await Self.restore(try HostPath(checking: thing.name), keptAt: nil, instance, run, deadline)
            }
            return try await Self.restore(path, keptAt: kept, instance, run, deadline)
        }
    }

    private static func restore(
        _ path: HostPath, keptAt kept: HostPath?, _ instance: Instance, _ run: StepRun, _ deadline: Deadline
    ) async throws -> TakenBack {
        let node = instance.node, host = instance.host, user = instance.user
        let marks: [String] = try run.memory.recall(written(path)) ?? []
        let now = try await host.read(path, as: user, deadline: deadline)
        let isOurs = marks.contains(fingerprint(now))
        guard let kept else {
            guard now != nil else { return .absent }
            guard isOurs else {
                return .left(Problem("\(node): \(path), which this run made, was changed since: left alone", hint: "remove it if nothing needs it, and undo again"))
            }
            try await host.asOwner(user) { try await host.remove(path, as: $0, deadline: deadline) }
            return .gone("\(node): \(path) is removed")
        }
        guard let original = try await host.read(kept, as: user, deadline: deadline) else {
            // Put back already, or never changed.
            guard isOurs else { return .absent }
            return .left(
                Problem(
                    "\(node): \(path) is as this run wrote it, and what it was before is gone (\(kept)): left alone",
                    hint: "make \(path) what it should be, and undo again"))
        }
        guard now == original || isOurs else {
            return .left(
                Problem(
                    "\(node): \(path) was changed since by someone else: left alone",
                    hint: "what it was before the run is in \(kept): make \(path) what it should be, remove \(kept), and undo again"))
        }
        if now == nil {
            // With the owner and mode that it had.
            try await host.asOwner(user) { try await host.copy(kept, to: path, as: $0, deadline: deadline) }
        } else if now != original {
            try await host.asOwner(user) { try await host.write(original, to: path, as: $0, deadline: deadline) }
        }
        try await host.asOwner(user) { try await host.remove(kept, as: $0, deadline: deadline) }
        return .gone("\(node): \(path) is as it was")
    }

    private static func written(_ path: HostPath) -> Fact<[String]> { Fact("\(path) as written") }
}

/// A mark that tells whether a file is still as it was left. No file is a state too.
private func fingerprint(_ bytes: [UInt8]?) -> String { bytes.map { String(fnv1a($0), radix: 16) } ?? "none" }
