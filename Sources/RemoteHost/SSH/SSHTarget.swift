internal import FoundationEssentials

/// How an operator names a host to `ssh`.
public struct SSHTarget: Sendable, Hashable, CustomStringConvertible {
    /// A host name, an address, or a `Host` of the SSH configuration.
    public var alias: String
    /// Wins over the configuration's `User`.
    public var user: String?
    /// Wins over the configuration's `Port`.
    public var port: UInt16?
    /// Read instead of `~/.ssh/config` and `/etc/ssh/ssh_config`; an absolute path, or `none`.
    public var configFile: String?

    /// - Parameter configFile: may begin where the operator is.
    public init(_ alias: String, user: String? = nil, port: UInt16? = nil, configFile: String? = nil) {
        self.alias = alias
        self.user = user
        self.port = port
        let isRelative = configFile.map { !$0.hasPrefix("/") && $0.lowercased() != "none" } ?? false
        self.configFile = isRelative ? configFile.map { "\(FileManager.default.currentDirectoryPath)/\($0)" } : configFile
    }

    public var description: String {
        (user.map { "\($0)@" } ?? "") + alias + (port.map { ":\($0)" } ?? "")
    }

    /// How `ssh` is told of it.
    var arguments: [String] {
        var words: [String] = []
        if let configFile { words += ["-F", configFile] }
        if let user { words += ["-l", user] }
        if let port { words += ["-p", String(port)] }
        return words + ["--", alias]
    }

    /// One hop of ProxyJump: `host`, `user@host:port`, `[2001:db8::1]:22`, `ssh://…`.
    init?(hop: Substring, configFile: String?) {
        var rest = hop.hasPrefix("ssh://") ? hop.dropFirst(6) : hop
        self.configFile = configFile
        if let at = rest.lastIndex(of: "@") {
            user = String(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            alias = String(rest[rest.index(after: rest.startIndex)..<end])
            rest = rest[rest.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
        } else {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            alias = String(rest[..<end])
            rest = rest[end...]
        }
        if rest.hasPrefix(":") {
            guard let port = UInt16(rest.dropFirst()) else { return nil }
            self.port = port
        }
        guard !alias.isEmpty else { return nil }
    }
}
