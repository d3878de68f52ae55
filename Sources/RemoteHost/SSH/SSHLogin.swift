internal import EventLoop

/// Logging in at a greeted session: the agent's keys first, then the key files.
struct SSHLogin {
    let session: SSHSession
    let options: SSHOptions
    let host: String
    let passphrases: Passphrases
    let deadline: Deadline

    private struct Identity {
        var path: String
        /// `nil` for a file that holds a public key only, which names a key of the agent.
        var file: KeyFile?
        var publicKey: [UInt8]?
    }

    func perform() async throws {
        guard let offered = try await session.authenticationMethods(user: options.user, deadline: deadline) else { return }
        var attempts: [AuthenticationAttempt] = []
        if offered.contains("publickey"), try await tryKeys(&attempts) { return }
        throw HostError.authenticationFailed(host: host, user: options.user, attempts: attempts, offered: offered)
    }

    private func tryKeys(_ attempts: inout [AuthenticationAttempt]) async throws -> Bool {
        let identities = try await readIdentities(&attempts)
        var tried: Set<[UInt8]> = []
        if let socket = options.agentSocket() {
            let agent = SSHAgent(socketPath: socket)
            let keys: [SSHAgent.Key]
            do {
                keys = try await agent.keys(until: deadline)
            } catch let failure as SSHAgent.Failure {
                attempts.append(.init(key: "ssh-agent", outcome: .agentFailed(failure.description)))
                keys = []
            }
            let wanted = identities.compactMap { identity in keys.first { $0.blob == identity.publicKey } }
            let others = options.identitiesOnly ? [] : keys.filter { !wanted.contains($0) }
            for key in wanted + others {
                tried.insert(key.blob)
                guard let outcome = try await offer(key, of: agent) else { return true }
                attempts.append(.init(key: "agent key \(key.type) (\(key.comment))", outcome: outcome))
                if case .disconnected = outcome { return false }
            }
        }
        for identity in identities {
            guard let file = identity.file else { continue }
            if let key = identity.publicKey, tried.contains(key) { continue }
            guard let outcome = try await offer(file, identity) else { return true }
            attempts.append(.init(key: "key file \(identity.path)", outcome: outcome))
            if case .disconnected = outcome { return false }
        }
        return false
    }

    private func readIdentities(_ attempts: inout [AuthenticationAttempt]) async throws -> [Identity] {
        var identities: [Identity] = []
        for path in options.identityFiles {
            do {
                let (content, publicContent) = try await OffLoop.run("the key file \(path)", until: deadline) {
                    (try readLocalFile(path), try readLocalFile(path + ".pub"))
                }
                let besides = publicContent.flatMap(KeyFile.publicKey)
                if let content {
                    if let file = KeyFile(content) {
                        identities.append(Identity(path: path, file: file, publicKey: file.publicKey ?? besides))
                    } else if let key = KeyFile.publicKey(content) {
                        identities.append(Identity(path: path, file: nil, publicKey: key))
                    } else {
                        attempts.append(.init(key: "key file \(path)", outcome: .unreadable("not a private key")))
                    }
                } else if let besides {
                    identities.append(Identity(path: path, file: nil, publicKey: besides))
                }
            } catch let error as LocalFileUnreadable {
                attempts.append(.init(key: "key file \(path)", outcome: .unreadable(error.detail)))
            }
        }
        return identities
    }

    /// - Returns: `nil` when we are in.
    private func offer(_ key: SSHAgent.Key, of agent: SSHAgent) async throws -> AuthenticationAttempt.Outcome? {
        if let obstacle = key.obstacle { return .unsupported(obstacle) }
        let deadline = deadline
        do {
            return
                switch try await session.offer(
                    key.offer, user: options.user, deadline: deadline,
                    sign: { data in
                        try await agent.sign(data, with: key, until: deadline)
                    })
            {
            case .loggedIn: nil
            case .acceptable, .refused: .refused
            case .signatureRefused: .signatureRefused
            case .disconnected(let why): .disconnected(why)
            }
        } catch let failure as SSHAgent.Failure {
            return .agentFailed(failure.description)
        }
    }

    /// - Returns: `nil` when we are in.
    private func offer(_ file: KeyFile, _ identity: Identity) async throws -> AuthenticationAttempt.Outcome? {
        if file.isRSA { return .rsaFileUnusable }
        // Nobody is asked for the passphrase of a key that the server does not want.
        if file.isEncrypted, let key = identity.publicKey {
            switch try await session.offer(key, user: options.user, deadline: deadline, sign: nil) {
            case .loggedIn: return nil
            case .acceptable: break
            case .refused, .signatureRefused: return .refused
            case .disconnected(let why): return .disconnected(why)
            }
        }
        for attempt in 1...3 {
            var passphrase: String?
            if file.isEncrypted {
                passphrase = await passphrases.passphrase(for: identity.path, attempt: attempt)
                if passphrase == nil { return .passphraseMissing }
            }
            switch try await session.authenticate(user: options.user, keyFile: identity.path, passphrase: passphrase, deadline: deadline) {
            case .loggedIn: return nil
            case .refused: return .refused
            case .disconnected(let why): return .disconnected(why)
            case .unreadable(let why):
                if !file.isEncrypted { return .unreadable(why) }
            }
        }
        return .passphraseWrong
    }
}
