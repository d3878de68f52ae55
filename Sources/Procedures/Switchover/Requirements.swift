import EventLoop
import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// What the requirements of a switchover rest on.
struct SwitchGround: Sendable {
    let survey: GroupSurvey
    let group: SwitchedGroup

    /// The look. A run that is taken up again waits first until the standby has found the primary: one of them may have been started again since.
    func view(_ memory: Memory) async throws -> GroupView {
        if try memory.recall(SwitchedGroup.roles) != nil, !SwitchedGroup.goesForward(memory) {
            do {
                try await wait(for: "\(group.new) to stream again", until: .after(.seconds(60)), every: .milliseconds(200)) { () -> Look<Void> in
                    let view = try await group.group.look()
                    guard let new = view[group.new], !new.isPrimary, let primary = view.nodes.first(where: \.isPrimary) else { return .found(()) }
                    return view.obstacle(to: new, takingThePlaceOf: primary, within: .max).map { .notYet($0.fact) } ?? .found(())
                }
            } catch is DeadlineExceeded {
                // The look that follows says why.
            }
        }
        return try await survey.view()
    }

    /// The look, the primary and who takes its place.
    /// - Throws: ``NotLooked`` where it has that place already, and where it is not clear who is the primary.
    func require(_ memory: Memory) async throws -> (view: GroupView, primary: GroupView.Node, new: GroupView.Node) {
        let view = try await view(memory)
        let primary: GroupView.Node
        do { primary = try view.primary() } catch { throw NotLooked() }
        guard let new = view[group.new], primary.name != new.name else { throw NotLooked() }
        return (view, primary, new)
    }
}

/// There is one primary, and the standby is close enough to take its place.
struct StandbyIsClose: Requirement {
    let name = "standby"
    let ground: SwitchGround
    /// Bytes that it may be behind.
    let limit: Int64
    var place: String? { ground.group.new }

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await ground.view(memory)
        // A run that was cut off between the stop and the promotion has no primary, and knows what to do.
        if SwitchedGroup.goesForward(memory) { return [Finding(name, on: place, "the run has told it to be the primary")] }
        let primary = try view.primary(), new = ground.group.new
        guard primary.name != new else { return [Finding(name, on: new, "is the primary already")] }
        if let roles = try memory.recall(SwitchedGroup.roles), roles.old != primary.name {
            return [
                Finding(
                    name, on: primary.name, "is the primary, and \(roles.old) was when the run began",
                    .notMet(hint: "undo the run (`pggraft undo`), and begin a new one"))
            ]
        }
        guard let standby = view[new] else { throw UnknownNode(name: new) }
        if let problem = view.obstacle(to: standby, takingThePlaceOf: primary, within: limit) { return [Finding(notMet: name, on: new, problem)] }
        let lag = view.lag(of: standby, behind: primary).map { UInt64($0).inBytes } ?? ""
        return [Finding(name, on: new, "streams from \(primary.name) on timeline \(primary.look?.timeline ?? 0), \(lag) behind")]
    }
}

/// Every node is known for what it is: nobody streams from the primary who would be left behind.
struct NobodyIsLeftBehind: Requirement {
    let name = "other standbys"
    let ground: SwitchGround

    func look(_ memory: Memory) async throws -> [Finding] {
        let (view, primary, new) = try await ground.require(memory)
        var findings: [Finding] = []
        for node in view.nodes where node.name != primary.name && node.name != new.name {
            if node.isStandby, let upstream = view.upstream(of: node) {
                findings.append(
                    Finding(
                        name, on: node.name, upstream.name == primary.name ? "streams from \(primary.name), and will from \(new.name)" : "goes on streaming from \(upstream.name)"))
            } else {
                findings.append(Finding(name, on: node.name, view.description(of: node), .notMet(hint: "start it, or take it out of cluster.nodes: it is not looked after then")))
            }
        }
        for stranger in view.strangers(on: primary) {
            findings.append(
                Finding(
                    name, on: primary.name, "pid \(stranger.pid) (\(stranger.application), \(stranger.client ?? "by the socket")) reads its WAL, and is none of cluster.nodes",
                    .notMet(hint: "wait for a base backup to end; add a standby to cluster.nodes; stop a pg_receivewal or a logical subscriber")))
        }
        for slot in primary.look?.slots ?? [] where slot.plugin != nil {
            findings.append(
                Finding(
                    "logical slots", on: primary.name,
                    "\(slot.name) (\(slot.plugin ?? "")) would be left behind on \(primary.name): its reader loses what is written after the switchover",
                    .notMet(hint: "let its reader catch up and drop the slot: make it anew on \(new.name) afterwards")))
        }
        for slot in primary.look?.slots ?? [] where slot.plugin == nil && view.user(of: slot, on: primary) == nil {
            findings.append(
                Finding(
                    "orphan slots", on: primary.name,
                    "\(slot.name) is of no node of the cluster\(slot.retainedBytes.map { ", and keeps \(UInt64(max(0, $0)).inBytes) of WAL" } ?? "")",
                    .note(hint: "drop it if nobody needs it: SELECT pg_drop_replication_slot('\(slot.name)')")))
        }
        return findings
    }
}

/// A fast stop ends: it waits for the archiver, and a prepared transaction would outlive it.
struct PrimaryCanStop: Requirement {
    let name = "archiving"
    let ground: SwitchGround

    func look(_ memory: Memory) async throws -> [Finding] {
        let (_, primary, new) = try await ground.require(memory)
        guard let look = primary.look else { throw NotLooked() }
        var findings: [Finding] = []
        if let file = look.failingArchive {
            findings.append(
                Finding(
                    name, on: primary.name, "its archiver fails (\(file), pg_stat_archiver): a stop would wait for it", .notMet(hint: "mend archive_command; see the server's log"))
            )
        } else {
            findings.append(Finding(name, on: primary.name, look.settings["archive_mode"] == "off" ? "off" : "its archiver does not fail"))
        }
        if look.settings["archive_mode"] != "off", new.look?.settings["archive_mode"] == "off" {
            findings.append(
                Finding(
                    name, on: new.name, "archive_mode is off, and on on \(primary.name): nothing is archived after the switchover",
                    .note(hint: "set archive_mode and archive_command there, and restart it, before")))
        }
        for transaction in look.preparedTransactions {
            findings.append(Finding("prepared transactions", on: primary.name, transaction.description, .notMet(hint: "COMMIT PREPARED or ROLLBACK PREPARED it first")))
        }
        return findings
    }
}

/// The others can be standbys of the new primary: of one cluster, with as much of everything that a standby needs, with a slot and a sender for each.
struct NewPrimaryHasRoom: Requirement {
    let name = "room for standbys"
    let ground: SwitchGround
    var place: String? { ground.group.new }

    func look(_ memory: Memory) async throws -> [Finding] {
        let (view, primary, new) = try await ground.require(memory)
        guard let look = new.look else { throw NotLooked() }
        let followers = [primary] + view.standbys(of: primary).filter { $0.name != new.name }
        var findings: [Finding] = []
        for (setting, used, what) in [("max_wal_senders", look.senders.count, "senders"), ("max_replication_slots", look.slots.count, "slots")] {
            guard let limit = look.settings[setting].flatMap({ Int($0) }) else { continue }
            let free = limit - used
            findings.append(
                Finding(
                    name, on: new.name, "\(what): \(used) of \(limit) in use, \(followers.count) more \(followers.count == 1 ? "is" : "are") needed",
                    free >= followers.count ? .met : .notMet(hint: "raise \(setting) on \(new.name), and restart it")))
        }
        let minima = ServerFeatures(MajorVersion(serverVersionNumber: look.settings["server_version_num"].flatMap { Int($0) } ?? 0)).hotStandbyMinima
        for follower in followers {
            for setting in minima {
                guard let needed = look.settings[setting].flatMap({ Int($0) }), let own = follower.look?.settings[setting].flatMap({ Int($0) }), own < needed else { continue }
                findings.append(
                    Finding(
                        "hot standby", on: follower.name, "\(setting) is \(own), and \(needed) on \(new.name): it could not follow",
                        .notMet(hint: "set \(setting) = \(needed) on \(follower.name), and restart it")))
            }
            if let mine = follower.look?.systemIdentifier, let theirs = look.systemIdentifier, mine != theirs {
                findings.append(
                    Finding(
                        "system identifier", on: follower.name, "\(mine), and \(theirs) on \(new.name): they are no copies of each other", .notMet(hint: "correct cluster.nodes")))
            }
        }
        return findings
    }
}

/// pggraft is let in as a superuser everywhere.
struct RoleIsSuperuser: Requirement {
    let name = "role"
    let node: String
    let ground: SwitchGround
    var place: String? { node }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.view(memory)[node]?.look != nil else { throw NotLooked() }
        let role = ground.group.access.roster.role
        return [
            try await ground.group.access.server(node).isSuperuser
                ? Finding(name, on: node, "\(role) is a superuser")
                : Finding(name, on: node, "\(role) is no superuser", .notMet(hint: "ALTER ROLE \(role) SUPERUSER, or name another one: cluster.user"))
        ]
    }
}

/// The others may stream from the new primary, or will once the run has prepared it.
struct OthersMayStream: Requirement {
    let name = "replication"
    let ground: SwitchGround
    var place: String? { ground.group.new }

    func look(_ memory: Memory) async throws -> [Finding] {
        let (view, _, new) = try await ground.require(memory), group = ground.group
        let roles = if let kept = try memory.recall(SwitchedGroup.roles) { kept } else { try await group.roles(view) }
        let refusals = try await roles.admission(group.access).refusals()
        return roles.followers.map { follower in
            guard let refusal = refusals[follower.name] else { return Finding(name, on: follower.name, "may stream from \(new.name) as \(follower.role)") }
            return Finding(
                name, on: follower.name, refusal.fact.replacing("\(follower.name) ", with: "", maxReplacements: 1),
                .note(hint: "the run adds what is missing, and tries it, before anything is closed"))
        }
    }
}
