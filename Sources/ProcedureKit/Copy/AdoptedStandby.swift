import EventLoop
import Instance
public import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Run
public import Server

/// A standby of the source that is there already, whoever has made it, and that becomes the copy: how it streams, and whether it can be taken.
public actor AdoptedStandby {
    private nonisolated let node: CopiedNode
    /// The role that it streams as from now on; `nil` for the one that it does as.
    private nonisolated let role: String?
    /// Its `postgresql.auto.conf` of before the run, once that was kept.
    private var kept: HostPath?
    private var found = SharedLook<Streaming>()

    /// How it streams, as its files said before the run.
    public struct Streaming: Sendable {
        /// `nil` for a server that is no streaming standby.
        public var conninfo: Conninfo?
        public var slot: SlotName?
        public var restoreCommand: String?
    }

    nonisolated var name: String { node.name }

    public init(_ node: CopiedNode, as role: String?) { (self.node, self.role) = (node, role) }

    /// Says whose run it is: what that has kept of its files is how it streams.
    func belongs(to memory: Memory) async throws {
        let instance = try await node.instance(), now = try KeptFiles.original(of: instance.dataDirectory / Self.autoConf, on: node.name, in: memory)
        if now != kept { (kept, found) = (now, SharedLook()) }
    }

    private static let autoConf = "postgresql.auto.conf"

    public func streaming() async throws -> Streaming {
        try await found.value { [node, kept] in
            let instance = try await node.instance(), deadline = Deadline.after(.seconds(30)), path = kept ?? instance.dataDirectory / Self.autoConf
            async let content = instance.host.read(path, as: instance.user, deadline: deadline)
            let tree = try await instance.settingsTree(deadline: deadline), auto = SettingsFile(try await content ?? [])
            func value(_ name: String) -> String? {
                let value = auto.value(of: name) ?? tree.entries.last { isSameSetting($0.name, name) && $0.file != tree.autoConfFile }?.value ?? ""
                return value.isEmpty ? nil : value
            }
            return Streaming(
                conninfo: try value("primary_conninfo").map { try Conninfo(ofServer: $0) }, slot: value("primary_slot_name").flatMap(SlotName.init(rawValue:)),
                restoreCommand: value("restore_command"))
        }
    }

    /// - Throws: `NotLooked` where nothing is there that streams, which ``StandbyCanBeAdopted`` tells.
    public func require() async throws {
        guard try await streaming().conninfo != nil else { throw NotLooked() }
    }

    /// What it streams by as the copy: as it did, under the name of the node. A password goes to the OS user's password file, by hand.
    func conninfo() async throws -> Conninfo {
        guard var conninfo = try await streaming().conninfo else {
            throw Problem("\(node.name): its configuration files have no primary_conninfo: it is no streaming standby", hint: "have it stream from \(node.source) first")
        }
        if conninfo["password"] != nil {
            conninfo["password"] = nil
            let entry = try node.access.roster.entry(node.name)
            if conninfo["passfile"] == nil {
                conninfo["passfile"] = try await Passfile.find(of: entry.osUser, on: try await node.access.host(node.name), deadline: .after(.seconds(20)))
            }
        }
        if let role { conninfo["user"] = role }
        conninfo["application_name"] = node.name
        return conninfo
    }

    // MARK: Whether it can be taken

    /// What it is now, in words and numbers, and everything that keeps it from being taken.
    nonisolated func look() async throws -> [Finding] {
        let instance = try await node.instance(), state = try await instance.dataDirectoryState(deadline: .after(.seconds(30)))
        let seeded = "name in `new_node` a standby of \(node.source) that streams, or let the copy be made: `method: pgbackrest`"
        guard case .cluster = state else { return [Finding(Self.requirement, on: node.name, "\(instance.dataDirectory): \(state)", .notMet(hint: seeded))] }
        let name = node.name, source = node.source, view = try await Group([source, name], of: node.access).look()
        guard let standby = view[name], let primary = view[source], let theirs = primary.look else {
            return [Finding(Self.requirement, on: name, "\(source) gives no answer", .notMet(hint: "see what is wrong with it"))]
        }
        switch standby.state {
        case .deaf(_, let problem):
            return [
                Finding(Self.requirement, on: name, "it runs and lets pggraft not in: \(problem.fact)", .notMet(hint: problem.hint ?? "let \(node.access.roster.role) in there"))
            ]
        case .unreachable(let problem): return [Finding(notMet: Self.requirement, on: name, problem)]
        case .down(let data):
            var findings: [Finding] = []
            if "\(data.systemIdentifier)" != theirs.systemIdentifier { findings.append(isOther(data.systemIdentifier.description, theirs, hint: seeded)) }
            if ![.shutDownInRecovery, .inArchiveRecovery].contains(data.state) {
                findings.append(Finding(Self.requirement, on: name, "its server is stopped, and was no standby: \(data.state.rawValue)", .notMet(hint: seeded)))
            }
            if let timeline = theirs.timeline, data.timeline != timeline {
                findings.append(Finding("timeline", on: name, "\(data.timeline), and \(source) is on \(timeline)", .notMet(hint: "start it, and see whether it follows \(source)")))
            }
            guard findings.isEmpty else { return findings }
            return try await [
                Finding(
                    Self.requirement, on: name, "a standby that is stopped, on timeline \(data.timeline), at \(data.minimumRecoveryEnd)",
                    .note(hint: "it stays stopped after an undo"))
            ]
                + waiting(for: nil, on: primary)
        case .serving(let look):
            if look.systemIdentifier != theirs.systemIdentifier { return [isOther(look.systemIdentifier ?? "?", theirs, hint: seeded)] }
            guard look.recovery.isInRecovery else { return [Finding(Self.requirement, on: name, "it is a primary, and no standby", .notMet(hint: seeded))] }
            // However far it is: the run waits until it has caught up.
            if let obstacle = view.obstacle(to: standby, takingThePlaceOf: primary, within: .max) { return [Finding(notMet: Self.requirement, on: name, obstacle)] }
            let lag = UInt64(view.lag(of: standby, behind: primary) ?? 0).inBytes, slot = standby.slot.map { ", through the slot \($0)" } ?? ", without a slot"
            return try await [Finding(Self.requirement, on: name, "streams from \(source) on timeline \(look.timeline ?? 0)\(slot), \(lag) behind")]
                + hanging(on: look, copiedFrom: theirs) + waiting(for: view.sender(for: standby), on: primary)
        }
    }

    static let requirement = "standby"

    private nonisolated func isOther(_ system: String, _ source: ReplicationLook, hint: String) -> Finding {
        Finding(
            Self.requirement, on: node.name, "it is of another cluster: its system identifier is \(system), that of \(node.source) \(source.systemIdentifier ?? "?")",
            .notMet(hint: hint))
    }

    /// Who streams from it, or shall: nobody does any more from another node.
    private nonisolated func hanging(on look: ReplicationLook, copiedFrom source: ReplicationLook) -> [Finding] {
        let senders = look.senders.map { "\($0.application)\($0.client.map { " (\($0))" } ?? "")" }
        var findings: [Finding] = []
        if !senders.isEmpty {
            findings.append(
                Finding(
                    "cascade", on: node.name, "\(list(senders)) \(senders.count == 1 ? "streams" : "stream") from it, and would follow it out of the cluster of its rows",
                    .notMet(hint: "have them stream from \(node.source) first")))
        }
        // Those that Spock or the server itself has copied from the source go with its identity.
        let slots = look.slots.filter { slot in slot.plugin == nil || !source.slots.contains { $0.name == slot.name && $0.plugin == slot.plugin } }.map(\.name.rawValue)
        if !slots.isEmpty {
            findings.append(
                Finding(
                    "slots", on: node.name, "\(list(slots)): of somebody who reads from it", .notMet(hint: "have that read from \(node.source), and drop what nobody needs there")))
        }
        return findings
    }

    /// What of the source waits for it: it is stopped, and goes for good.
    private nonisolated func waiting(for sender: StreamingStandby?, on primary: GroupView.Node) async throws -> [Finding] {
        let source = node.source, name = node.name, server = try await node.access.server(source), deadline = Deadline.after(.seconds(20))
        var findings: [Finding] = []
        if let sender, sender.sync != .async {
            findings.append(
                Finding(
                    "synchronous", on: source, "commits wait for \(name), or may (\(sender.sync); synchronous_standby_names)",
                    .notMet(hint: "have them wait for others first: pggraft run with `procedure: synchronous`")))
        }
        guard let slot = try await streaming().slot?.rawValue else { return findings }
        let settings = try await server.settings(CloneConfiguration.waitingForSlots, deadline: deadline)
        for (setting, value) in settings.sorted(by: { $0.key < $1.key }) where value.split(whereSeparator: { $0 == "," || $0.isWhitespace }).contains(where: { $0 == slot }) {
            findings.append(
                Finding("slots", on: source, "what is replicated waits for the slot \(slot) (\(setting)), which \(name) leaves", .notMet(hint: "take it out of \(setting) first")))
        }
        return findings
    }
}
