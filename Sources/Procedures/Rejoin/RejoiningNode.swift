import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// How a node that was the primary can follow the one that is.
enum WayBack: Sendable, Hashable {
    /// All that it has is part of the primary's history.
    case follows
    /// It has written what the primary has not, and that can be taken off it.
    case rewinds
    /// Only a new copy helps; why.
    case needsCopy(String)
    /// It is nobody's who was the primary here; why.
    case isForeign(String)

    /// - Parameters:
    ///   - data: what `pg_controldata` says of the stopped node.
    ///   - history: of the primary's timeline; `nil` where that is the first.
    ///   - own: of the timeline with the number of the primary's, as the node has it; `nil` where it has none.
    init(of data: ControlData, to timeline: UInt32, _ history: TimelineHistory?, own: TimelineHistory? = nil, system: String?, _ features: ServerFeatures) {
        if let system, system != "\(data.systemIdentifier)" {
            self = .isForeign("its system identifier is \(data.systemIdentifier), and the primary's \(system): its data directory is that of another cluster")
            return
        }
        let isSame = data.timeline == timeline
        if isSame, let history, let own, own.switches != history.switches {
            self = .needsCopy(
                "its timeline \(timeline) is not the primary's of that number: for it that begins behind \(Self.beginning(own)), for the primary behind \(Self.beginning(history))")
            return
        }
        let left = history?.switches.first { $0.timeline == data.timeline }?.at
        let isClean = [.shutDown, .shutDownInRecovery].contains(data.state)
        let diverged: String
        if let left, isClean {
            diverged = "it has written what the primary has not: its last checkpoint is at \(data.checkpoint), and timeline \(data.timeline) ends for the primary at \(left)"
        } else {
            diverged = "it has crashed (\(data.state.rawValue)), and may have written what the primary has not"
        }
        switch (data.state, left) {
        case (_, .some) where !features.streamsAcrossTimelines && isClean:
            self = .needsCopy("PostgreSQL \(features.version) does not stream across the end of a timeline")
        // Of a server that was stopped in recovery nothing counts that it has not made consistent.
        case (.shutDownInRecovery, let left?) where data.minimumRecoveryEnd <= left: self = .follows
        // The position is that of the record's beginning: where that is before the switch, the whole record is.
        case (.shutDown, let left?) where data.checkpoint < left: self = .follows
        case (.shutDownInRecovery, nil) where isSame, (.inArchiveRecovery, nil) where isSame: self = .follows
        // A standby never is in such a state. pg_rewind goes by the number of the timeline, and takes the two for one.
        case (_, nil) where isSame:
            self = .needsCopy(
                "it was a primary itself on timeline \(timeline), which is the primary's (\(data.state.rawValue)): what each of them has written there cannot be told apart")
        case (_, nil): self = .needsCopy("its timeline \(data.timeline) is not in the history of the primary's timeline \(timeline)")
        default:
            if !features.rewind.exists {
                self = .needsCopy("\(diverged); PostgreSQL \(features.version) has no pg_rewind")
            } else if !data.hasDataChecksums, data.settings["wal_log_hints"] != "on" {
                self = .needsCopy("\(diverged); it ran without data checksums and with wal_log_hints = off, and pg_rewind needs one of them")
            } else if !isClean, !features.rewind.recovers {
                self = .needsCopy("\(diverged), and pg_rewind of PostgreSQL \(features.version) needs a server that was shut down")
            } else {
                self = .rewinds
            }
        }
    }

    private static func beginning(_ history: TimelineHistory) -> String { history.switches.last.map { "\($0.at) of timeline \($0.timeline)" } ?? "nothing" }

    /// Why a node cannot follow as it is that pg_rewind has found nothing to take off; `nil` where it can.
    var obstacleUnrewound: String? {
        switch self {
        case .follows: nil
        case .rewinds: "pg_rewind says that no rewind is required, and it has written what the primary has not"
        case .needsCopy(let why), .isForeign(let why): "pg_rewind says that no rewind is required, and \(why)"
        }
    }
}

/// The node that comes back, and what it comes back to.
actor RejoiningNode {
    /// Who follows whom, once it was found out.
    static let follower = Fact<Follower>("follower")
    /// What a `pg_rewind` that has failed leaves.
    static let spoiled = "a pg_rewind has failed there, and left the data directory half overwritten: it is never started"

    nonisolated let group: Group
    nonisolated let name: String
    private let replicationUser: String?
    private var found: Follower?

    init(_ name: String, in group: Group, as replicationUser: String?) { (self.name, self.group, self.replicationUser) = (name, group, replicationUser) }

    nonisolated var access: ClusterAccess { group.access }

    /// Its instance, also where a new copy has yet to come into its data directory.
    nonisolated func instance(_ memory: Memory) async throws -> Instance { try await access.instance(name, programs: try memory.recall(CopiedNode.programs)) }

    /// The group without it: whatever it takes itself for, it is not asked.
    nonisolated func others(_ view: GroupView) -> GroupView { GroupView(view.nodes.filter { $0.name != name }) }

    /// How it is to follow the primary.
    /// - Throws: `Problem` where nobody says as which role.
    func follower(_ memory: Memory) async throws -> Follower {
        if let kept = try memory.recall(Self.follower) { return kept }
        if let found { return found }
        let view = try await group.look(), primary = try others(view).primary()
        let follower = try await follower(of: primary, view)
        found = follower
        return follower
    }

    func follower(of primary: GroupView.Node, _ view: GroupView) async throws -> Follower {
        let entry = try access.roster.entry(name)
        // What the primary, or another standby, streams or streamed with.
        let model = primary.look?.conninfo ?? others(view).standbys(of: primary).compactMap(\.look?.conninfo).first
        guard let role = replicationUser ?? model?["user"] else {
            throw Problem("\(name): nobody says as which role it is to stream from \(primary.name)", hint: "say `replication_user:` in the playbook")
        }
        var conninfo = Conninfo(["host": primary.address, "port": "\(primary.port)", "user": role, "application_name": name])
        for keyword in ["sslmode", "sslrootcert", "gssencmode", "channel_binding"] { if let value = model?[keyword] { conninfo[keyword] = value } }
        let features = try await access.instance(primary.name).features
        if features.conninfoTakesPassfile {
            conninfo["passfile"] = try await Passfile.place(of: entry.osUser, on: access.host(name), deadline: .after(.seconds(20))).path
        }
        return Follower(name: name, upstream: primary.name, conninfo: conninfo, slot: features.slots.exist ? SlotName(ofStandby: name) : nil)
    }

    /// How it may be let in: the primary knows the password from its own time as a standby.
    nonisolated func admission(_ follower: Follower, _ view: GroupView) throws -> FollowerAdmission {
        let primary = follower.upstream, role = follower.role, own = try access.roster.entry(name), access = access
        let standby = view[primary].flatMap { view.standbys(of: $0).first { $0.name != name }?.address }
        return FollowerAdmission(
            of: [follower], to: primary,
            learningFrom: [
                .init(primary, file: view[primary]?.look?.conninfo?["passfile"], PasswordFile.Line(host: own.address, port: own.port, database: "replication", user: role))
            ],
            like: { if let standby { try await FollowerAdmission.rule(on: primary, for: role, from: standby, access, deadline: .after(.seconds(60))) } else { nil } }, access)
    }

    /// How it can come back, as its control file says; it does not run.
    nonisolated func wayBack(_ primary: GroupView.Node, _ data: ControlData) async throws -> WayBack {
        guard let timeline = primary.look?.timeline else { return .needsCopy("\(primary.name) does not say on which timeline it is") }
        let instance = try await access.instance(primary.name), own = try await access.instance(name), deadline = Deadline.after(.seconds(20))
        let history = try await instance.history(of: timeline, deadline: deadline), system: String
        let ownHistory = data.timeline == timeline ? try await own.history(of: timeline, deadline: deadline) : nil
        if let said = primary.look?.systemIdentifier { system = said } else { system = "\(try await instance.controlData(deadline: deadline).systemIdentifier)" }
        let way = WayBack(of: data, to: timeline, history, own: ownHistory, system: system, own.features)
        guard case .follows = way, data.state == .shutDown else { return way }
        // A standby reads on where its own log ends: behind the checkpoint of its shutdown.
        guard try await !instance.hasWAL(at: data.checkpoint, deadline: deadline), try await !own.restoresWAL(deadline: deadline) else { return way }
        return .needsCopy("\(primary.name) has not kept the WAL that it needs, from \(data.checkpoint) on, and it knows no archive (restore_command)")
    }

    /// A data directory that is no copy of the primary's is not overwritten, whatever the playbook says of a copy.
    nonisolated func foreign(_ why: String) -> Problem {
        Problem("\(name): \(why): left alone", hint: "name the directory that \(name) ran in; one that nobody needs: empty it by hand, and set \(name) up as a new standby")
    }

    /// By what pg_rewind reads the primary: as the superuser, from the node's host. Under a name of its own: what a process of a run has left behind
    /// is ended by the next one, and this must come to its end.
    nonisolated func source(_ primary: String) throws -> Conninfo {
        let entry = try access.roster.entry(primary), roster = access.roster
        var conninfo = Conninfo(["host": entry.address, "port": "\(entry.port)", "user": roster.role, "dbname": roster.database, "application_name": "pg_rewind"])
        conninfo.password = PasswordFile.password(host: entry.address, port: entry.port, database: roster.database, user: roster.role)
        return conninfo
    }

    /// Where its configuration is kept while its data directory becomes another one's.
    ///
    /// The same for every run: what one has begun goes on on the host, whatever becomes of the run.
    nonisolated func kept() throws -> HostPath {
        try HostPath(checking: "/var/tmp/pggraft-rewind-\(SlotName(ofStandby: name))-\(access.roster.entry(name).port)")
    }
}
