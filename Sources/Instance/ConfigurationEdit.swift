public import EventLoop
import PostgresConfig
public import RemoteHost
import Report

/// A change to a file as a value: planned, shown, done and taken back.
///
/// ```swift
/// let edit = ConfigurationEdit(path: hba, before: old, after: new)
/// print(edit.diff)
/// try await edit.apply(on: host, as: "postgres", deadline: deadline)
/// ```
public struct ConfigurationEdit: Sendable, Hashable, CustomStringConvertible {
    public let path: HostPath
    /// `nil` where there is no file.
    public let before: [UInt8]?
    /// `nil` where there shall be none.
    public let after: [UInt8]?

    public init(path: HostPath, before: [UInt8]?, after: [UInt8]?) {
        (self.path, self.before, self.after) = (path, before, after)
    }

    /// Whether there is nothing to do.
    public var isEmpty: Bool { before == after }

    /// The change as a unified diff, with passwords left out.
    public var diff: String { Redaction.redacted("\(UnifiedDiff(old: before, new: after, path: path.path))") }

    public var description: String { diff }

    /// Writes the new content, whole or not at all; an existing file keeps its owner and mode, a new one gets 0600.
    ///
    /// Done already, it does nothing.
    /// - Throws: ``InstanceError/changedSinceRead(host:path:)``; what the host throws.
    public func apply(on host: any Host, as user: String, deadline: Deadline) async throws {
        guard let after else {
            let now = try await host.read(path, as: user, deadline: deadline)
            guard now != nil else { return }
            guard now == before else { throw InstanceError.changedSinceRead(host: host.name, path: path) }
            return try await host.asOwner(user) { try await host.remove(path, as: $0, deadline: deadline) }
        }
        guard try await host.asOwner(user, { try await host.write(after, to: path, replacing: before, as: $0, deadline: deadline) }) else {
            throw InstanceError.changedSinceRead(host: host.name, path: path)
        }
    }
}

extension Host {
    /// Does `work` as the server's OS user; where he may not, because the file is root's or of a group that he is not in, as
    /// root, if that is who logged in.
    public func asOwner<Result>(_ user: String, _ work: (_ user: String) async throws -> Result) async throws -> Result {
        do {
            return try await work(user)
        } catch let error as HostError {
            guard case .permissionDenied = error, loginUser == "root", user != "root" else { throw error }
            return try await work("root")
        }
    }
}
