public import EventLoop
import RemoteHost

extension Instance {
    /// The default version of an extension whose control file is in `shareDirectory`; `nil` where there is none.
    public func installedVersion(of name: String, in shareDirectory: String, deadline: Deadline) async throws -> String? {
        let text = try await host.run(.script(InstalledExtension.version, "\(shareDirectory)/extension/\(name).control").as(user), deadline: deadline).text
        return text.isEmpty ? nil : text
    }

    /// Whether the servers' user can read `file`.
    public func canRead(_ file: String, deadline: Deadline) async throws -> Bool {
        try await host.run(Command("test", "-r", file).as(user), deadline: deadline).succeeded
    }

    /// A path beside the programs of this instance, for another one whose programs are elsewhere.
    public func relocated(_ path: String, to other: Instance) -> String {
        let from = binaries.directory.directory.path, to = other.binaries.directory.directory.path
        return path.hasPrefix(from + "/") ? to + path.dropFirst(from.count) : path
    }
}

enum InstalledExtension {
    static let version = #"sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$1" 2>/dev/null"#
}
