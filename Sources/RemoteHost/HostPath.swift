/// An absolute path on a host.
public struct HostPath: Sendable, Hashable, Codable, CustomStringConvertible {
    public let path: String

    /// `nil` for a path that is not absolute.
    public init?(_ path: String) {
        guard path.hasPrefix("/"), !path.contains("\0") else { return nil }
        var trimmed = path
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.path = trimmed
    }

    private init(known path: String) { self.path = path }

    /// The path of `name` inside this directory; `name` may itself hold slashes.
    public static func / (directory: HostPath, name: String) -> HostPath {
        HostPath(known: directory.path == "/" ? "/" + name : directory.path + "/" + name)
    }

    public var directory: HostPath {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return HostPath(known: "/") }
        return HostPath(known: String(path[..<slash]))
    }

    public var name: String { path.split(separator: "/").last.map(String.init) ?? "/" }

    public var description: String { path }
}
