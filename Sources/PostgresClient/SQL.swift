import Report

/// A statement: its text and the values it takes.
///
/// Interpolation binds a value as a parameter; names are quoted as identifiers. There is no third way in.
///
/// ```swift
/// let name = "sub_n1_n4"
/// let show: SQL = "SELECT * FROM spock.sub_show_status(\(name))"   // … sub_show_status($1)
/// let drop: SQL = "DROP TABLE \(identifier: "my table")"           // DROP TABLE "my table"
/// ```
public struct SQL: Sendable, Hashable, ExpressibleByStringInterpolation, CustomStringConvertible, CustomReflectable {
    enum Piece: Sendable, Hashable {
        case text(String), identifier(String)
        /// `shown` is what people see of the value.
        case parameter(String?, shown: String?), literal(String, shown: String)
    }

    private(set) var pieces: [Piece]

    public init(stringLiteral value: String) { pieces = [.text(value)] }
    public init(stringInterpolation: Interpolation) { pieces = stringInterpolation.pieces }

    /// Several pieces one after the other, with `separator` between.
    public static func joined(_ parts: [SQL], separator: String) -> SQL {
        var all = Interpolation(literalCapacity: 0, interpolationCount: 0)
        for (index, part) in parts.enumerated() {
            if index > 0 { all.appendLiteral(separator) }
            all.appendInterpolation(part)
        }
        return SQL(stringInterpolation: all)
    }

    /// The values of `$1`, `$2` … in text form; `nil` is NULL.
    public var parameters: [String?] {
        pieces.compactMap { if case .parameter(let value, _) = $0 { .some(value) } else { nil } }
    }

    /// The text with `$1`, `$2` … for the parameters, as it is sent.
    public var text: String { text(quoteIdentifier: SQL.quoteIdentifier) { value, _ in SQL.quoteLiteral(value) } }

    /// The text as people may see it: without the parameters' values, without secrets.
    var shownText: String { text(quoteIdentifier: SQL.quoteIdentifier) { _, shown in SQL.quoteLiteral(shown) } }

    /// The text as somebody types it who quotes names only where the server would take them for something else.
    public var typed: String { text(quoteIdentifier: { SQL.needsNoQuotes($0) ? $0 : SQL.quoteIdentifier($0) }) { _, shown in SQL.quoteLiteral(shown) } }

    func text(
        quoteIdentifier: (String) throws -> String, quoteLiteral: (_ value: String, _ shown: String) throws -> String
    ) rethrows -> String {
        var text = "", number = 0
        for piece in pieces {
            switch piece {
            case .text(let part): text += part
            case .parameter:
                number += 1
                text += "$\(number)"
            case .identifier(let name): text += try quoteIdentifier(name)
            case .literal(let value, let shown): text += try quoteLiteral(value, shown)
            }
        }
        return text
    }

    /// The text, and the parameters behind it: for tests, plans and errors. Secrets are `‹redacted›`.
    public var description: String {
        let shown: [String?] = pieces.compactMap { if case .parameter(_, let shown) = $0 { .some(shown) } else { nil } }
        guard !shown.isEmpty else { return shownText }
        let values = shown.enumerated().map { "$\($0.offset + 1) = \($0.element.map(SQL.quoteLiteral) ?? "NULL")" }
        return shownText + "  -- " + values.joined(separator: ", ")
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }

    // As PQescapeIdentifier and PQescapeLiteral do it. Scalars, not characters: a quote followed by a combining mark is
    // one Character, and would be missed.
    private static func quoteIdentifier(_ name: String) -> String { "\"" + doubling(["\""], in: name) + "\"" }
    private static func quoteLiteral(_ value: String) -> String {
        (value.unicodeScalars.contains("\\") ? " E'" : "'") + doubling(["'", "\\"], in: value) + "'"
    }

    private static func needsNoQuotes(_ name: String) -> Bool {
        func isLetter(_ scalar: Unicode.Scalar) -> Bool { ("a"..."z").contains(scalar) || scalar == "_" }
        guard let first = name.unicodeScalars.first, isLetter(first) else { return false }
        return name.unicodeScalars.allSatisfy { isLetter($0) || ("0"..."9").contains($0) } && !reserved.contains(name)
    }

    /// Words that are no name without quotes, of any version. <https://www.postgresql.org/docs/current/sql-keywords-appendix.html>
    private static let reserved = Set(
        """
        all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column concurrently constraint create cross current_catalog \
        current_date current_role current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze \
        from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null \
        offset on only or order outer over overlaps placing primary references returning right select session_user similar some symmetric system_user table tablesample then to \
        trailing true union unique user using variadic verbose when where window with
        """.split(separator: " ").map(String.init))

    private static func doubling(_ marks: [Unicode.Scalar], in text: String) -> String {
        var doubled = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if marks.contains(scalar) { doubled.append(scalar) }
            doubled.append(scalar)
        }
        return String(doubled)
    }

    public struct Interpolation: StringInterpolationProtocol {
        fileprivate var pieces: [Piece] = []

        public init(literalCapacity: Int, interpolationCount: Int) {}

        public mutating func appendLiteral(_ text: String) { if !text.isEmpty { pieces.append(.text(text)) } }

        public mutating func appendInterpolation(_ value: String?) { bind(value) }
        public mutating func appendInterpolation(_ value: Int) { bind("\(value)") }
        public mutating func appendInterpolation(_ value: Int64) { bind("\(value)") }
        public mutating func appendInterpolation(_ value: UInt32) { bind("\(value)") }
        public mutating func appendInterpolation(_ value: Bool) { bind(value ? "t" : "f") }
        public mutating func appendInterpolation(_ value: LSN) { bind(value.description) }
        /// A `text[]`, or NULL.
        public mutating func appendInterpolation(_ values: [String]?) { bind(values.map(PostgresArray.text)) }
        /// A name, quoted as an identifier in the text itself.
        public mutating func appendInterpolation(identifier name: String) { pieces.append(.identifier(name)) }
        /// A quoted literal in the text itself, for statements that take no parameters (`ALTER SYSTEM`, `SET`).
        public mutating func appendInterpolation(literal value: String) { pieces.append(.literal(value, shown: value)) }
        /// A value that plans and errors do not show.
        public mutating func appendInterpolation(_ secret: Secret) {
            pieces.append(.parameter(secret.reveal(), shown: Redaction.mark))
        }
        /// A literal that plans and errors do not show (`CREATE ROLE … PASSWORD`).
        public mutating func appendInterpolation(literal secret: Secret) {
            pieces.append(.literal(secret.reveal(), shown: Redaction.mark))
        }
        /// A connection string; plans and errors show it without its password.
        public mutating func appendInterpolation(_ conninfo: Conninfo) {
            pieces.append(.parameter(conninfo.connectionString, shown: conninfo.description))
        }
        /// Another statement, or a part of one.
        public mutating func appendInterpolation(_ part: SQL) { pieces += part.pieces }

        private mutating func bind(_ value: String?) { pieces.append(.parameter(value, shown: value)) }
    }
}
