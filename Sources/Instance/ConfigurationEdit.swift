public import EventLoop
import PostgresConfig
public import RemoteHost

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
    public var diff: String {
        "\(UnifiedDiff(old: before, new: after, path: path.path))".split(separator: "\n", omittingEmptySubsequences: false)
            .map { Redaction.redacted(String($0)) }.joined(separator: "\n")
    }

    public var description: String { diff }

    /// Writes the new content, whole or not at all; an existing file keeps its owner and mode, a new one gets 0600.
    ///
    /// Done already, it does nothing.
    /// - Throws: ``InstanceError/changedSinceRead(host:path:)``; what the host throws.
    public func apply(on host: any Host, as user: String, deadline: Deadline) async throws {
        let now = try await host.read(path, as: user, deadline: deadline)
        guard now != after else { return }
        guard now == before else { throw InstanceError.changedSinceRead(host: host.name, path: path) }
        try await put(after, on: host, as: user, deadline: deadline)
    }

    /// Puts back what was there before, as long as the file is as ``apply(on:as:deadline:)`` left it.
    ///
    /// Taken back already, it does nothing.
    /// - Throws: ``InstanceError/changedSinceWritten(host:path:)``; what the host throws.
    public func revert(on host: any Host, as user: String, deadline: Deadline) async throws {
        let now = try await host.read(path, as: user, deadline: deadline)
        guard now != before else { return }
        guard now == after else { throw InstanceError.changedSinceWritten(host: host.name, path: path) }
        try await put(before, on: host, as: user, deadline: deadline)
    }

    private func put(_ content: [UInt8]?, on host: any Host, as user: String, deadline: Deadline) async throws {
        try await host.asOwner(user) { user in
            if let content {
                try await host.write(content, to: path, as: user, deadline: deadline)
            } else {
                try await host.remove(path, as: user, deadline: deadline)
            }
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

/// Takes passwords out of lines of configuration files before people see them.
public enum Redaction {
    private static let keywords = ["password=", "passwd=", "secret=", "secrets=", "pass=", "key=", "token="]

    /// `line` with the value behind every `…password=`, `…secret=`, `…key=` and the like replaced.
    public static func redacted(_ line: String) -> String {
        var bytes = Array(line.utf8), position = 0
        while position < bytes.count {
            guard let end = valueStart(in: bytes, at: position) else {
                position += 1
                continue
            }
            // In quotes that begin before the keyword it ends with them, wherever blanks are: in doubt, with the line.
            let word = bytes[..<position].lastIndex { $0 == 0x20 || $0 == 0x09 }.map { $0 + 1 } ?? 0
            let value = bytes[word..<position].contains(UInt8(ascii: "\"")) ? bytes.count : valueEnd(in: bytes, from: end)
            let mark = Array("‹redacted›".utf8)
            bytes.replaceSubrange(end..<value, with: mark)
            position = end + mark.count
        }
        return String(decoding: bytes, as: UTF8.self).replacing(#/(:\/\/[^\/@:\s'"]*:)[^\/@\s'"]+@/#) { "\($0.1)‹redacted›@" }
    }

    /// Where the value starts, if one of the keywords stands at `position`; blanks around `=` count as libpq reads them.
    private static func valueStart(in bytes: [UInt8], at position: Int) -> Int? {
        for keyword in keywords {
            let word = keyword.utf8.dropLast()
            guard position + word.count < bytes.count,
                zip(word, bytes[position...]).allSatisfy({ $0 == $1 | 0x20 })
            else { continue }
            var end = position + word.count
            while end < bytes.count, bytes[end] == 0x20 { end += 1 }
            guard end < bytes.count, bytes[end] == UInt8(ascii: "=") else { continue }
            end += 1
            while end < bytes.count, bytes[end] == 0x20 { end += 1 }
            return end
        }
        return nil
    }

    /// A value ends at a blank; in quotes (doubled, inside the quotes of a setting) at their end. In doubt, at the line's end.
    private static func valueEnd(in bytes: [UInt8], from start: Int) -> Int {
        let quote = UInt8(ascii: "'"), double = UInt8(ascii: "\"")
        guard start < bytes.count else { return start }
        if bytes[start] == quote || bytes[start] == double || bytes[start] == UInt8(ascii: "\\") { return bytes.count }
        return bytes[start...].firstIndex { $0 == 0x20 || $0 == 0x09 || $0 == quote || $0 == double } ?? bytes.count
    }
}
