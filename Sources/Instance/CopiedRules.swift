public import EventLoop
public import PostgresConfig
import RemoteHost

extension Instance {
    /// The rules that this instance's server would have with `content` as its `pg_hba.conf`, which is not there yet.
    ///
    /// What the content refers to (`@file`, `include`) is read on this host; as long as this is a copy that has yet to be made,
    /// what will come with the data directory is read where it still is.
    /// - Parameters:
    ///   - files: where this instance's files are.
    ///   - original: what this will be a copy of; `nil` where the copy is there.
    public func rules(
        of content: [UInt8], for server: HBAServer, at files: ConfigurationFiles, copying original: Instance?, deadline: Deadline
    ) async throws -> HBARules {
        let path = files.hbaFile.path, prefix = dataDirectory.path + "/"
        var known = FileSnapshot(files: [path: content])
        while true {
            let rules = HBARules(file: path, in: known, for: server)
            let missing = rules.missing.filter { known[$0] == nil }
            guard !missing.isEmpty else { return rules }
            for request in missing {
                if let original, request.path.hasPrefix(prefix) {
                    let twin = "\(original.dataDirectory)/" + request.path.dropFirst(prefix.count)
                    known[request] = try await original.look(at: request.moved(to: twin), deadline: deadline)
                } else {
                    known[request] = try await look(at: request, deadline: deadline)
                }
            }
        }
    }
}

extension FileSnapshot.Request {
    fileprivate func moved(to path: String) -> Self {
        switch self {
        case .file: .file(path)
        case .directory: .directory(path)
        }
    }
}
