import PgBackRest
import RemoteHost

extension BackRestCopy {
    /// Where the playbook says something else of the repository than pgBackRest has for the stanza on the source.
    func contradictions() async throws -> [BackRestFinding] {
        guard let existing = try await layout().existing, let repository = existing.repositories.first else { return [] }
        let has = repository.described, stanza = order.stanza
        func contradicted(_ key: String, _ says: String) -> [BackRestFinding] { [.contradicted(host: source, stanza, has: has, key: key, says: says)] }
        switch order.repository {
        case .existing: return []
        case .shared(let directory):
            return repository.isLocalDirectory && repository.path == directory.path ? [] : contradicted("copy.repository.shared", directory.path)
        case .s3(let store, let path, _):
            guard repository.type == "s3" else { return contradicted("copy.repository.s3", "bucket \(store.bucket)") }
            guard repository.value("s3-bucket") == store.bucket else { return contradicted("copy.repository.s3.bucket", store.bucket) }
            return repository.path == path.path ? [] : contradicted("copy.repository.s3.path", path.path)
        case .tls(let ssh, let address, let path, _, _):
            guard repository.isTLS, let host = repository.host else { return contradicted("copy.repository.tls", "host \(ssh)") }
            guard host == address else { return contradicted("copy.repository.tls.address", address) }
            return repository.path == path.path ? [] : contradicted("copy.repository.tls.path", path.path)
        case .host(let ssh, let address, let path, let user):
            if let path, path.path != repository.path { return contradicted("copy.repository.path", path.path) }
            guard repositoryHost != nil else { return repository.isLocalDirectory ? [] : contradicted("copy.repository.host", ssh) }
            guard let host = repository.host else { return contradicted("copy.repository.host", ssh) }
            if let address, address != host { return contradicted("copy.repository.address", address) }
            return repository.isTLS || repository.hostUser == user ? [] : contradicted("copy.repository.user", user)
        }
    }
}

extension ConfiguredStanza.Repository {
    /// `/backup on pgbackrest@repo`, `the s3 repository /backup`.
    fileprivate var described: String {
        if let host { return "\(path) on \(isTLS ? host : "\(hostUser)@\(host)")" }
        return isLocalDirectory ? path : "the \(type) repository \(path)"
    }
}
