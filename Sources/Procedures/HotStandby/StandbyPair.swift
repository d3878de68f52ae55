import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Server

/// A standby that is made, the node that it streams from, and the primary of both.
struct StandbyPair: Sendable {
    let access: ClusterAccess
    let primary: String
    let standby: Standby
    /// That the standby streams as.
    let role: String
    /// Of a role that is made.
    let connectionLimit: Int
    /// Whether the password of a role that is made is asked for.
    let asksPassword: Bool
    /// By which the sender archives for it; `nil` where nothing is said of an archive.
    let archiveCommand: String?
    /// Whether the node that it streams from may be restarted.
    let restarts: Bool
    /// Whether the copy takes two senders, and not one.
    let copiesByStream: Bool
    /// Whether the sender lets the standby in by its address alone.
    var isTrusted = false
    /// The server through which a role is made; `nil` for the primary.
    var roleMaker: String?
    /// Where else the role streams from.
    var otherSenders: [String] = []
    /// The password of the role where another standby has it already.
    var knownElsewhere: @Sendable () async throws -> Secret? = { nil }

    /// The node that it streams from: the primary, or a standby of it.
    var sender: String { standby.source }
    var isCascading: Bool { sender != primary }

    /// The role as it is, with its connections to all that it streams from.
    func replicationRole(deadline: Deadline) async throws -> ReplicationRole? {
        guard var role = try await access.server(primary).replicationRole(self.role, deadline: deadline) else { return nil }
        for other in otherSenders {
            let there = try await access.server(other).replicationRole(self.role, deadline: deadline)
            role.connections = max(role.connections, there?.connections ?? 0)
        }
        return role
    }

    /// The address from which the standby's host comes to the sender: what stands in a rule.
    func address() async throws -> IPAddress {
        let roster = access.roster, own = try roster.entry(standby.name), target = try roster.entry(sender).address
        let routes = try await Routes.look(to: [target], from: try await access.host(standby.name), as: own.osUser, deadline: .after(.seconds(20)))
        if let address = routes.addresses.first?.first { return address }
        guard let address = routes.known(as: own.address).first else {
            throw Problem("from which address \(standby.name) comes to \(sender) is not known", hint: "give its IP address in the playbook")
        }
        return address
    }

    /// Whether the standby is there already and streams.
    func streams() async throws -> Bool {
        do {
            guard try await standby.node.isRunning() else { return false }
            return try await standby.isStreaming()
        } catch is CancellationError {
            throw CancellationError()
        } catch is PostgresError {
            // Another server is in its place, or none that lets anybody in.
            return false
        }
    }

    // MARK: The password

    /// The line of the standby's password file by which it streams.
    func passfileLine() throws -> PasswordFile.Line {
        let entry = try access.roster.entry(sender)
        return PasswordFile.Line(host: entry.address, port: entry.port, database: "replication", user: role)
    }

    /// The password file of the standby's OS user.
    struct FoundPassfile: Sendable {
        var path: HostPath
        /// `nil` where there is none.
        var text: String?
        /// Others may read it, and libpq therefore does not.
        var isOpen = false
    }

    func passfile() async throws -> FoundPassfile {
        let user = try access.roster.entry(standby.name).osUser, host = try await access.host(standby.name), deadline = Deadline.after(.seconds(20))
        let path = try await Passfile.place(of: user, on: host, deadline: deadline)
        async let status = host.stat(path, as: user, deadline: deadline)
        let text = try await host.read(path, as: user, deadline: deadline).map { String(decoding: $0, as: UTF8.self) }
        return FoundPassfile(path: path, text: text, isOpen: (try await status).map { Passfile.isOpen($0.mode) } ?? false)
    }

    /// Tries to log in as the standby will: from its host, with its password file.
    func tryLogin() async throws -> CommandResult {
        let conninfo = try await standby.primaryConninfo().asReceiver
        return try await standby.node.instance().psql(conninfo, "IDENTIFY_SYSTEM", deadline: .after(.seconds(30)))
    }

    /// Why the standby is not let in.
    struct Refusal: Sendable {
        enum Reason: Sendable { case password, rules, other }
        var reason: Reason
        var problem: Problem
    }

    /// What stands in the way of a login; `nil` where nothing does.
    func refusal() async throws -> Refusal? {
        let result = try await tryLogin()
        guard !result.succeeded else { return nil }
        let text = result.errorText, what = "\(standby.name) may not stream from \(sender): \(text)", user = try access.roster.entry(standby.name).osUser
        func says(_ words: String...) -> Bool { words.contains(where: text.contains) }
        let place = "in ~/.pgpass of \(user) on \(standby.name)"
        if says("password authentication failed") {
            let hint = "the password of \(role) \(place) is not the role's: correct it there, or ALTER ROLE \(role) PASSWORD … on \(primary)"
            return Refusal(reason: .password, problem: Problem(what, hint: hint))
        }
        if says("no password supplied") {
            return Refusal(reason: .password, problem: Problem(what, hint: "put the line \(try passfileLine().key):PASSWORD \(place) (0600)"))
        }
        let hint = "see pg_hba.conf, listen_addresses and the firewall of \(sender)"
        return Refusal(reason: says("pg_hba.conf", "authentication failed") ? .rules : .other, problem: Problem(what, hint: hint))
    }
}

/// `REP_ARCHIVE` of the document: where the primary archives its WAL for the standby.
struct ArchiveDirectory: Sendable, Hashable {
    var path: HostPath
    /// Where the standby finds the same; `nil` where it does not.
    var onStandby: HostPath?
    /// Whether it is the standby's alone.
    var isCleared: Bool

    /// What archives a segment: whole or not at all, and never over another one. The same one once more is a success.
    /// <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-ARCHIVING-WAL>
    var archiveCommand: String {
        let directory = Self.word(path.path)
        return #"f=DIR/%f; if [ -e "$f" ]; then cmp -s "%p" "$f"; else t=$f.part; cp "%p" "$t" && sync "$t" && ln "$t" "$f" && sync DIR; s=$?; rm -f "$t"; exit $s; fi"#
            .replacing("DIR", with: directory)
    }

    /// Where the standby archives once it is promoted: the same directory, where it sees that; else one of its own.
    var ofStandby: ArchiveDirectory { ArchiveDirectory(path: onStandby ?? path, onStandby: nil, isCleared: false) }

    /// What fetches a segment from it, on the standby.
    var restoreCommand: String? { onStandby.map { #"cp DIR/%f "%p""#.replacing("DIR", with: Self.word($0.path)) } }

    /// What clears it of what the standby does not need any more.
    var cleanupCommand: String? {
        guard isCleared, let onStandby else { return nil }
        return "pg_archivecleanup DIR %r".replacing("DIR", with: Self.word(onStandby.path))
    }

    /// A word of the shell; the server takes a percent sign for the beginning of what it replaces.
    static func word(_ path: String) -> String { Shell.quote(path).replacing("%", with: "%%") }
}
