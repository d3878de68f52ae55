internal import EventLoop
internal import FoundationEssentials
import Report

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
        /// The program that it begins with, where one does.
        let proxy: ProxyProgram?

        func close() async {
            await session.close()
            for jump in jumps.reversed() { await jump.close() }
            proxy?.end()
        }
    }

    /// The algorithms libssh2 can check, the ones today's servers have in front.
    private static let hostKeyAlgorithms =
        ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"] + algorithms(for: "ssh-rsa")

    /// By which a key of `type` is shown: RSA keys with SHA-2 only, as `ssh` wants it.
    private static func algorithms(for type: String) -> [String] {
        type != "ssh-rsa" ? [type] : SSHLibrary.isModern ? ["rsa-sha2-512", "rsa-sha2-256"] : []
    }

    func connect(to target: SSHTarget) async throws -> Connection {
        try await connect(to: target, label: host, depth: 0)
    }

    private func connect(to target: SSHTarget, label: String, depth: Int) async throws -> Connection {
        let options = try await SSHOptions.resolve(target, host: label, deadline: deadline)
        if options.usesFileDescriptor {
            throw HostError.configurationUnsupported(
                host: label, option: "ProxyUseFdpass", hint: "have the program pass the connection through its standard input and output")
        }
        guard depth < 8 else {
            throw HostError.configurationUnsupported(
                host: label, option: "more than 8 jump hosts in a row", hint: "does a ProxyJump lead back to itself? give the jump host `ProxyJump none`")
        }
        var jumps: [SSHSession] = [], proxy: ProxyProgram?
        do {
            if let command = options.proxyCommand { proxy = try start(command, label: label) }
            var passed: [String] = []
            for hop in options.proxyJump {
                defer { passed.append(String(hop)) }
                guard let hopTarget = SSHTarget(hop: hop, configFile: target.configFile) else {
                    throw HostError.configurationUnsupported(host: label, option: "ProxyJump \(hop)", hint: "write it as [USER@]HOST[:PORT]")
                }
                let hopLabel = "\(label) (jump host \(hopTarget))"
                if jumps.isEmpty {
                    let connection = try await connect(to: hopTarget, label: hopLabel, depth: depth + 1)
                    (jumps, proxy) = (connection.jumps + [connection.session], connection.proxy)
                } else {
                    // Like ssh -J: later hops are reached through the earlier ones, whatever their own ProxyJump says.
                    let hopOptions = try await SSHOptions.resolve(hopTarget, host: hopLabel, deadline: deadline)
                    jumps.append(try await open(hopOptions, hopTarget, label: hopLabel, through: jumps.last, by: passed))
                }
            }
            let session = try await open(options, target, label: label, through: jumps.last, jumps.isEmpty ? proxy : nil)
            return Connection(session: session, user: options.user, jumps: jumps, proxy: proxy)
        } catch {
            for jump in jumps.reversed() { await jump.close() }
            proxy?.end()
            throw error
        }
    }

    private func start(_ command: String, label: String) throws -> ProxyProgram {
        do {
            return try ProxyProgram(command, shell: ProcessInfo.processInfo.environment["SHELL"])
        } catch {
            throw HostError.unreachable(host: label, address: "", reason: .proxyFailed(command, words: error.fact))
        }
    }

    /// - Parameters:
    ///   - hops: the way to it, where its own configuration does not say so.
    ///   - proxy: what brings the connection, where a program does.
    private func open(
        _ options: SSHOptions, _ target: SSHTarget, label: String, through jump: SSHSession?, by hops: [String] = [], _ proxy: ProxyProgram? = nil
    ) async throws -> SSHSession {
        let knownHosts = try await readKnownHosts(options, label: label)
        let socket = if let proxy { proxy.socket } else { try await dial(options, label: label, through: jump) }
        let session = try SSHSession(host: label, socket: socket)
        do {
            let names = options.knownHostsNames
            let known = knownHosts.keyTypes(for: names)
            let wanted = known.flatMap(Self.algorithms).filter(Self.hostKeyAlgorithms.contains)
            let preferred = wanted + Self.hostKeyAlgorithms.filter { !wanted.contains($0) }
            let (key, hash) = try await greet(session, preferred, proxy, options, label)
            try await check(key, hash, knownHosts, options, target, through: hops, label)
            try await SSHLogin(session: session, options: options, host: label, passphrases: passphrases, deadline: deadline).perform()
            await session.begin()
            return session
        } catch {
            await session.close()
            throw error
        }
    }

    private func greet(
        _ session: SSHSession, _ algorithms: [String], _ proxy: ProxyProgram?, _ options: SSHOptions, _ label: String
    ) async throws -> (key: [UInt8], hash: [UInt8]) {
        do {
            return try await session.greet(hostKeyTypes: algorithms, deadline: deadline)
        } catch {
            guard let proxy, let command = options.proxyCommand else { throw error }
            let detail: String
            switch error {
            case HostError.connectionLost(_, let why, _): detail = why
            case let late as DeadlineExceeded: detail = "nothing came within \(late.budget.inSeconds)"
            default: throw error
            }
            let words = proxy.lastWords.split(whereSeparator: \.isNewline).suffix(3).joined(separator: "; ")
            throw HostError.unreachable(
                host: label, address: "\(options.hostName) port \(options.port)", reason: .proxyFailed(command, words: words.isEmpty ? detail : words))
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

    private func check(
        _ key: [UInt8], _ hash: [UInt8], _ knownHosts: KnownHosts, _ options: SSHOptions, _ target: SSHTarget, through jumps: [String], _ label: String
    ) async throws {
        let names = options.knownHostsNames, verdict = knownHosts.verdict(on: key, for: names)
        var sighting = HostKeySighting(
            name: names.first ?? options.hostName, keyType: SSHWire.keyType(of: key) ?? "unknown type",
            fingerprint: SSHWire.fingerprint(sha256: hash), files: knownHosts.files, knownTypes: knownHosts.keyTypes(for: names),
            badLines: knownHosts.badLines, authorities: knownHosts.authorities(for: names),
            scanArguments: (options.port == 22 ? [] : ["-p", String(options.port)]) + [options.hostName])
        // What known_hosts does not say, somebody else may: an authority also of another key than the one that stands there.
        let mayBeKnown =
            switch verdict {
            case .known: options.revokesKeys
            case .unknown: sighting.authorities > 0 || options.knowsKeysOtherwise
            case .changed: sighting.authorities > 0
            case .revoked: false
            }
        if mayBeKnown {
            switch try await HostKeyJudgement.ask(of: target, through: jumps, keyType: sighting.keyType, deadline: deadline) {
            case .accepted(key): return
            case .accepted: sighting.judgement = "it saw another key"
            case .refused(let words): sighting.judgement = words
            }
            if verdict == .known { throw HostError.hostKeyNotJudged(host: label, sighting: sighting) }
        }
        switch verdict {
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
