public import EventLoop
import RemoteHost

extension Instance {
    /// The default version of an extension whose control file is in `shareDirectory`; `nil` where there is none.
    public func installedVersion(of name: String, in shareDirectory: String, deadline: Deadline) async throws -> String? {
        let text = try await host.run(.script(InstalledExtension.version, "\(shareDirectory)/extension/\(name).control").as(user), deadline: deadline).text
        return text.isEmpty ? nil : text
    }

    /// Those of `files` that the server's user cannot read, in their order.
    public func unreadable(_ files: [String], deadline: Deadline) async throws -> [String] {
        guard !files.isEmpty else { return [] }
        let command = Command(words: ["sh", "-c", InstalledExtension.unreadable, "sh"] + files, user: user)
        let numbers = Set(try await host.require(command, deadline: deadline).text.split(separator: "\n").map(String.init))
        return files.enumerated().filter { numbers.contains("\($0.offset)") }.map(\.element)
    }

    /// A path beside the programs of this instance, for another one whose programs are elsewhere.
    public func relocated(_ path: String, to other: Instance) -> String {
        let from = binaries.directory.directory.path, to = other.binaries.directory.directory.path
        return path.hasPrefix(from + "/") ? to + path.dropFirst(from.count) : path
    }
}

enum InstalledExtension {
    /// Prints the number of each file that cannot be read.
    static let unreadable = "number=0; for file; do [ -r \"$file\" ] || echo $number; number=$((number + 1)); done"
    static let version = #"sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$1" 2>/dev/null"#
}
