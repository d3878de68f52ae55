public import EventLoop
public import RemoteHost

/// The hosts of one copy, by what they are for it.
public struct BackRestHosts: Sendable {
    public let source: any Host
    public let target: any Host
    /// A third host with the repository; `nil` where there is none.
    public let repository: (any Host)?

    public init(source: any Host, target: any Host, repository: (any Host)? = nil) {
        self.source = source
        self.target = target
        self.repository = repository
    }

    /// The host of `role`; where there is no repository host, the source is it.
    public subscript(role: BackRestRole) -> any Host {
        switch role {
        case .source: source
        case .target: target
        case .repository: repository ?? source
        }
    }
}

/// What a copy needs, looked at without changing anything.
extension BackRestLayout {
    /// pgBackRest is there, new enough, and the same everywhere.
    public static func findVersions(_ looks: [BackRestLook]) -> [BackRestFinding] { findings(inVersions: looks.map { ($0.host, $0.version) }) }

    static func findings(inVersions versions: [(host: String, version: BackRestVersion?)]) -> [BackRestFinding] {
        var findings: [BackRestFinding] = [], installed: [String: BackRestVersion] = [:]
        for (host, version) in versions {
            guard let version else {
                findings.append(.notInstalled(host: host))
                continue
            }
            installed[host] = version
            if version < .minimum { findings.append(.tooOld(host: host, version)) }
        }
        if Set(installed.values).count > 1 { findings.append(.versionsDiffer(installed)) }
        return findings
    }

    /// Every SSH connection that pgBackRest will make can be made without a password.
    public func findConnections(on hosts: BackRestHosts, deadline: Deadline) async throws -> [BackRestFinding] {
        let connections = connections
        let found = try await onEach(Array(connections.indices)) { index -> BackRestFinding? in
            let (role, endpoint) = connections[index], user = backRest(for: role).user
            let result = try await hosts[role].run(BackRestLayout.sshTest(endpoint).as(user), deadline: deadline)
            guard !result.succeeded else { return nil }
            let message = result.errorText.isEmpty ? "\(result.status)" : result.errorText
            return .sshRefused(from: hosts[role].name, user: user, to: endpoint, message: message)
        }
        return connections.indices.compactMap { found[$0] ?? nil }
    }

    /// The repository's directory is there or can be made, belongs to the right user, and has room.
    /// - Parameter databaseSize: bytes of the source's data directory.
    public func findRepository(on hosts: BackRestHosts, databaseSize: UInt64, deadline: Deadline) async throws -> [BackRestFinding] {
        guard let path = repository.directory else { return [] }
        let host = hosts[repositoryRole], user = backRest(for: repositoryRole).user
        async let space = host.freeSpace(at: path, as: user, deadline: deadline)
        let access = try await host.require(Command.script(BackRestLayout.accessScript, path.path).as(user), deadline: deadline).text
        switch access {
        case "missing": return [.repositoryMissing(host: host.name, path, user: user)]
        case "closed": return [.repositoryNotWritable(host: host.name, path, user: user)]
        default: break
        }
        let free = try await space
        // lz4 and zst leave a third to a half of a database; WAL of the time of the copy comes on top.
        return free < databaseSize / 2 ? [.repositorySpace(host: host.name, path, free: free, database: databaseSize)] : []
    }

    /// A shared directory is really one: a file written from the source is read on the target, and removed again.
    /// - Parameter nonce: a word nobody else uses.
    public func findSharedDirectory(on hosts: BackRestHosts, nonce: String, deadline: Deadline) async throws -> [BackRestFinding] {
        guard case .sharedDirectory(let path) = repository else { return [] }
        let finding = { (why: String) in [BackRestFinding.notShared(path, source: hosts.source.name, target: hosts.target.name, why: why)] }
        let file = path / ".pggraft-\(nonce)"
        let written = try await hosts.source.run(BackRestLayout.write(nonce, to: file).as(source.ssh.user), deadline: deadline)
        guard written.succeeded else { return finding("\(source.ssh.user) on \(hosts.source.name) cannot write there: \(written.errorText)") }
        // Whatever the target answers, the file must not stay.
        let read: Result<CommandResult, any Error>
        do {
            read = .success(try await hosts.target.run(Command("cat", file.path).as(target.ssh.user), deadline: deadline))
        } catch {
            read = .failure(error)
        }
        try await hosts.source.require(Command("rm", "-f", file.path).as(source.ssh.user), deadline: deadline)
        let seen = try read.get()
        guard seen.succeeded else { return finding("\(hosts.target.name) does not see what \(hosts.source.name) writes: \(seen.errorText)") }
        return seen.text == nonce ? [] : finding("\(hosts.target.name) sees another file there")
    }

    /// The stanza is the source's if it is there, and the target reaches its repository: by the configuration that is in place, or by what it will be.
    ///
    /// - Returns: what was found, and what the repository holds for the stanza.
    public func findStanza(
        on hosts: BackRestHosts, systemIdentifier: UInt64, deadline: Deadline
    ) async throws -> (findings: [BackRestFinding], info: StanzaInfo?) {
        var findings: [BackRestFinding] = [], held: StanzaInfo?
        let roles = existing == nil ? rolesThatReach : [repositoryRole, .target]
        let results = try await onEach(roles) { role in try await hosts[role].run(infoNow(role), deadline: deadline) }
        for role in roles {
            guard let result = results[role] else { continue }
            let host = hosts[role]
            guard result.succeeded else {
                let said = result.errorText.isEmpty ? result.text : result.errorText
                let refusal = RepositoryRefusal(BackRestLog(said).failure?.message ?? said)
                findings.append(
                    existing == nil
                        ? .refused(host: host.name, stanza, refusal) : .repositoryUnreadable(host: host.name, stanza, message: refusal.message)
                )
                continue
            }
            let info = try backRest(for: role).stanza(in: result, on: host)
            if existing == nil, let other = info?.repositories.first(where: { $0.status.code == .other }) {
                let refusal = RepositoryRefusal(other.status.message)
                findings.append(.refused(host: host.name, stanza, refusal))
                continue
            }
            findings += (info?.repositories ?? []).filter(\.status.isDamaged).map {
                .damaged(host: host.name, stanza, repository: $0.key, message: $0.status.firstLine)
            }
            if let found = info?.systemIdentifier, found != systemIdentifier {
                findings.append(.stanzaOfAnotherSystem(host: host.name, stanza, found: found, expected: systemIdentifier))
            }
            if role == repositoryRole {
                held = info
            } else if held?.systemIdentifier != nil, info?.systemIdentifier == nil {
                findings.append(.repositoryUnreadable(host: host.name, stanza, message: "it does not see what \(hosts[repositoryRole].name) sees there"))
            }
        }
        return (findings, held)
    }

    /// The roles that reach the repository of a new stanza by ways that nothing else has tried.
    private var rolesThatReach: [BackRestRole] {
        switch repository {
        case .s3: [.source, .target]
        case .tlsHost: [.repository, .source, .target]
        // A new stanza is not there yet to be seen from the target, and SSH is tried by itself.
        case .sourceDirectory, .sharedDirectory, .sshHost, .otherHost, .store: [repositoryRole]
        }
    }

    /// pgBackRest's server on the source lets the repository's host in, which reads the data by it: asked as if there were a repository.
    public func findServer(on hosts: BackRestHosts, deadline: Deadline) async throws -> [BackRestFinding] {
        guard existing == nil, case .tlsHost(_, let access, _) = repository else { return [] }
        let told = access.options("repo1-host", at: source.ssh.address, configuration: nil) + [BackRestOption("repo1-path", repository.path.path)]
        let host = hosts[.repository], result = try await host.run(backRest(for: .repository).info(telling: told), deadline: deadline)
        let said: String?
        if result.succeeded {
            said = try StanzaInfo.decode(result.output).first { $0.name == stanza.name }?.repositories.first { $0.status.code == .other }?.status.message
        } else {
            let text = result.errorText.isEmpty ? result.text : result.errorText
            said = BackRestLog(text).failure?.message ?? text
        }
        return said.map { [.noServer(host: host.name, at: "\(source.ssh.address) port \(access.port)", RepositoryRefusal($0))] } ?? []
    }

    /// Whether the files of a backup's manifest are there: `info` lists a backup by another file.
    public func findBackup(_ label: String, on hosts: BackRestHosts, deadline: Deadline) async throws -> [BackRestFinding] {
        let host = hosts[repositoryRole], result = try await host.run(infoNow(repositoryRole, set: label), deadline: deadline)
        let info = result.succeeded ? try backRest(for: repositoryRole).stanza(in: result, on: host) : nil
        if let info, info.backups.contains(where: { $0.label == label }) { return [] }
        let message = info?.repositories.first?.status.firstLine ?? BackRestLog(result.errorText).failure?.message ?? "\(result.status)"
        return [.damaged(host: host.name, stanza, repository: info?.repositories.first?.key ?? 1, message: "backup \(label): \(message)")]
    }

    /// `info` by the configuration that is in place, or by what it will be.
    private func infoNow(_ role: BackRestRole, set: String? = nil) -> Command {
        let isInPlace = existing != nil && (role != .target || isTargetConfigured)
        return isInPlace ? backRest(for: role).info(set: set) : backRest(for: role).info(telling: toldNow(role), set: set)
    }

    /// What a host will be told, without the files of others that are not there yet.
    private func toldNow(_ role: BackRestRole) -> [BackRestOption] { options(for: role).filter { existing != nil || !$0.key.hasSuffix("-host-config") } }

    /// No backup and no restore of the stanza is running anywhere.
    public func findRunning(_ looks: [BackRestLook]) -> [BackRestFinding] {
        looks.filter { !$0.processes.isEmpty }.map { .running(host: $0.host, stanza, $0.processes) }
    }

    /// What the copy's own `archive_command` would do to the source's stanza.
    public static func findArchiving(ofCopy node: String, of stanza: StanzaName, mode: String, command: String) -> [BackRestFinding] {
        mode != "off" && ArchiveState.stanza(pushedToBy: command) == stanza.name ? [.archivesIntoSource(node: node, stanza: stanza)] : []
    }

    static func sshTest(_ endpoint: SSHEndpoint) -> Command {
        let port = endpoint.port.map { ["-p", "\($0)"] } ?? []
        return Command(words: ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"] + port + ["\(endpoint.user)@\(endpoint.address)", "true"])
    }

    // With the mode of the repository's own files: a target whose user has another id cannot read those either.
    static func write(_ text: String, to file: HostPath) -> Command {
        Command.script("umask 027 && cat > \"$1\"", file.path).reading(Array(text.utf8))
    }

    // The nearest directory that exists answers for one that has yet to be made.
    static let accessScript = """
        dir=$1
        while [ ! -d "$dir" ]; do
            [ ! -e "$dir" ] || { echo missing; exit 0; }
            dir=$(dirname "$dir")
        done
        if [ -w "$dir" ] && [ -x "$dir" ]; then echo open; elif [ "$dir" = "$1" ]; then echo closed; else echo missing; fi
        """
}
