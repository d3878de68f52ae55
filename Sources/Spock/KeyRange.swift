internal import PostgresClient

/// A column of a primary key, with its type as the server writes it.
public struct KeyColumn: Sendable, Hashable {
    public var name: String
    public var type: String

    public init(name: String, type: String) {
        self.name = name
        self.type = type
    }
}

extension [KeyColumn] {
    /// The key as it is told: `id`, or `(region, id)`.
    public var words: String { inWords(map(\.name)) }

    /// A row by the values of its key, long ones cut.
    public func words(of values: [String]) -> String { inWords(values.map { $0.count > 40 ? "\($0.prefix(37))..." : $0 }) }

    private func inWords(_ parts: [String]) -> String { parts.count == 1 ? parts[0] : "(\(parts.joined(separator: ", ")))" }
}

/// A stretch of a table by its primary key: what comes behind one key, up to and with another. A table without a key has only the whole.
public struct KeyRange: Sendable, Hashable {
    /// `nil` from the first row on. The columns' values, as text.
    public var after: [String]?
    /// `nil` to the last row.
    public var through: [String]?

    public static let whole = KeyRange()

    public init(after: [String]? = nil, through: [String]? = nil) {
        self.after = after
        self.through = through
    }

    /// As it is told: `id > 5 and ≤ 70`.
    public func text(of key: [KeyColumn]) -> String {
        switch (after, through) {
        case (nil, nil): "all rows"
        case (let after?, nil): "\(key.words) > \(key.words(of: after))"
        case (nil, let through?): "\(key.words) ≤ \(key.words(of: through))"
        case (let after?, let through?): "\(key.words) > \(key.words(of: after)) and ≤ \(key.words(of: through))"
        }
    }

    /// The conditions of a statement that reads this stretch.
    func conditions(_ key: [KeyColumn]) -> [SQL] {
        func compared(_ comparison: SQL, _ values: [String]) -> SQL { "(\(Self.columns(key))) \(comparison) (\(Self.values(values, of: key)))" }
        return [after.map { compared(">", $0) }, through.map { compared("<=", $0) }].compactMap(\.self)
    }

    static func columns(_ key: [KeyColumn]) -> SQL { SQL.joined(key.map { "\(identifier: $0.name)" }, separator: ", ") }

    private static func values(_ values: [String], of key: [KeyColumn]) -> SQL {
        // The type is the server's own word for it, quoted where it has to be.
        SQL.joined(zip(values, key).map { "\(literal: $0)::\(SQL(stringLiteral: $1.type))" }, separator: ", ")
    }
}
