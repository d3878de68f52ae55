import RemoteHost

/// What stands in the way in the configuration that the hosts have, by one look at each.
extension BackRestLayout {
    /// - Parameters:
    ///   - server: the major version of PostgreSQL that is copied.
    ///   - sockets: the directories of its sockets.
    ///   - takesBackup: whether a backup is taken, for which the repository's host must be logged in to.
    public func findConfiguration(
        _ looks: [BackRestRole: BackRestLook], server: Int, sockets: [HostPath], takesBackup: Bool
    ) -> [BackRestFinding] {
        var findings: [BackRestFinding] = []
        for role in roles {
            guard let look = looks[role] else { continue }
            let user = backRest(for: role).user
            if let version = look.version, let needed = BackRestVersion.minimum(forServer: server), version < needed {
                findings.append(.tooOldForServer(host: look.host, version, server: server, needed: needed))
            }
            findings += look.closedFiles.map { .closedFile(host: look.host, $0, user: user) }
            if let file = look.stopFile(of: stanza) { findings.append(.stopped(host: look.host, stanza, file: file)) }
        }
        guard let existing else { return findings }
        if let look = looks[.source] { findings += findServer(existing.servers.filter { $0.host == nil }, look, sockets: sockets) }
        if roles.contains(.repository), let look = looks[.repository] {
            let servers = ConfiguredStanza(stanza, in: look.configuration)?.servers ?? []
            if servers.isEmpty {
                findings.append(.notConfigured(host: look.host, stanza, lines: remote(source) + local(source)))
            } else {
                findings += findServer(servers, look, sockets: sockets)
            }
        }
        if let look = looks[.target] { findings += findTarget(look) }
        if takesBackup, case .otherHost(let host, _) = repository, let look = looks[.source] {
            findings.append(.backupElsewhere(host: look.host, stanza, repository: host))
        }
        return findings
    }

    /// A standby of it may be one of the servers too: one of them has to be the source.
    private func findServer(_ servers: [ConfiguredStanza.Server], _ look: BackRestLook, sockets: [HostPath]) -> [BackRestFinding] {
        func other(_ name: String, _ server: ConfiguredStanza.Server, _ said: String, _ needed: String) -> [BackRestFinding] {
            [.otherServer(host: look.host, stanza, says: BackRestOption("pg\(server.number)-\(name)", said), needed: needed)]
        }
        let ofDirectory = servers.filter { $0.dataDirectory == source.dataDirectory }
        guard let first = ofDirectory.first else { return servers.first.map { other("path", $0, $0.dataDirectory.path, source.dataDirectory.path) } ?? [] }
        guard let server = ofDirectory.first(where: { ($0.port ?? 5432) == source.port }) else {
            return other("port", first, "\(first.port ?? 5432)", "\(source.port)")
        }
        if let said = server.socketDirectory, !sockets.isEmpty, !sockets.contains(said) { return other("socket-path", server, said.path, sockets[0].path) }
        return []
    }

    private func findTarget(_ look: BackRestLook) -> [BackRestFinding] {
        let user = target.ssh.user
        guard isTargetConfigured else { return look.missingPaths.map { .fileMissing(host: look.host, $0, user: user) } }
        guard look.configuration.value("archive-async", stanza: stanza) == "y", let spool = look.spool(of: stanza), !spool.isOpen else { return [] }
        return [.spoolClosed(host: look.host, spool.path, user: user)]
    }
}
