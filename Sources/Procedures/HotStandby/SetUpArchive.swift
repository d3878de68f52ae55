import EventLoop
import Instance
import ProcedureKit
import RemoteHost
import Report
import Run

/// Set up a place to store replication files.
struct SetUpArchive: Step {
    static let name = "archive-directory"

    let directory: HostPath
    let node: String
    private let standby: CopiedNode
    private var access: ClusterAccess { standby.access }
    /// Whether it archives there only once it is promoted.
    private let isLater: Bool

    /// - Parameters:
    ///   - standby: the node that is made; once it is promoted, nothing that was archived is taken back.
    ///   - isLater: whether the node archives there only once it is promoted.
    init(_ directory: HostPath, on node: String, for standby: CopiedNode, isLater: Bool = false) {
        (self.directory, self.node, self.standby, self.isLater) = (directory, node, standby, isLater)
    }

    var name: String { isLater ? "standby-archive" : Self.name }
    var title: String { "Set up replication file storage \(directory) on \(node)\(isLater ? ", for when it is the primary" : "")" }

    private func state() async throws -> (instance: Instance, state: PathState) {
        let instance = try await access.instance(node)
        guard let state = try await instance.pathStates([directory], deadline: .after(.seconds(20))).first else { throw NotLooked() }
        return (instance, state)
    }

    /// The directories that are missing, the outermost first, and who may make them.
    private func missing(_ instance: Instance, _ state: PathState) async throws -> (directories: [HostPath], user: String)? {
        switch state.kind {
        case .absent(let directories): return (directories, instance.user)
        case .unreachable(let nearest):
            guard try await instance.host.lets("root", deadline: .after(.seconds(20))) else { return nil }
            var directories: [HostPath] = [], path = directory
            while path != nearest, path.path != "/" {
                directories.insert(path, at: 0)
                path = path.directory
            }
            return (directories, "root")
        default: return nil
        }
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let (instance, state) = try await state(), make = "as root on \(node): install -d -o \(instance.user) -m 0700 \(directory)"
        switch state.kind {
        case .usable: return .done("it is there, \(state.free.inBytes) free")
        case .absent, .unreachable:
            guard let missing = try await missing(instance, state) else {
                return .blocked([Problem("\(node): \(instance.user) may not make \(directory)", hint: make)])
            }
            return .needed([Change("\(node): make \(list(missing.directories.map(\.path))), of \(instance.user), mode 0700\(missing.user == "root" ? " (as root)" : "")")])
        case .notWritable: return .blocked([Problem("\(node): \(instance.user) may not write to \(directory)", hint: make)])
        case .notADirectory: return .blocked([Problem("\(node): \(directory) is no directory", hint: "name another one (archive)")])
        case .occupied: return .done("it is there")
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let (instance, state) = try await state(), deadline = Deadline.after(.seconds(30))
        guard let missing = try await missing(instance, state) else { return "it is there" }
        for path in missing.directories {
            let isLast = path == directory
            try run.creating(Created("directory", on: node, path.path))
            try await instance.host.makeDirectory(
                path, mode: isLast ? 0o700 : 0o755, owner: isLast && missing.user == "root" ? instance.user : nil, as: missing.user, deadline: deadline)
        }
        return "made, of \(instance.user), mode 0700"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let created = try run.created
        guard !created.isEmpty else { return .undone([]) }
        if let problem = try await standby.promoted(run.memory) { return .left([Problem("\(node): \(directory) is left as it is: \(problem.fact)", hint: problem.hint)]) }
        let instance = try await access.instance(node), user = try await instance.host.lets("root", deadline: .after(.seconds(20))) ? "root" : instance.user
        return await takeBack(created) { thing in
            let path = try HostPath(checking: thing.name), deadline = Deadline.after(.seconds(60))
            guard try await instance.host.stat(path, as: user, deadline: deadline) != nil else { return .absent }
            // Those are the run's own: it has made the directory, and the command that put them there.
            if path == directory { try await instance.removeArchivedWAL(in: path, deadline: .after(.seconds(600))) }
            let rest = try await instance.host.listDirectory(path, as: user, deadline: deadline) ?? []
            guard rest.isEmpty else {
                // Of a directory above it, that is what somebody else has there.
                guard path == directory else { return .absent }
                return .left(Problem("\(thing) holds what this run did not put there (\(list(rest, atMost: 3))): left alone", hint: "move it away, and undo again"))
            }
            try await instance.host.removeIfEmpty(path, as: user, deadline: deadline)
            return .gone("\(thing) is removed")
        }
    }
}
