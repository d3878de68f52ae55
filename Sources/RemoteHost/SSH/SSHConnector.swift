internal import EventLoop

/// From a name to a session that is logged in, through as many jump hosts as the configuration says.
struct SSHConnector: Sendable {
    let host: String
    let passphrases: Passphrases
    let deadline: Deadline

    struct Connection: Sendable {
        let session: SSHSession
        let user: String
        /// What ``session`` runs through, the nearest first.
        let jumps: [SSHSession]

        func close() async {
            await session.close()
            for jump in jumps.reversed() { await jump.close() }
        }
    }

    /// The types libssh2 can check, the ones today's servers have in front.
    private static let hostKeyTypes = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"]

    func connect(to target: SSHTarget) async throws -> Connection {
        try await connect(to: target, label: host, depth: 0)
    }

    private func connect(to target: SSHTarget, label: String, depth: Int) async throws -> Connection {
        let options = try await SSHOptions.resolve(target, host: label, deadline: deadline)
        if let command = options.proxyCommand {
            throw HostError.configurationUnsupported(
                host: label, option: "ProxyCommand \(command)", hint: "use ProxyJump, or connect to the host directly")
        }
        guard depth < 8 else {
            throw HostError.configurationUnsupported(
                host: label, option: "more than 8 jump hosts in a row", hint: "does a ProxyJump lead back to itself? give the jump host `ProxyJump none`")
        }
        var jumps: [SSHSession] = []
        do {
            for hop in options.proxyJump {
                guard let hopTarget = SSHTarget(hop: hop, configFile: target.configFile) else {
                    throw HostError.configurationUnsupported(host: label, option: "ProxyJump \(hop)", hint: "write it as [USER@]HOST[:PORT]")
                }
                let hopLabel = "\(label) (jump host \(hopTarget))"
                if jumps.isEmpty {
                    let connection = try await connect(to: hopTarget, label: hopLabel, depth: depth + 1)
                    jumps = connection.jumps + [connection.session]
                } else {
                    // Like ssh -J: later hops are reached through the earlier ones, whatever their own ProxyJump says.
                    let hopOptions = try await SSHOptions.resolve(hopTarget, host: hopLabel, deadline: deadline)
                    jumps.append(try await open(hopOptions, label: hopLabel, through: jumps.last))
                }
            }
            let session = try await open(options, label: label, through: jumps.last)
            return Connection(session: session, user: options.user, jumps: jumps)
        } catch {
            for jump in jumps.reversed() { await jump.close() }
            throw error
        }
    }

    private func open(_ options: SSHOptions, label: String, through jump: SSHSession?) async throws -> SSHSession {
        let knownHosts = try await readKnownHosts(options, label: label)
        let session = try SSHSession(host: label, socket: try await dial(options, label: label, through: jump))
        do {
            let names = options.knownHostsNames
            let known = knownHosts.keyTypes(for: names)
            let preferred = known.filter(Self.hostKeyTypes.contains) + Self.hostKeyTypes.filter { !known.contains($0) }
            let (key, hash) = try await session.greet(hostKeyTypes: preferred, deadline: deadline)
            try check(key, hash, knownHosts, options, label)
            try await SSHLogin(session: session, options: options, host: label, passphrases: passphrases, deadline: deadline).perform()
            await session.begin()
            return session
        } catch {
            await session.close()
            throw error
        }
    }

    private func dial(_ options: SSHOptions, label: String, through jump: SSHSession?) async throws -> Descriptor {
        guard let jump else { return try await Dialer.dial(options.hostName, port: options.port, host: label, until: deadline) }
        let place = "\(options.hostName) port \(options.port) from \(jump.host)"
        do {
            return try await jump.connectThrough(to: options.hostName, port: options.port, deadline: deadline)
        } catch HostError.forwardRefused(_, _, _, let detail) {
            throw HostError.unreachable(host: label, address: place, reason: .other(detail))
        } catch is DeadlineExceeded {
            throw HostError.unreachable(host: label, address: place, reason: .timedOut(after: deadline.budget))
        }
    }

    private func readKnownHosts(_ options: SSHOptions, label: String) async throws -> KnownHosts {
        let files = options.userKnownHostsFiles + options.globalKnownHostsFiles
        do {
            return try await OffLoop.run("the known_hosts files", until: deadline) {
                var knownHosts = KnownHosts()
                for file in files { knownHosts.add(try readLocalFile(file), file: file) }
                return knownHosts
            }
        } catch let error as LocalFileUnreadable {
            throw HostError.configurationUnreadable(host: label, detail: "\(error.path): \(error.detail)")
        }
    }

    private func check(_ key: [UInt8], _ hash: [UInt8], _ knownHosts: KnownHosts, _ options: SSHOptions, _ label: String) throws {
        let names = options.knownHostsNames
        var sighting = HostKeySighting(
            name: names.first ?? options.hostName, keyType: SSHWire.keyType(of: key) ?? "unknown type",
            fingerprint: SSHWire.fingerprint(sha256: hash), files: knownHosts.files, knownTypes: knownHosts.keyTypes(for: names),
            badLines: knownHosts.badLines, authorities: knownHosts.authorities(for: names),
            scanArguments: (options.port == 22 ? [] : ["-p", String(options.port)]) + [options.hostName])
        switch knownHosts.verdict(on: key, for: names) {
        case .known: return
        case .unknown: throw HostError.hostKeyUnknown(host: label, sighting: sighting)
        case .changed(let file):
            sighting.foundIn = file
            throw HostError.hostKeyChanged(host: label, sighting: sighting)
        case .revoked(let file):
            sighting.foundIn = file
            throw HostError.hostKeyRevoked(host: label, sighting: sighting)
        }
    }
}
