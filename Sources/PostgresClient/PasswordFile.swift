import Glibc

/// The operator's password file, for a connection whose port is not the server's: libpq would look for a line with that of the
/// forwarding. <https://www.postgresql.org/docs/current/libpq-pgpass.html>
public enum PasswordFile {
    /// The password that `PGPASSFILE`, or `~/.pgpass`, has for a server; `nil` where it has none, and where `PGPASSWORD` outweighs it.
    /// As with libpq, a file that others may read has none.
    public static func password(host: String, port: UInt16, database: String, user: String) -> Secret? {
        guard variable("PGPASSWORD") == nil, let path = variable("PGPASSFILE") ?? home.map({ $0 + "/.pgpass" }), let text = privateFile(path) else { return nil }
        return password(in: text, host: host, port: port, database: database, user: user)
    }

    /// The password that the text of a password file has for a server.
    public static func password(in text: String, host: String, port: UInt16, database: String, user: String) -> Secret? {
        let wanted = [host, "\(port)", database, user]
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            let parts = fields(of: line)
            guard parts.count == 5, zip(wanted, parts).allSatisfy({ $1.text == $0 || $1.isAny }) else { continue }
            return Secret(parts[4].text)
        }
        return nil
    }

    /// A line of a password file.
    public struct Line: Sendable, Hashable, Codable {
        /// A host name or address.
        public var host: String
        public var port: UInt16
        /// `replication` for physical replication.
        public var database: String
        public var user: String

        public init(host: String, port: UInt16, database: String, user: String) {
            (self.host, self.port, self.database, self.user) = (host, port, database, user)
        }

        /// All of it but the password.
        public var key: String { [host, "\(port)", database, user].map(PasswordFile.escaped).joined(separator: ":") }

        /// The password that `text` has for just this.
        public func password(in text: String) -> Secret? { PasswordFile.password(in: text, host: host, port: port, database: database, user: user) }

        /// `text` with this line at its end.
        public func added(to text: String, password: Secret) -> String {
            text + (text.isEmpty || text.hasSuffix("\n") ? "" : "\n") + "\(key):\(PasswordFile.escaped(password.reveal()))\n"
        }

        /// `text` without the lines of this key.
        public func removed(from text: String) -> String {
            text.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix(key + ":") }.joined(separator: "\n")
        }
    }

    private static func escaped(_ field: String) -> String { field.replacing("\\", with: "\\\\").replacing(":", with: "\\:") }

    /// Four fields and the rest, without the backslashes of `\:` and `\\`. A star that was escaped means itself.
    private static func fields(of line: Substring) -> [(text: String, isAny: Bool)] {
        var fields: [(text: String, isAny: Bool)] = [], field = "", isEscaped = false, hadEscape = false
        for scalar in line.unicodeScalars {
            if isEscaped {
                field.unicodeScalars.append(scalar)
                isEscaped = false
            } else if scalar == "\\" {
                (isEscaped, hadEscape) = (true, true)
            } else if scalar == ":", fields.count < 4 {
                fields.append((field, field == "*" && !hadEscape))
                (field, hadEscape) = ("", false)
            } else {
                field.unicodeScalars.append(scalar)
            }
        }
        return fields + [(field, false)]
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }

    private static var home: String? { variable("HOME") ?? getpwuid(getuid()).map { String(cString: $0.pointee.pw_dir) } }

    /// The text of a regular file that nobody else may read; `nil` for any other.
    private static func privateFile(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var status = stat()
        guard fstat(fileno(file), &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o077 == 0 else { return nil }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 16384)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
