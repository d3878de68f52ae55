import PgBackRest
import RemoteHost

extension BackRestCopy {
    /// Where the playbook says something else of the repository than pgBackRest has for the stanza on the source.
    func contradictions() async throws -> [BackRestFinding] {
        let layout = try await layout()
        guard let repository = layout.existing?.repositories.first else { return [] }
        let path = layout.repository.path, has = repository.described(path), stanza = order.stanza
        func contradicted(_ key: String, _ says: String) -> [BackRestFinding] { [.contradicted(host: source, stanza, has: has, key: key, says: says)] }
        switch order.repository {
        case .existing: return []
        case .shared(let directory):
            return repository.isLocalDirectory && path == directory ? [] : contradicted("copy.repository.shared", directory.path)
        case .s3(let store, let path, _):
            guard repository.type == "s3" else { return contradicted("copy.repository.s3", "bucket \(store.bucket)") }
            guard repository.value("s3-bucket") == store.bucket else { return contradicted("copy.repository.s3.bucket", store.bucket) }
            return repository.path == path.path ? [] : contradicted("copy.repository.s3.path", path.path)
        case .tls(let ssh, let address, let path, _, _):
            guard repository.isTLS, let host = repository.host else { return contradicted("copy.repository.tls", "host \(ssh)") }
            guard host == address else { return contradicted("copy.repository.tls.address", address) }
            return repository.path == path.path ? [] : contradicted("copy.repository.tls.path", path.path)
        case .host(let ssh, let address, let said, let user):
            if let said, said != path { return contradicted("copy.repository.path", said.path) }
            guard repositoryHost != nil else { return repository.isLocalDirectory ? [] : contradicted("copy.repository.host", ssh) }
            guard let host = repository.host else { return contradicted("copy.repository.host", ssh) }
            if let address, address != host { return contradicted("copy.repository.address", address) }
            return repository.isTLS || repository.hostUser == user ? [] : contradicted("copy.repository.user", user)
        }
    }

    /// As ``contradictions()``, of what only the repository itself tells.
    nonisolated func contradictions(of info: StanzaInfo) -> [BackRestFinding] {
        guard order.isEncrypted, info.systemIdentifier != nil, info.cipher == "none" else { return [] }
        return [.contradicted(host: source, order.stanza, has: "a repository that is not encrypted", key: "copy.cipher", says: "aes-256-cbc")]
    }
}

extension ConfiguredStanza.Repository {
    /// `/backup on pgbackrest@repo`, `the s3 repository /backup`.
    fileprivate func described(_ path: HostPath) -> String {
        if let host { return "\(path) on \(isTLS ? host : "\(hostUser)@\(host)")" }
        return isLocalDirectory ? path.path : "the \(type) repository \(path)"
    }
}
