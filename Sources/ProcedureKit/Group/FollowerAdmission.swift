import EventLoop
import Instance
public import PostgresClient
public import PostgresConfig
import RemoteHost
public import Report
public import Run
import Server

/// What nodes need to stream from another one, put there and taken back: a rule and a slot on it, a password on their hosts.
public struct FollowerAdmission: Sendable {
    private let access: ClusterAccess
    private let upstream: String
    private let followers: [Follower]
    private let teachers: [Teacher]
    private let rule: @Sendable () async throws -> HBARule?

    /// A node whose password file may have the role's password, and for which connection.
    public struct Teacher: Sendable {
        let node: String
        let file: String?
        let line: PasswordFile.Line

        /// - Parameter file: by default that of the node's OS user.
        public init(_ node: String, file: String?, _ line: PasswordFile.Line) { (self.node, self.file, self.line) = (node, file, line) }
    }

    /// - Parameters:
    ///   - upstream: the node that they shall stream from.
    ///   - rule: one that lets another node in for replication today: theirs are no wider. `nil` for one that asks for the password.
    public init(
        of followers: [Follower], to upstream: String, learningFrom teachers: [Teacher], like rule: @escaping @Sendable () async throws -> HBARule?,
        _ access: ClusterAccess
    ) {
        (self.followers, self.upstream, self.teachers, self.rule, self.access) = (followers, upstream, teachers, rule, access)
    }

    private static let slot = "replication slot", line = "password file line"
    private var deadline: Deadline { .after(.seconds(60)) }

    /// What they lack.
    public struct Wants: Sendable {
        fileprivate struct Entry: Sendable {
            let file: HostPath
            let line: PasswordFile.Line
            let password: Secret
        }

        fileprivate var lines: [String: Entry] = [:]
        fileprivate var rules: ConfigurationEdit?
        fileprivate var slots: [SlotName] = []

        /// As a plan shows it.
        public func changes(on upstream: String) -> [Change] {
            lines.map { Change("\($0.key): a line for \(upstream) in \($0.value.file), with the password that the role has for the others") }.sorted { $0.text < $1.text }
                + [rules].compactMap(\.self).map { Change("\(upstream): \($0.path)", diff: $0.diff) } + slots.map { Change("\(upstream): the physical slot \($0)") }
        }
    }

    /// Tries for each of them whether it may stream, and finds out what is missing where it may not.
    public func wants() async throws -> Wants {
        var wants = Wants()
        async let there = access.server(upstream).slots(deadline: deadline)
        let refused = try await refusals()
        if !refused.isEmpty {
            let lacking = followers.filter { refused[$0.name] != nil }
            for follower in lacking { wants.lines[follower.name] = try await missingLine(follower) }
            wants.rules = try await missingRules(for: lacking)
        }
        let slots = try await there.map(\.name)
        wants.slots = followers.compactMap(\.slot).filter { !slots.contains($0) }
        return wants
    }

    /// Logs in as each of them will, from its host, and says why that is refused, by name.
    public func refusals() async throws -> [String: Problem] {
        try await onEach(followers.map(\.name)) { name -> Problem? in
            guard let follower = followers.first(where: { $0.name == name }) else { return nil }
            let answer = try await access.instance(name).psql(follower.replicationConninfo, "IDENTIFY_SYSTEM", deadline: .after(.seconds(30)))
            guard !answer.succeeded else { return nil }
            let entry = try access.roster.entry(name), method = try await method(for: follower)
            return Problem(
                "\(name) may not stream from \(upstream): \(answer.errorText.onOneLine)",
                hint: "a line `host replication \(follower.role) \(entry.address)/32 \(method)` in pg_hba.conf of \(upstream), and the password in "
                    + "\(follower.conninfo["passfile"] ?? "~/.pgpass") of \(entry.osUser) on \(name)")
        }.compactMapValues(\.self)
    }

    private func missingLine(_ follower: Follower) async throws -> Wants.Entry? {
        let file = try await passwordFile(follower)
        let target = try access.roster.entry(upstream), line = PasswordFile.Line(host: target.address, port: target.port, database: "replication", user: follower.role)
        guard try await password(for: line, in: file, on: follower.name) == nil else { return nil }
        let status = try await access.host(follower.name).stat(file, as: try access.roster.entry(follower.name).osUser, deadline: deadline)
        if let refusal = Self.refusal(of: file, mode: status?.mode, on: follower.name) { throw refusal }
        for teacher in teachers {
            let place =
                if let file = teacher.file { file } else {
                    try await Passfile.place(of: access.roster.entry(teacher.node).osUser, on: access.host(teacher.node), deadline: deadline).path
                }
            if let path = HostPath(place), let password = try await password(for: teacher.line, in: path, on: teacher.node) {
                return Wants.Entry(file: file, line: line, password: password)
            }
        }
        // The operator's own.
        return PasswordFile.password(host: target.address, port: target.port, database: "replication", user: follower.role).map {
            Wants.Entry(file: file, line: line, password: $0)
        }
    }

    /// Why no password is written into a file that is there.
    static func refusal(of file: HostPath, mode: FileMode?, on node: String) -> Problem? {
        guard let mode, Passfile.isOpen(mode) else { return nil }
        return Problem("\(node): others may read \(file), and it is not used therefore", hint: "chmod 0600 \(file)")
    }

    /// Where the follower's libpq looks for the password.
    private func passwordFile(_ follower: Follower) async throws -> HostPath {
        if let named = follower.conninfo["passfile"].flatMap({ HostPath($0) }) { return named }
        return try await Passfile.place(of: access.roster.entry(follower.name).osUser, on: access.host(follower.name), deadline: deadline)
    }

    /// By which the role's password is asked for.
    private func method(for follower: Follower) async throws -> String {
        let server = try await access.server(upstream)
        guard server.features.hasSCRAM else { return "md5" }
        return try await server.replicationRole(follower.role, deadline: deadline)?.password == .md5 ? "md5" : "scram-sha-256"
    }

    private func password(for line: PasswordFile.Line, in file: HostPath, on node: String) async throws -> Secret? {
        let content = try await access.host(node).read(file, as: try access.roster.entry(node).osUser, deadline: deadline)
        return content.flatMap { line.password(in: String(decoding: $0, as: UTF8.self)) }
    }

    private func missingRules(for followers: [Follower]) async throws -> ConfigurationEdit? {
        let instance = try await access.instance(upstream), server = try await access.server(upstream)
        let files = try await instance.configurationFiles(through: server.connection, deadline: deadline)
        guard let content = try await instance.host.read(files.hbaFile, as: instance.user, deadline: deadline) else { return nil }
        let model = try await rule()
        var file = HBAFile(content, for: HBAServer(instance.version))
        for follower in followers {
            let address = try access.roster.entry(follower.name).address
            let from = IPNetwork(address).map(HBARule.Address.network) ?? .hostName(address)
            file.ensure(
                HBARule(
                    model?.type ?? .host, databases: [.replication], users: [.named(follower.role)], from: from, method: try await own(model, follower),
                    options: model?.options ?? []))
        }
        let edit = ConfigurationEdit(path: files.hbaFile, before: content, after: file.render())
        return edit.isEmpty ? nil : edit
    }

    private func own(_ model: HBARule?, _ follower: Follower) async throws -> String {
        if let model { model.method } else { try await method(for: follower) }
    }

    /// The rule by which `node` lets a role in for replication from an address; `nil` where none does, or without asking who that is.
    public static func rule(on node: String, for role: String, from address: String, _ access: ClusterAccess, deadline: Deadline) async throws -> HBARule? {
        guard let ip = IPAddress(address) else { return nil }
        let instance = try await access.instance(node), connection = try await access.server(node).connection
        let rules = try await instance.accessRules(try await instance.configuration(through: connection, deadline: deadline), through: connection, deadline: deadline)
        let client = HBAConnection(user: role, database: "replication", from: .address(ip), isPhysicalReplication: true)
        guard case .rule(_, let rule) = try await instance.explain(client, by: rules, through: connection, deadline: deadline).decision else { return nil }
        return ["reject", "trust"].contains(rule.method) ? nil : rule
    }

    // MARK: Done and taken back

    /// Puts there what is missing, and tries each of them again.
    /// - Throws: `Problem` that says why one may not stream still.
    public func perform(_ run: StepRun) async throws {
        let wants = try await wants(), server = try await access.server(upstream)
        for (node, entry) in wants.lines.sorted(by: { $0.key < $1.key }) {
            let host = try await access.host(node), user = try access.roster.entry(node).osUser
            let now = try await host.read(entry.file, as: user, deadline: deadline)
            try run.creating(Created(Self.line, on: node, "\(entry.file) \(entry.line.key)"))
            let text = entry.line.added(to: now.map { String(decoding: $0, as: UTF8.self) } ?? "", password: entry.password)
            try await host.write(Array(text.utf8), to: entry.file, as: user, mode: now == nil ? FileMode(0o600) : nil, deadline: deadline)
        }
        if let edit = wants.rules {
            let instance = try await access.instance(upstream)
            try await KeptFiles(instance: instance).apply(edit, run, deadline: deadline)
            _ = try await instance.reload(through: server.connection, deadline: deadline)
        } else if try !KeptFiles.changed(on: upstream, in: run.memory, by: run.step).isEmpty {
            // It ended between the two, the last time.
            _ = try await access.instance(upstream).reload(through: server.connection, deadline: deadline)
        }
        if let refusal = try await refusals().min(by: { $0.key < $1.key })?.value { throw refusal }
        for slot in wants.slots {
            try run.creating(Created(Self.slot, on: upstream, slot.rawValue))
            try await server.createPhysicalSlot(slot, deadline: deadline)
        }
    }

    /// Takes back what a step of this run has put there.
    public static func undo(_ run: StepRun, on upstream: String, _ access: ClusterAccess) async throws -> UndoOutcome {
        let created = try run.created, deadline = Deadline.after(.seconds(60))
        var outcome = await takeBack(created.filter { $0.kind == slot }) { thing in
            guard let slot = SlotName(rawValue: thing.name) else { return .absent }
            return try await access.server(thing.place).dropSlot(slot, deadline: .after(.seconds(20))) ? .gone("\(thing.place): the slot \(slot) is dropped") : .absent
        }
        if try !KeptFiles.changed(on: upstream, in: run.memory).isEmpty {
            let instance = try await access.instance(upstream)
            outcome = outcome.and(try await KeptFiles(instance: instance).restore(run, deadline: deadline))
            _ = try await instance.reload(through: try await access.server(upstream).connection, deadline: deadline)
        }
        return outcome.and(await takeBack(created.filter { $0.kind == line }) { thing in try await remove(line: thing, access, deadline) })
    }

    private static func remove(line thing: Created, _ access: ClusterAccess, _ deadline: Deadline) async throws -> TakenBack {
        let parts = thing.name.split(separator: " ", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return .absent }
        let path = try HostPath(checking: parts[0]), host = try await access.host(thing.place), user = try access.roster.entry(thing.place).osUser
        guard let now = try await host.read(path, as: user, deadline: deadline) else { return .absent }
        let lines = String(decoding: now, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false), rest = lines.filter { !$0.hasPrefix(parts[1] + ":") }
        guard rest.count != lines.count else { return .absent }
        if rest.allSatisfy(\.isEmpty) {
            try await host.remove(path, as: user, deadline: deadline)
        } else {
            try await host.write(Array(rest.joined(separator: "\n").utf8), to: path, as: user, deadline: deadline)
        }
        return .gone("\(thing.place): the line for \(parts[1]) is out of \(path)")
    }
}
