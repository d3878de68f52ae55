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
        /// Those for this key, which are offered before it.
        var certificates: [Certificate] = []
    }

    /// What somebody has certified of a key, in a file.
    private struct Certificate: Hashable {
        var path: String
        var blob: [UInt8]
    }

    /// What is offered with the agent's help.
    private struct Offer {
        var name: String
        var blob: [UInt8]
        var key: SSHAgent.Key
    }

    func perform() async throws {
        guard let offered = try await session.authenticationMethods(user: options.user, deadline: deadline) else { return }
        var attempts: [AuthenticationAttempt] = []
        if offered.contains("publickey"), try await tryKeys(&attempts) { return }
        throw HostError.authenticationFailed(host: host, user: options.user, attempts: attempts, offered: offered)
    }

    private func tryKeys(_ attempts: inout [AuthenticationAttempt]) async throws -> Bool {
        let certificates = try await readCertificates(&attempts), identities = try await readIdentities(certificates, &attempts)
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
            for offer in offers(of: keys, for: identities, certificates) {
                tried.insert(offer.blob)
                guard let outcome = try await self.offer(offer, of: agent) else { return true }
                attempts.append(.init(key: offer.name, outcome: outcome))
                if case .disconnected = outcome { return false }
            }
        }
        for identity in identities {
            guard let file = identity.file else { continue }
            for certificate in identity.certificates.map(Optional.some) + [nil] {
                if let offered = certificate?.blob ?? identity.publicKey, tried.contains(offered) { continue }
                guard let outcome = try await offer(file, identity, certificate) else { return true }
                attempts.append(.init(key: certificate.map { "certificate \($0.path)" } ?? "key file \(identity.path)", outcome: outcome))
                if case .disconnected = outcome { return false }
            }
        }
        return false
    }

    /// Certificates before keys, and what the configuration names before the rest.
    private func offers(of keys: [SSHAgent.Key], for identities: [Identity], _ certificates: [Certificate]) -> [Offer] {
        func offer(_ key: SSHAgent.Key) -> Offer { Offer(name: "agent key \(key.type) (\(key.comment))", blob: key.blob, key: key) }
        let inFiles = (certificates + identities.flatMap(\.certificates)).reduce(into: [Certificate]()) { if !$0.contains($1) { $0.append($1) } }
        let certified = inFiles.compactMap { certificate in
            keys.first { $0.blob == SSHWire.certifiedKey(of: certificate.blob) }.map { Offer(name: "certificate \(certificate.path)", blob: certificate.blob, key: $0) }
        }
        let wanted = identities.flatMap { identity in keys.filter { $0.blob == identity.publicKey } }
        let others = options.identitiesOnly ? [] : keys.filter { !wanted.contains($0) }
        return certified + others.filter { SSHWire.certifiedKey(of: $0.blob) != nil }.map(offer) + wanted.map(offer)
            + others.filter { SSHWire.certifiedKey(of: $0.blob) == nil }.map(offer)
    }

    /// What `CertificateFile` names.
    private func readCertificates(_ attempts: inout [AuthenticationAttempt]) async throws -> [Certificate] {
        var certificates: [Certificate] = []
        for path in options.certificateFiles {
            do {
                if let certificate = try await certificate(at: path) {
                    certificates.append(certificate)
                } else {
                    attempts.append(.init(key: "certificate \(path)", outcome: .unreadable("there is no certificate")))
                }
            } catch let error as LocalFileUnreadable {
                attempts.append(.init(key: "certificate \(path)", outcome: .unreadable(error.detail)))
            }
        }
        return certificates
    }

    private func certificate(at path: String) async throws -> Certificate? {
        let content = try await OffLoop.run("the certificate \(path)", until: deadline) { try readLocalFile(path) }
        guard let blob = content.flatMap(KeyFile.publicKey), SSHWire.certifiedKey(of: blob) != nil else { return nil }
        return Certificate(path: path, blob: blob)
    }

    private func readIdentities(_ given: [Certificate], _ attempts: inout [AuthenticationAttempt]) async throws -> [Identity] {
        var identities: [Identity] = []
        for path in options.identityFiles {
            do {
                let (content, publicContent) = try await OffLoop.run("the key file \(path)", until: deadline) {
                    (try readLocalFile(path), try readLocalFile(path + ".pub"))
                }
                let besides = publicContent.flatMap(KeyFile.publicKey), count = identities.count
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
                guard identities.count > count else { continue }
                let key = identities[count].publicKey
                identities[count].certificates =
                    [try await certificate(at: path + "-cert.pub")].compactMap(\.self) + given.filter { key != nil && SSHWire.certifiedKey(of: $0.blob) == key }
            } catch let error as LocalFileUnreadable {
                attempts.append(.init(key: "key file \(path)", outcome: .unreadable(error.detail)))
            }
        }
        return identities
    }

    /// - Returns: `nil` when we are in.
    private func offer(_ offer: Offer, of agent: SSHAgent) async throws -> AuthenticationAttempt.Outcome? {
        if let obstacle = SSHWire.keyType(of: offer.blob).flatMap(SSHLibrary.obstacle) { return .unsupported(obstacle) }
        let (deadline, key) = (deadline, offer.key)
        do {
            return
                switch try await session.offer(
                    offer.blob == key.blob ? key.offer : offer.blob, user: options.user, deadline: deadline,
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
    private func offer(_ file: KeyFile, _ identity: Identity, _ certificate: Certificate?) async throws -> AuthenticationAttempt.Outcome? {
        if let obstacle = (certificate?.blob).flatMap(SSHWire.keyType).flatMap(SSHLibrary.obstacle) { return .unsupported(obstacle) }
        if file.isRSA, !SSHLibrary.isModern { return .rsaFileUnusable }
        // Nobody is asked for the passphrase of a key that the server does not want.
        if file.isEncrypted, let key = certificate?.blob ?? identity.publicKey {
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
            switch try await session.authenticate(
                user: options.user, keyFile: identity.path, certificateFile: certificate?.path, passphrase: passphrase, deadline: deadline)
            {
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
