/// The version of a pgBackRest: `2.45`, `2.54.1`.
public struct BackRestVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let major: Int
    public let minor: Int
    public let patch: Int

    /// The oldest version whose output and options are known here.
    public static let minimum = BackRestVersion(major: 2, minor: 45)

    /// The oldest version that knows servers of this major version; `nil` for one that no version known here does.
    ///
    /// From pgBackRest's release notes; 2.44 has dropped 9.2 and older.
    public static func minimum(forServer major: Int) -> BackRestVersion? {
        let learned = [15: 39, 16: 46, 17: 52, 18: 56]
        if let minor = learned[major] { return BackRestVersion(major: 2, minor: minor) }
        return major < 15 ? .minimum : nil
    }

    public init(major: Int, minor: Int, patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Reads what `pgbackrest version` prints: `pgBackRest 2.45`; `nil` for anything else.
    public init?(_ text: String) {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 2, words[0] == "pgBackRest" else { return nil }
        // A development version ends in "dev".
        let number = words[1].hasSuffix("dev") ? words[1].dropLast(3) : words[1]
        let parts = number.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard (2...3).contains(parts.count), let major = parts[0], let minor = parts[1],
            let patch = parts.count == 3 ? parts[2] : 0
        else { return nil }
        self.init(major: major, minor: minor, patch: patch)
    }

    public var description: String { patch == 0 ? "\(major).\(minor)" : "\(major).\(minor).\(patch)" }

    public static func < (left: BackRestVersion, right: BackRestVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}
