import EventLoop
import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// The primary runs, takes writes, and knows pggraft as a superuser.
struct PrimaryIsOne: Requirement {
    let name = "PostgreSQL"
    let pair: StandbyPair
    let survey: Survey
    var place: String? { pair.primary }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([pair.primary])
        let server = try await pair.access.server(pair.primary)
        if try await server.isInRecovery(deadline: .after(.seconds(20))) {
            return [Finding(name, on: pair.primary, "is a standby", .notMet(hint: "name the primary under `primary`; a standby of it under `upstream`"))]
        }
        guard await server.isSuperuser else {
            return [Finding(name, on: pair.primary, "\(pair.access.roster.role) is no superuser", .notMet(hint: "name one under cluster.user"))]
        }
        var findings = [Finding(name, on: pair.primary, "\(await server.connection.serverVersion), takes writes")]
        let names = try await server.synchronousStandbyNames(deadline: .after(.seconds(20)))
        if !names.names.isEmpty {
            findings.append(
                Finding("synchronous_standby_names", on: pair.primary, "\(names)", .note(hint: "commits wait for these; \(pair.standby.name) is not among them yet")))
        }
        return findings
    }
}

/// The node that the standby streams from is a standby of the primary, and streams itself.
struct UpstreamIsStandby: Requirement {
    let name = "upstream"
    let pair: StandbyPair
    let survey: Survey
    var place: String? { pair.sender }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([pair.primary, pair.sender])
        let deadline = Deadline.after(.seconds(20)), sender = try await pair.access.server(pair.sender), primary = try await pair.access.server(pair.primary)
        async let theirs = primary.systemIdentifier(deadline: deadline), ours = sender.systemIdentifier(deadline: deadline)
        let state = try await sender.recovery(deadline: deadline)
        guard state.isInRecovery else { return [Finding(name, on: pair.sender, "is no standby", .notMet(hint: "name it under `primary`, or a standby under `upstream`"))] }
        let (own, other) = (try await ours, try await theirs)
        guard own == other else { return [Finding(name, on: pair.sender, "is a copy of another cluster than \(pair.primary)", .notMet(hint: "name a standby of \(pair.primary)"))] }
        guard state.isReceiving else {
            return [Finding(name, on: pair.sender, "is a standby, and receives nothing now", .notMet(hint: "see in its log why; what it does not have it cannot pass on"))]
        }
        return [Finding(name, on: pair.sender, "is a standby of \(pair.primary), replayed up to \(state.replayedLSN?.description ?? "nothing")")]
    }
}

/// The role that the standby streams as is there and may, or can be made.
struct ReplicationRoleIsUsable: Requirement {
    let name = "role"
    let pair: StandbyPair
    let ground: SourceGround
    var place: String? { pair.primary }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await ground.requireUp()
        guard let role = try await pair.replicationRole(deadline: .after(.seconds(20))) else {
            return [Finding(name, on: pair.primary, "\(pair.role) is not there, and will be made")]
        }
        let problems = memory.beganCopy ? [] : CreateReplicationRole.problems(of: role, called: pair.role, on: pair.primary)
        guard problems.isEmpty else { return problems.map { Finding(notMet: name, on: pair.primary, $0) } }
        return [Finding(name, on: pair.primary, "\(pair.role) has REPLICATION")]
    }
}

/// Where the standby's password file has a password already, it is the right one.
struct StandbyHasPassword: Requirement {
    let name = "password"
    let pair: StandbyPair
    let ground: TargetGround
    var place: String? { pair.standby.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        _ = try await ground.instance()
        if pair.isTrusted { return [] }
        let passfile = try await pair.passfile(), line = try pair.passfileLine(), standby = pair.standby.name
        if passfile.isOpen { return [Finding(name, on: standby, "others may read \(passfile.path)", .notMet(hint: "chmod 0600 \(passfile.path)"))] }
        guard line.password(in: passfile.text ?? "") != nil else { return [Finding(name, on: standby, "\(passfile.path) has none for \(line.key), and will get it")] }
        let isThere = try await pair.replicationRole(deadline: .after(.seconds(20))) != nil
        guard isThere, let refusal = try await pair.refusal() else {
            return [Finding(name, on: standby, isThere ? "\(pair.sender) takes that of \(passfile.path)" : "\(passfile.path) has one for \(line.key)")]
        }
        // What the rules and settings refuse is seen to by the run.
        guard refusal.reason == .password else { return [Finding(name, on: standby, "\(passfile.path) has one for \(line.key)")] }
        return [Finding(notMet: name, on: standby, refusal.problem)]
    }
}

/// The sender has what a standby needs, or can be given it.
struct SenderSuffices: Requirement {
    let name = "settings"
    let pair: StandbyPair
    let ground: TargetGround
    var place: String? { pair.sender }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        let settings = try await pair.senderSettings(), needed = settings.needed
        if let problem = settings.archiveProblem { return [Finding(notMet: name, on: pair.sender, SenderSettings.anotherArchive(on: pair.sender, problem))] }
        if let problem = settings.standbysFirst(on: pair.sender) { return [Finding(notMet: name, on: pair.sender, problem)] }
        guard !needed.isEmpty else { return [Finding(name, on: pair.sender, settings.summary)] }
        let text = settings.summary + "; " + needed.map { $0.name == "archive_command" ? "archive_command" : "\($0.name) will be \($0.value)" }.joined(separator: ", ")
        let restart = needed.map(\.name).filter { SenderSettings.atStart.contains($0) }
        guard !restart.isEmpty, !pair.restarts else {
            return [Finding(name, on: pair.sender, text, restart.isEmpty ? .met : .note(hint: "\(pair.sender) is restarted for that (restart: yes)"))]
        }
        let problem = RestartPrimary.problem(on: pair.sender, list(restart))
        return [Finding(name, on: pair.sender, text, .notMet(hint: "\(problem.fact): \(problem.hint ?? "")"))]
    }
}

extension SenderSettings {
    /// Those of its settings that take effect at a start only.
    static let atStart = ["listen_addresses", "wal_level", "max_wal_senders", "max_replication_slots", "archive_mode"]
}

/// Slots keep WAL until it is read: nobody's, and what bounds them.
struct SlotsAreWatched: Requirement {
    let name = "slots"
    let pair: StandbyPair
    let ground: SourceGround
    let fuse: SlotFuse?
    var place: String? { pair.sender }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await ground.requireUp()
        let server = try await pair.access.server(pair.sender), deadline = Deadline.after(.seconds(20)), slot = pair.standby.slot
        async let settings = server.settings(["max_slot_wal_keep_size", "wal_keep_size", "wal_keep_segments"], deadline: deadline)
        let orphans = try await server.slots(deadline: deadline).filter { !$0.isActive && $0.name != slot }
        var findings = orphans.map { orphan in
            Finding(
                name, on: pair.sender, "nobody reads \(orphan.name), which keeps \(UInt64(max(0, orphan.retainedBytes ?? 0)).inBytes) of WAL",
                .note(hint: "if its standby is gone for good: SELECT pg_drop_replication_slot('\(orphan.name)')"))
        }
        let values = try await settings
        guard slot != nil else {
            let kept = values["wal_keep_size"].map { "\($0) MB" } ?? "\(values["wal_keep_segments"] ?? "0") segments"
            return findings + [
                Finding(name, on: pair.sender, "no slot is used, and \(kept) of WAL are kept", .note(hint: "a standby that is away for longer is to be copied anew"))
            ]
        }
        if let fuse, try await !streams() { findings.append(try await fuse.finding(name, deadline: deadline)) }
        if let limit = values["max_slot_wal_keep_size"] {
            findings.append(
                limit == "-1"
                    ? Finding(
                        name, on: pair.sender, "max_slot_wal_keep_size is -1: a standby that is away keeps WAL until the disk of \(pair.sender) is full",
                        .note(hint: "pggraft conf set \(pair.sender) max_slot_wal_keep_size=…, less than what is free there"))
                    : Finding(name, on: pair.sender, "max_slot_wal_keep_size is \(limit) MB"))
        }
        return findings
    }

    /// Whether its slot keeps nothing; why that cannot be seen is told by others.
    private func streams() async throws -> Bool {
        do {
            return try await pair.streams()
        } catch let error where !(error is CancellationError) {
            return false
        }
    }
}
