import EventLoop
import Foundation
import Instance
import PgBackRest
import Playbook
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Run
import Spock

/// What must hold before a node is added. Every look is made, whatever the others find, so that all is told at once.
extension Seed {
    func findings(_ memory: Memory) async -> [Finding] {
        let isUnderWay = memory.began(Restore(seed: self).id)
        let (hosts, hostFindings) = await reachHosts()
        var findings = hostFindings
        for name in members where hosts.contains(name) { findings += await attempt("read-only lease", on: name) { try await self.leaseFindings(name) } }
        let (states, serverFindings) = await reachServers(hosts)
        findings += serverFindings
        findings += await meshFindings(states, isUnderWay: isUnderWay || memory.began(MakeReadOnly(seed: self).id))
        let sourceIsUp = states[source] != nil
        if sourceIsUp {
            findings += await attempt("source", on: source) { try await self.sourceFindings() }
            findings += await attempt("archiving", on: source) { try await self.archiveFindings() }
        }
        if hosts.contains(newNode), sourceIsUp {
            findings += await attempt("new node", on: newNode) { try await self.newNodeFindings(memory, isUnderWay: isUnderWay) }
            findings += await attempt("routes", on: newNode) { try await self.routeFindings(hosts, isUnderWay: isUnderWay) }
            if hosts.isSuperset(of: Set([hostName(.repository)])) {
                findings += await attempt("pgBackRest", on: nil) { try await self.backRestFindings(isUnderWay: isUnderWay, hasBackup: memory.began(TakeBackup(seed: self).id)) }
            }
        }
        return findings
    }

    /// Runs one look; what it throws is a finding too.
    private func attempt(_ requirement: String, on place: String?, _ look: () async throws -> [Finding]) async -> [Finding] {
        do { return try await look() } catch { return [Finding(notMet: requirement, on: place, because: error)] }
    }

    // MARK: Hosts

    private func reachHosts() async -> (reached: Set<String>, [Finding]) {
        var names = members + [newNode]
        if let repositoryHost { names.append(repositoryHost) }
        let user = playbook.cluster.osUser
        var reached: Set<String> = [], findings: [Finding] = [], clocks: [(String, Double)] = []
        for (name, result) in await attemptOnEach(
            names,
            { name -> (String, Double) in
                let host = try await self.access.host(name)
                let runsAs = name == self.repositoryHost ? self.repositoryUser : user
                let began = Date().timeIntervalSince1970
                let text = try await host.require(.script("date +%s.%N").as(runsAs), deadline: .after(.seconds(20))).text
                let middle = (began + Date().timeIntervalSince1970) / 2
                return ("reached as \(host.loginUser), commands run as \(runsAs)", (Double(text) ?? 0) - middle)
            })
        {
            switch result {
            case .success(let (text, offset)):
                reached.insert(name)
                clocks.append((name, offset))
                findings.append(Finding("host", on: name, text))
            case .failure(let error): findings.append(Finding(notMet: "host", on: name, because: error))
            }
        }
        if let first = clocks.min(by: { $0.1 < $1.1 }), let last = clocks.max(by: { $0.1 < $1.1 }) {
            let apart = last.1 - first.1, text = "at most \(Int(apart * 1000)) ms apart (\(first.0), \(last.0))"
            findings.append(Finding("clocks", text, apart < 1 ? .met : .notMet(hint: "set the clocks with NTP: the newest of two updates wins in Spock")))
        }
        return (reached, findings)
    }

    /// The watchdog of the lease must outlive the session that started it, which systemd's logind may not let it.
    private func leaseFindings(_ node: String) async throws -> [Finding] {
        let host = try await access.host(node)
        let lines = try await host.require(.script(Self.logindSettings), deadline: .after(.seconds(20))).text
        guard let isKilled = LogindSettings(lines).kills(host.loginUser) else { return [] }
        return [
            isKilled
                ? Finding(
                    "read-only lease", on: node, "logind ends what outlives a session of \(host.loginUser) (KillUserProcesses)",
                    .notMet(
                        hint: "say KillUserProcesses=no, or KillExcludeUsers=\(host.loginUser), in /etc/systemd/logind.conf and restart systemd-logind"))
                : Finding("read-only lease", on: node, "its watchdog outlives a session of \(host.loginUser)")
        ]
    }

    // In the order in which logind reads them: the last one counts.
    private static let logindSettings = #"""
        [ -d /run/systemd/system ] || exit 0
        echo systemd
        cat /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null |
            grep -E '^[[:space:]]*Kill[A-Za-z]*[[:space:]]*='
        exit 0
        """#

    nonisolated var repositoryUser: String {
        if case .host(let host) = playbook.copy.repository { host.user } else { playbook.cluster.osUser }
    }

    // MARK: Servers and mesh

    private func reachServers(_ hosts: Set<String>) async -> ([String: SpockNodeState], [Finding]) {
        var states: [String: SpockNodeState] = [:], findings: [Finding] = []
        for (name, result) in await attemptOnEach(
            members.filter(hosts.contains),
            { name -> (SpockNodeState, ServerVersion) in
                let session = try await self.spock(name)
                let state = try await session.state(
                    connectingTo: { try await self.access.connection(name, database: $0, deadline: .after(.seconds(20))) }, deadline: .after(.seconds(60)))
                return (state, await session.connection.serverVersion)
            })
        {
            switch result {
            case .success(let (state, version)):
                if state.isInRecovery {
                    findings.append(Finding("PostgreSQL", on: name, "is a standby", .notMet(hint: "name the primary in the playbook")))
                } else if let local = state.local, local.name.rawValue != name {
                    findings.append(Finding("Spock node", on: name, "is the node \(local.name)", .notMet(hint: "call it \(local.name) in the playbook")))
                } else if state.local == nil {
                    findings.append(Finding("Spock node", on: name, "database \(state.database) is no Spock node", .notMet(hint: "correct cluster.database, or the node's port")))
                } else {
                    states[name] = state
                    findings.append(Finding("PostgreSQL", on: name, "\(version) with Spock \(state.version.map(\.description) ?? "")"))
                }
            case .failure(let error): findings.append(await serverFinding(name, error))
            }
        }
        let majors = Dictionary(grouping: states.keys) { name in states[name]?.limit("server_version_num").map { $0 / 10_000 } ?? 0 }
        if majors.count > 1 {
            findings.append(
                Finding(
                    "PostgreSQL", "the nodes have different major versions: \(majors.keys.sorted().map(String.init).joined(separator: ", "))",
                    .notMet(hint: "a physical copy joins nodes of its own major version")))
        }
        return (states, findings)
    }

    /// Why a server was not reached. Through the SSH connection a stopped one only shows as a connection that was closed.
    private func serverFinding(_ name: String, _ error: any Error) async -> Finding {
        guard let port = playbook.cluster.nodes.first(where: { $0.name == name })?.port else { return Finding(notMet: "PostgreSQL", on: name, because: error) }
        do {
            guard try await !isListening(name, port) else { return Finding(notMet: "PostgreSQL", on: name, because: error) }
            return Finding("PostgreSQL", on: name, "nothing listens on port \(port)", .notMet(hint: "start PostgreSQL on \(name), or correct its port in the playbook"))
        } catch let second {
            let problems = [Problem(explaining: error), Problem(explaining: second)]
            let hints = problems.compactMap(\.hint)
            return Finding(
                notMet: "PostgreSQL", on: name,
                because: Problem(problems.map(\.fact).joined(separator: "\n"), hint: hints.isEmpty ? nil : hints.joined(separator: "\n")))
        }
    }

    private func isListening(_ name: String, _ port: UInt16) async throws -> Bool {
        try await !access.host(name).require(.script(Self.listening, String(port, radix: 16, uppercase: true)), deadline: .after(.seconds(20))).text.isEmpty
    }

    private func meshFindings(_ states: [String: SpockNodeState], isUnderWay: Bool) async -> [Finding] {
        guard states.count == members.count else {
            let missing = members.filter { states[$0] == nil }
            return [
                Finding(
                    "mesh", "could not be looked at as a whole: \(list(missing)) \(missing.count == 1 ? "is" : "are") missing",
                    .notMet(hint: "see above"))
            ]
        }
        do {
            let name = try name(newNode)
            let id = try await spock(source).nodeID(of: name, deadline: .after(.seconds(10)))
            let mesh = MeshView(Array(states.values)), new = NewNode(name: name, id: id, source: try self.name(source))
            let found = MeshChecks.all(of: mesh, adding: new, mode: .readOnly).filter { !(isUnderWay && $0.comesWithARunUnderWay) }
            var findings = found.map { finding in
                Finding("mesh", on: nil, finding.fact, finding.severity == .blocker ? .notMet(hint: finding.hint) : .note(hint: finding.hint))
            }
            if found.allSatisfy({ $0.severity != .blocker }) {
                findings.insert(Finding("mesh", "\(mesh.subscriptions.count) subscriptions replicating; \(newNode) would have the id \(id), which is free"), at: 0)
            }
            for limit in MeshLimit.all(of: mesh, adding: new) where limit.isSufficient {
                findings.append(Finding(limit.setting, on: "\(limit.node)", "\(limit.found), needed \(limit.needed) (\(limit.sum))"))
            }
            return findings
        } catch {
            return [Finding(notMet: "mesh", on: nil, because: error)]
        }
    }

    // MARK: The source

    private func sourceFindings() async throws -> [Finding] {
        let connection = try await spock(source).connection
        let row = try await connection.query(
            """
            SELECT current_setting('wal_level') AS wal_level, (SELECT system_identifier::text FROM pg_control_system()) AS identifier, \
            ARRAY(SELECT subname::text FROM pg_subscription) AS native, ARRAY(SELECT spcname::text FROM pg_tablespace WHERE spcname NOT LIKE 'pg\\_%') AS tablespaces, \
            (SELECT rolreplication FROM pg_roles WHERE rolname = \(playbook.copy.replicationUser)) AS replicates
            """, deadline: .after(.seconds(20))
        ).one()
        var findings: [Finding] = []
        let native: [String] = try row.get("native"), tablespaces: [String] = try row.get("tablespaces")
        if !native.isEmpty {
            findings.append(
                Finding(
                    "native subscriptions", on: source, native.joined(separator: ", ") + ": their copies would take over their slots",
                    .notMet(hint: "disable or drop them for the run")))
        }
        if !tablespaces.isEmpty {
            findings.append(
                Finding(
                    "tablespaces", on: source, tablespaces.joined(separator: ", "),
                    .note(hint: "they are restored to the same paths: those directories must be there and empty on \(newNode)")))
        }
        let role = playbook.copy.replicationUser
        switch try row.optional("replicates", as: Bool.self) {
        case true?: findings.append(Finding("role \(role)", on: source, "has REPLICATION"))
        case false?: findings.append(Finding("role \(role)", on: source, "has no REPLICATION", .notMet(hint: "ALTER ROLE \(role) REPLICATION")))
        case nil:
            findings.append(
                Finding("role \(role)", on: source, "does not exist", .notMet(hint: "CREATE ROLE \(role) LOGIN REPLICATION PASSWORD …, or correct copy.replication_user")))
        }
        return findings
    }

    private func archiveFindings() async throws -> [Finding] {
        let (state, command) = try await archiveState()
        switch state {
        case .ready: return [Finding("archiving", on: source, command)]
        case .emptyOrTrue: return [Finding("archiving", on: source, "archive_mode is on; archive_command '\(command)' will be the stanza's")]
        default:
            let problem = archiveProblem(state)
            return [Finding("archiving", on: source, problem.fact.dropping("\(source): "), .notMet(hint: problem.hint))]
        }
    }

    // MARK: The new node

    private func newNodeFindings(_ memory: Memory, isUnderWay: Bool) async throws -> [Finding] {
        let deadline = Deadline.after(.seconds(60))
        let original = try await instance(source), clone = try await instance(newNode)
        var findings: [Finding] = []
        let ours = clone.binaries.versions["postgres"] ?? "?", theirs = original.binaries.versions["postgres"] ?? "?"
        let programs = "PostgreSQL \(ours) in \(clone.binaries.directory)"
        if clone.binaries.version != original.binaries.version {
            findings.append(
                Finding("programs", on: newNode, "\(programs); \(source) has \(theirs)", .notMet(hint: "install the major version of \(source), or correct bin_directory")))
        } else {
            findings.append(Finding("programs", on: newNode, programs, ours == theirs ? .met : .note(hint: "\(source) has \(theirs): the same minor version is better")))
        }
        findings += try await libraryFindings(original, clone, deadline: deadline)
        guard !isUnderWay else { return findings }
        switch try await clone.dataDirectoryState(deadline: deadline) {
        case .absent, .empty: findings.append(Finding("data directory", on: newNode, "\(clone.dataDirectory) is free"))
        case let other:
            findings.append(Finding("data directory", on: newNode, "\(clone.dataDirectory): \(other)", .notMet(hint: "name an empty directory, or move away what is there")))
        }
        let port = playbook.newNode.node.port
        findings.append(
            try await !isListening(newNode, port)
                ? Finding("port", on: newNode, "\(port) is free")
                : Finding("port", on: newNode, "somebody listens on \(port) already", .notMet(hint: "stop it, or give the new node another port")))
        let needed = UInt64(max(0, try await original.usage(deadline: .after(.seconds(600))).totalBytes))
        let free = try await clone.host.freeSpace(at: clone.dataDirectory, as: clone.user, deadline: deadline)
        // A tenth on top, for the WAL of the time of the copy.
        let enough = free >= needed + needed / 10
        findings.append(
            Finding(
                "disk", on: newNode, "\(free.inBytes) free in \(clone.dataDirectory), the source has \(needed.inBytes)",
                enough ? .met : .notMet(hint: "make room: the size of the source and a tenth more for WAL")))
        let files = try await clone.configurationFiles(deadline: deadline)
        if let content = try await clone.host.read(files.configFile, as: clone.user, deadline: deadline) {
            let settings = SettingsFile(content)
            for finding in try await layout().findArchiving(
                ofCopy: newNode, mode: settings.value(of: "archive_mode") ?? "off", command: settings.value(of: "archive_command") ?? "")
            {
                findings.append(Finding(notMet: "archiving", on: newNode, because: finding.problem))
            }
        }
        return findings
    }

    private func libraryFindings(_ original: Instance, _ clone: Instance, deadline: Deadline) async throws -> [Finding] {
        let rows = try await spock(source).connection.query(
            "SELECT name, setting FROM pg_config WHERE name IN ('PKGLIBDIR', 'SHAREDIR')", deadline: deadline)
        let places = Dictionary(uniqueKeysWithValues: try rows.map { (try $0.get("name", as: String.self), try $0.get("setting", as: String.self)) })
        guard let libraries = places["PKGLIBDIR"].map({ relocated($0, original, clone) }), let share = places["SHAREDIR"].map({ relocated($0, original, clone) })
        else { return [] }
        let settings = try await original.settings(through: try await spock(source).connection, deadline: deadline)
        guard let list = LibraryList(settings.value(of: "shared_preload_libraries") ?? "") else { return [] }
        var findings: [Finding] = []
        for library in list.names {
            let file = (library.hasPrefix("/") ? library : libraries + "/" + library) + (library.hasSuffix(".so") ? "" : ".so")
            if try await !clone.host.run(Command("test", "-r", file).as(clone.user), deadline: deadline).succeeded {
                findings.append(Finding("library", on: newNode, "\(file) is not there, and \(source) preloads it", .notMet(hint: "install the package that brings it")))
            }
        }
        let version = try await spock(source).extensionVersion(deadline: deadline)
        let control = share + "/extension/spock.control"
        let text = try await clone.host.run(.script(#"sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$1""#, control).as(clone.user), deadline: deadline).text
        if SpockVersion(text) != version {
            findings.append(
                Finding(
                    "Spock", on: newNode, text.isEmpty ? "not installed (\(control))" : "version \(text) is installed, the cluster has \(version.map(\.description) ?? "none")",
                    .notMet(hint: "install Spock \(version.map(\.description) ?? "") on \(newNode)")))
        } else {
            findings.append(Finding("Spock", on: newNode, "\(text) is installed"))
        }
        return findings
    }

    /// A path beside the programs of one instance, for another one's.
    private nonisolated func relocated(_ path: String, _ original: Instance, _ clone: Instance) -> String {
        let from = original.binaries.directory.directory.path, to = clone.binaries.directory.directory.path
        return path.hasPrefix(from + "/") ? to + path.dropFirst(from.count) : path
    }

    /// Prints a line where something listens on the port, given in hexadecimal.
    private static let listening =
        #"cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$(printf '%04X' "0x$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { print "taken"; exit }'"#

    // MARK: The routes between the hosts

    /// The new node reaches every node with the DSN it will subscribe by, and streams; the others reach its host.
    private func routeFindings(_ hosts: Set<String>, isUnderWay: Bool) async throws -> [Finding] {
        let user = playbook.cluster.osUser
        var findings: [Finding] = []
        for member in members {
            let answer = try await psql(on: newNode, try await dsn(of: member), "SELECT 1")
            findings.append(
                answer.succeeded
                    ? Finding("route", on: newNode, "reaches \(member) with the mesh's DSN")
                    : Finding(
                        "route", on: newNode, "cannot connect to \(member): \(answer.errorText)",
                        .notMet(hint: "allow \(playbook.newNode.node.address) in pg_hba.conf of \(member), and give \(user) on \(newNode) the password in ~/.pgpass")))
        }
        var streaming = try await primaryConninfo()
        streaming["replication"] = "true"
        let answer = try await psql(on: newNode, streaming, "IDENTIFY_SYSTEM")
        findings.append(
            answer.succeeded
                ? Finding("streaming", on: newNode, "may stream from \(source) as \(playbook.copy.replicationUser)")
                : Finding(
                    "streaming", on: newNode, "may not stream from \(source): \(answer.errorText)",
                    .notMet(
                        hint:
                            "a line `host replication \(playbook.copy.replicationUser) \(playbook.newNode.node.address)/32 scram-sha-256` in pg_hba.conf of \(source), and the password in ~/.pgpass of \(user) on \(newNode)"
                    )))
        guard !isUnderWay else { return findings }
        let target = try newNodeDSN
        for member in members where hosts.contains(member) {
            let reply = try await psql(on: member, target, "SELECT 1")
            let isReached = reply.succeeded || reply.errorText.contains("onnection refused")
            guard isReached else {
                findings.append(
                    Finding(
                        "route", on: member, "cannot reach \(newNode): \(reply.errorText)",
                        .notMet(hint: "open port \(playbook.newNode.node.port) of \(playbook.newNode.node.address) for \(member)")))
                continue
            }
            if target.password == nil, try await !hasPassword(member, target) {
                findings.append(
                    Finding(
                        "password", on: member, "~/.pgpass of \(user) has no line for \(newNode)",
                        .note(hint: "\(member) subscribes to \(newNode) as \(playbook.cluster.user): unless pg_hba.conf trusts it, add a line for \(playbook.newNode.node.address)")
                    ))
            } else {
                findings.append(Finding("route", on: member, "reaches the host of \(newNode)"))
            }
        }
        return findings
    }

    /// Runs psql on a host as the servers' user. A password goes in by standard input, never on the command line.
    private func psql(on node: String, _ conninfo: Conninfo, _ statement: String) async throws -> CommandResult {
        let host = try await access.host(node), instance = try await instance(node)
        var shown = conninfo
        shown["password"] = nil
        if shown["connect_timeout"] == nil { shown["connect_timeout"] = "5" }
        let command = Command.script(
            #"IFS= read -r PGPASSWORD; if [ -n "$PGPASSWORD" ]; then export PGPASSWORD; else unset PGPASSWORD; fi; exec "$1" -wXAtq -d "$2" -c "$3""#,
            (instance.binaries.directory / "psql").path, shown.connectionString, statement)
        return try await host.run(
            command.as(playbook.cluster.osUser).reading(Array(((conninfo.password?.reveal() ?? "") + "\n").utf8)), deadline: .after(.seconds(30)))
    }

    /// Whether the servers' user has a password file line for `conninfo` on `node`.
    private func hasPassword(_ node: String, _ conninfo: Conninfo) async throws -> Bool {
        let script =
            #"file=$(getent passwd "$(id -un)" | cut -d: -f6)/.pgpass; [ -r "$file" ] || exit 1; awk -F: -v h="$1" -v p="$2" -v d="$3" -v u="$4" 'function fits(a, b) { return a == "*" || a == b } fits($1, h) && fits($2, p) && fits($3, d) && fits($4, u) { found = 1 } END { exit !found }' "$file""#
        let command = Command.script(script, conninfo["host"] ?? "", conninfo["port"] ?? "5432", conninfo["dbname"] ?? "", conninfo["user"] ?? "")
        return try await access.host(node).run(command.as(playbook.cluster.osUser), deadline: .after(.seconds(20))).succeeded
    }

    // MARK: pgBackRest

    private func backRestFindings(isUnderWay: Bool, hasBackup: Bool) async throws -> [Finding] {
        let layout = try await layout(), deadline = Deadline.after(.seconds(120))
        let hosts = BackRestHosts(
            source: try await host(.source), target: try await host(.target), repository: repositoryHost == nil ? nil : try await host(.repository))
        var found = try await layout.findVersions(on: hosts, deadline: deadline)
        // Without the program nothing else can be asked.
        guard found.isEmpty else { return found.map { Finding(notMet: "pgBackRest", on: nil, because: $0.problem) } }
        found += try await layout.findConnections(on: hosts, deadline: deadline)
        found += try await layout.findRepository(on: hosts, databaseSize: try await databaseSize(), deadline: deadline)
        found += try await layout.findSharedDirectory(on: hosts, nonce: UUID().uuidString, deadline: deadline)
        let identifier: String = try await spock(source).connection.query(
            "SELECT system_identifier::text AS identifier FROM pg_control_system()", deadline: deadline
        ).one().get("identifier")
        if found.isEmpty, let number = UInt64(identifier) {
            found += try await layout.findForeignStanza(on: hosts, systemIdentifier: number, deadline: deadline)
        }
        // A backup of this run's own may have outlived it: the step waits for it.
        if !isUnderWay, !hasBackup { found += try await layout.findRunning(on: hosts, deadline: deadline) }
        if found.isEmpty {
            let version = try await layout.backRest(for: .source).installedVersion(on: hosts.source, deadline: deadline)
            return [Finding("pgBackRest", "\(version) on every host, repository \(layout.repository.path) on \(hostName(layout.repositoryRole)) is usable")]
        }
        return found.map { Finding(notMet: "pgBackRest", on: nil, because: $0.problem) }
    }
}

extension Finding {
    init(notMet requirement: String, on place: String?, because error: any Error) {
        let problem = Problem(explaining: error)
        self.init(requirement, on: place, place.map { problem.fact.dropping("\($0): ") } ?? problem.fact, .notMet(hint: problem.hint))
    }
}

extension String {
    func dropping(_ prefix: String) -> String { hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self }
}

extension MeshFinding {
    /// Whether a run that has begun already makes this so by itself.
    fileprivate var comesWithARunUnderWay: Bool {
        switch self {
        case .nameTaken, .idTaken, .foreignSlot, .nodeNotVisited, .readOnlyAlready, .limit, .noSubscriptionPattern: true
        default: false
        }
    }
}
