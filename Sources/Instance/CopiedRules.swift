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
            let travelling = missing.filter { original != nil && $0.path.hasPrefix(prefix) }
            async let here = looks(at: Array(missing.filter { !travelling.contains($0) }), deadline: deadline)
            if let original {
                let twins = travelling.map { $0.moved(to: "\(original.dataDirectory)/" + $0.path.dropFirst(prefix.count)) }
                let there = Dictionary(uniqueKeysWithValues: try await original.looks(at: twins, deadline: deadline))
                for (request, twin) in zip(travelling, twins) { known[request] = there[twin] }
            }
            for (request, content) in try await here { known[request] = content }
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
