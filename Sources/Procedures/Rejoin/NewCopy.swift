import EventLoop
import Instance
import PgBackRest
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// A new copy of the primary, for a node that can neither follow as it is nor be rewound: made by the steps that make a hot standby.
struct NewCopy: Sendable {
    /// Why one is made, once that is known for certain.
    static let reason = Fact<String>("why a new copy is made")
    /// Where the parts of the data directory were that were outside of it, by the names of their links.
    static let elsewhere = Fact<[String: String]>("places of the data directory")

    enum Method: Sendable {
        case baseBackup(CopyFiles.Order)
        case pgBackRest(BackRestCopy.Order)
    }

    let node: RejoiningNode
    let method: Method
    let existing: CopiedNode.Existing
    private let purgesData: Bool

    init(_ node: RejoiningNode, _ method: Method, existing: CopiedNode.Existing, purgesData: Bool) {
        (self.node, self.method, self.existing, self.purgesData) = (node, method, existing, purgesData)
    }

    var name: String { node.name }

    // MARK: Whether

    enum Need: Sendable {
        case no
        case yes(String)
        /// Where a `pg_rewind` that is to come fails.
        case perhaps
    }

    /// Whether one is made, as far as that can be known by now.
    func need(_ memory: Memory) async throws -> Need {
        if let reason = try memory.recall(Self.reason) { return .yes(reason) }
        // The step before has seen that it need not be.
        if memory.began(FollowPrimary.self) || memory.began(CopyFiles.self) { return .no }
        let follower = try await node.follower(memory), view = try await node.group.look()
        if view.follows(follower) { return .no }
        let instance = try await node.instance(memory), deadline = Deadline.after(.seconds(20))
        if try await instance.isSpoiled(deadline: deadline) { return .yes(RejoiningNode.spoiled) }
        if try await instance.isRewound(keepingIn: try node.kept(), deadline: deadline) { return .no }
        guard let primary = view[follower.upstream] else { throw UnknownNode(name: follower.upstream) }
        guard try await instance.processes(deadline: deadline).isEmpty else { return .perhaps }
        return switch try await node.wayBack(primary, try await instance.controlData(deadline: deadline)) {
        case .follows: .no
        case .rewinds: .perhaps
        case .needsCopy(let why): .yes(why)
        case .isForeign(let why): throw node.foreign(why)
        }
    }

    /// Whether the data directory may be no server's any more: the copy of this run, or what a `pg_rewind` has spoiled.
    func takesOver(_ memory: Memory) async throws -> Bool {
        let instance = try await node.instance(memory), deadline = Deadline.after(.seconds(20))
        guard try await instance.processes(deadline: deadline).isEmpty else { return false }
        if try memory.recall(Self.reason) != nil { return true }
        return try await instance.isSpoiled(deadline: deadline)
    }

    // MARK: Of whom

    /// What the steps of a copy rest on, once it is known who the primary is.
    struct Parts: Sendable {
        var copied: CopiedNode
        var standby: Standby
        var backRest: BackRestCopy?
    }

    func parts(_ memory: Memory) async throws -> Parts {
        let follower = try await node.follower(memory)
        let copied = CopiedNode(
            name, of: follower.upstream, node.access, section: "copy", tablespaces: try await tablespaces(follower.upstream, memory),
            walDirectory: try await places(memory)[node.instance(memory).features.walDirectory], existing: existing, staysStandby: true, purgesData: purgesData)
        let backRest: BackRestCopy?
        let patience: Patience
        switch method {
        case .baseBackup(let order): (backRest, patience) = (nil, order.patience)
        case .pgBackRest(let order): (backRest, patience) = (BackRestCopy(order, to: copied), order.patience)
        }
        let standby = Standby(
            copied, by: .role(follower.role), slot: follower.slot, patience: patience, restoreCommand: { try await backRest?.restoreCommand() })
        return Parts(copied: copied, standby: standby, backRest: backRest)
    }

    /// Where its log and its tablespaces are, or were; nothing where the directory is kept under another name, with all that belongs to it.
    func places(_ memory: Memory) async throws -> [String: HostPath] {
        if let kept = try memory.recall(Self.elsewhere) { return try kept.mapValues(HostPath.init(checking:)) }
        let instance = try await node.instance(memory), deadline = Deadline.after(.seconds(20))
        guard case .cluster = try await instance.dataDirectoryState(deadline: deadline) else { return [:] }
        return try await instance.placesElsewhere(deadline: deadline)
    }

    /// By their directory at the primary: the number of a tablespace is the same on both.
    private func tablespaces(_ primary: String, _ memory: Memory) async throws -> [String: HostPath] {
        let places = try await places(memory)
        guard !places.isEmpty else { return [:] }
        let spaces = try await node.access.server(primary).tablespaces(deadline: .after(.seconds(20)))
        return Dictionary(spaces.compactMap { space in places["pg_tblspc/\(space.oid)"].map { (space.location, $0) } }) { first, _ in first }
    }

    /// Why the data directory cannot be given another name; `nil` where it can, or need not.
    func obstacle(_ memory: Memory) async throws -> Problem? {
        guard existing == .movedAside else { return nil }
        let instance = try await node.instance(memory), directory = instance.dataDirectory, places = try await places(memory)
        if let (link, place) = places.min(by: { $0.key < $1.key }) {
            return Problem(
                "\(name): \(directory) cannot be moved aside: \(link) of it is in \(place), which the copy needs", hint: "say `existing: remove` under `copy`, or move both by hand"
            )
        }
        guard try await instance.host.stat(directory, followingLinks: false, as: instance.user, deadline: .after(.seconds(20)))?.kind == .symbolicLink else { return nil }
        return Problem("\(name): \(directory) is a link: it can be moved aside, and what it leads to cannot", hint: "name the directory that it leads to")
    }

    /// Where its own configuration is kept while its data directory becomes a copy of another one.
    func kept(_ memory: Memory) throws -> HostPath { try HostPath(checking: "\(node.kept())-\(memory.header?.run ?? "none").own") }

    // MARK: The steps

    /// - Parameter fuse: watches the node's slot while a step takes its time.
    func steps(watchedBy fuse: @escaping @Sendable (Memory) async throws -> SlotFuse?) -> [any Step] {
        let copies: [any Step] =
            switch method {
            case .baseBackup(let order):
                [WatchingSlot(CopyStep(self, "Copy over the primary's database files to \(name), with pg_basebackup") { CopyFiles(order, standby: $0.standby) }, fuse)]
            case .pgBackRest:
                [
                    CopyStep(self, "Configure pgBackRest on \(name)", ofBackRest: ConfigureBackRest.init(copy:)),
                    CopyStep(self, "Archive the primary's WAL into the repository", ofBackRest: ArchiveSource.init(copy:)),
                    CopyStep(self, "Create the stanza of the repository", ofBackRest: CreateStanza.init(copy:)),
                    WatchingSlot(CopyStep(self, "Back the primary up", ofBackRest: TakeBackup.init(copy:)), fuse),
                    WatchingSlot(
                        CopyStep(self, "Restore what differs on \(name) from the backup") { parts in parts.backRest.map { RestoreBackup(copy: $0, standby: parts.standby) } }, fuse),
                ]
            }
        return [MakeRoom(copy: self)] + copies + [PutBackOwnFiles(copy: self)]
    }
}

/// A step of a copy that is made where the node cannot follow: of the primary, who is found out.
struct CopyStep<Inner: Step>: Step {
    static var name: String { Inner.name }
    let title: String
    private let copy: NewCopy
    private let make: @Sendable (NewCopy.Parts) -> Inner?

    init(_ copy: NewCopy, _ title: String, _ make: @escaping @Sendable (NewCopy.Parts) -> Inner?) { (self.copy, self.title, self.make) = (copy, title, make) }

    init(_ copy: NewCopy, _ title: String, ofBackRest make: @escaping @Sendable (BackRestCopy) -> Inner) {
        self.init(copy, title) { $0.backRest.map(make) }
    }

    private func inner(_ memory: Memory) async throws -> Inner {
        guard let inner = make(try await copy.parts(memory)) else { throw Problem("\(copy.name): no way to copy is known", hint: "this is a mistake in pggraft: report it") }
        return inner
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        switch try await copy.need(memory) {
        case .no: .done("no new copy of the primary is needed")
        case .perhaps: .done("a new copy is made only where pg_rewind fails")
        case .yes: try await inner(memory).inspect(memory)
        }
    }

    func perform(_ run: StepRun) async throws -> String { try await inner(run.memory).perform(run) }
    func undo(_ run: StepRun) async throws -> UndoOutcome { try await inner(run.memory).undo(run) }
}

/// Make room for the copy: the data directory is moved aside, or what is in it removed; its configuration files are kept.
struct MakeRoom: Step {
    static let name = "make-room"
    let copy: NewCopy
    var title: String { "Make room on \(copy.name) for a new copy, where that is needed" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let reason: String
        switch try await copy.need(memory) {
        case .no: return .done("no new copy of the primary is needed")
        case .perhaps:
            if let problem = try await copy.obstacle(memory) { memory.note("\(problem.fact): a new copy could not be made") }
            return .done("a new copy is made only where pg_rewind fails")
        case .yes(let why): reason = why
        }
        if memory.beganCopy { return .done("the copy was begun") }
        let instance = try await copy.node.instance(memory), directory = instance.dataDirectory
        switch try await instance.dataDirectoryState(deadline: .after(.seconds(20))) {
        case .absent, .empty: return .done("nothing is in \(directory)")
        case .foreign, .cluster: break
        }
        if let problem = try await copy.obstacle(memory) { return .blocked([problem]) }
        let what =
            switch copy.existing {
            case .movedAside: "move \(directory) to \(try await copy.parts(memory).copied.aside(directory, memory)); nothing in it is deleted"
            case .removed: "remove what is in \(directory), in its tablespaces and in its WAL; nothing brings that back"
            case .overwritten, .refused, .adopted: "what differs in \(directory) is overwritten"
            }
        return .needed([Change("\(copy.name): a new copy of the primary: \(reason)"), Change("\(copy.name): keep its configuration files; \(what)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let node = copy.node, instance = try await node.instance(run.memory), processes = try await instance.processes(deadline: .after(.seconds(20)))
        guard processes.isEmpty else {
            throw Problem("\(copy.name): a server runs in \(instance.dataDirectory): \(list(processes.map(\.description)))", hint: "find out who has started it; then resume")
        }
        let places = try await copy.places(run.memory), copied = try await copy.parts(run.memory).copied
        try run.remember(CopiedNode.programs, KnownPrograms(of: instance))
        if try run.memory.recall(NewCopy.elsewhere) == nil { try run.remember(NewCopy.elsewhere, copy.existing == .movedAside ? [:] : places.mapValues(\.path)) }
        try await instance.keepOwnFiles(in: try copy.kept(run.memory), deadline: .after(.seconds(60)))
        switch copy.existing {
        case .movedAside: return try await copied.moveAside(run)
        case .removed:
            try await instance.removeData(deadline: .after(.seconds(3600)))
            return "\(instance.dataDirectory) is empty"
        case .overwritten, .refused, .adopted: return "its configuration files are kept"
        }
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let instance = try await copy.node.instance(run.memory), outcome = try await copy.parts(run.memory).copied.moveBack(run)
        guard outcome.problems.isEmpty else { return outcome }
        try await instance.host.remove(try copy.kept(run.memory), recursively: true, as: instance.user, deadline: .after(.seconds(30)))
        return copy.existing == .movedAside ? outcome : outcome.and(.undone(["\(copy.name): what was in \(instance.dataDirectory) is gone, as the playbook says"]))
    }
}

/// Put the node's own configuration back into the copy, behind the mark of a standby.
struct PutBackOwnFiles: LeavesNothing {
    static let name = "own-files"
    let copy: NewCopy
    var title: String { "Put the configuration files of \(copy.name) back into the copy" }
    var leavesNothing: String { "they go with the copy" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        switch try await copy.need(memory) {
        case .no: return .done("no new copy of the primary is needed")
        case .perhaps: return .done("a new copy is made only where pg_rewind fails")
        case .yes: break
        }
        let instance = try await copy.node.instance(memory)
        if memory.began(FollowPrimary.self), try await instance.host.stat(try copy.kept(memory), as: instance.user, deadline: .after(.seconds(20))) == nil {
            return .done("they are there")
        }
        return .needed([Change("\(copy.name): its postgresql.conf, pg_hba.conf, certificates and their like, where they are in the data directory; the mark of a standby")])
    }

    func perform(_ run: StepRun) async throws -> String {
        try await copy.node.instance(run.memory).putBackOwnFiles(from: try copy.kept(run.memory), deadline: .after(.seconds(60)))
        return "they are there"
    }
}
