public import EventLoop
public import RemoteHost
public import Report

extension BackRestConfiguration {
    // The newer place first: pgBackRest reads the older one only where the newer is missing.
    private static let defaultFiles = ["/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"].compactMap { HostPath($0) }
    private static let includeDirectories = ["/etc/pgbackrest/conf.d"].compactMap { HostPath($0) }

    /// Reads what pgBackRest reads on `host`, as the OS user it runs as.
    ///
    /// By default that is /etc/pgbackrest/pgbackrest.conf, or the older /etc/pgbackrest.conf, and
    /// /etc/pgbackrest/conf.d/\*.conf; a file that is named (`--config`) stands alone.
    /// - Throws: ``IniFile/Malformed``, `HostError`.
    public static func load(
        _ named: HostPath?, on host: any Host, as user: String, deadline: Deadline
    ) async throws -> BackRestConfiguration {
        var included: [IniFile] = []
        for directory in named == nil ? includeDirectories : [] {
            for name in try await host.listDirectory(directory, as: user, deadline: deadline) ?? [] where name.hasSuffix(".conf") {
                guard let bytes = try await host.read(directory / name, as: user, deadline: deadline) else { continue }
                included.append(try IniFile(bytes, path: directory / name))
            }
        }
        let candidates = named.map { [$0] } ?? defaultFiles
        for path in candidates {
            guard let bytes = try await host.read(path, as: user, deadline: deadline) else { continue }
            return BackRestConfiguration(try IniFile(bytes, path: path), included: included)
        }
        // A new file goes where its directory already is.
        for path in candidates where try await host.stat(path.directory, as: user, deadline: deadline)?.kind == .directory {
            return BackRestConfiguration(try IniFile([], path: path), included: included, existed: false)
        }
        throw NoPlaceForConfiguration(host: host.name, candidates: candidates)
    }

    /// Writes the edited file. An existing one keeps its owner and mode.
    /// - Parameters:
    ///   - user: who may write it; `nil` is the user who logged in.
    ///   - removingIfEmpty: remove a file that says nothing any more: for one that this run made.
    public func save(on host: any Host, as user: String?, removingIfEmpty: Bool = false, deadline: Deadline) async throws {
        if removingIfEmpty, isEmpty {
            try await host.remove(file.path, as: user, deadline: deadline)
        } else {
            // A new file holds no secret, and the OS user of the server must be able to read it.
            try await host.write(file.bytes, to: file.path, as: user, mode: existed ? nil : 0o644, deadline: deadline)
        }
    }
}

/// The directory for the configuration file is not there.
public struct NoPlaceForConfiguration: Explained, Hashable {
    public let host: String
    public let candidates: [HostPath]

    public var fact: String { "\(host): no directory for pgBackRest's configuration file: \(candidates.map(\.path).joined(separator: ", "))" }
    public var hint: String? { "make the directory, or name a configuration file elsewhere." }
}
