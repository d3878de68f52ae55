/// A statement: its text and the values it takes.
///
/// Interpolation binds a value as a parameter; names are quoted as identifiers. There is no third way in.
///
/// ```swift
/// let name = "sub_n1_n4"
/// let show: SQL = "SELECT * FROM spock.sub_show_status(\(name))"   // … sub_show_status($1)
/// let drop: SQL = "DROP TABLE \(identifier: "my table")"           // DROP TABLE "my table"
/// ```
public struct SQL: Sendable, Hashable, ExpressibleByStringInterpolation, CustomStringConvertible {
    enum Piece: Sendable, Hashable {
        case text(String), parameter(String?), identifier(String), literal(String)
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
        pieces.compactMap { if case .parameter(let value) = $0 { .some(value) } else { nil } }
    }

    /// The text with `$1`, `$2` … for the parameters, as a connection with standard conforming strings sends it.
    public var text: String { text(quoteIdentifier: SQL.quoteIdentifier, quoteLiteral: SQL.quoteLiteral) }

    func text(quoteIdentifier: (String) throws -> String, quoteLiteral: (String) throws -> String) rethrows -> String {
        var text = "", number = 0
        for piece in pieces {
            switch piece {
            case .text(let part): text += part
            case .parameter:
                number += 1
                text += "$\(number)"
            case .identifier(let name): text += try quoteIdentifier(name)
            case .literal(let value): text += try quoteLiteral(value)
            }
        }
        return text
    }

    /// The text, and the parameters behind it: for tests, plans and errors.
    public var description: String {
        guard !parameters.isEmpty else { return text }
        let values = parameters.enumerated().map { "$\($0.offset + 1) = \($0.element.map(SQL.quoteLiteral) ?? "NULL")" }
        return text + "  -- " + values.joined(separator: ", ")
    }

    private static func quoteIdentifier(_ name: String) -> String { doubled("\"", in: name) }
    private static func quoteLiteral(_ value: String) -> String { doubled("'", in: value) }

    private static func doubled(_ mark: Character, in text: String) -> String {
        String(mark) + text.split(separator: mark, omittingEmptySubsequences: false).joined(separator: "\(mark)\(mark)") + String(mark)
    }

    /// `values` in the text form of a PostgreSQL array.
    static func array(_ values: [String]) -> String {
        let elements = values.map { value in
            "\"" + value.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined() + "\""
        }
        return "{" + elements.joined(separator: ",") + "}"
    }

    public struct Interpolation: StringInterpolationProtocol {
        fileprivate var pieces: [Piece] = []

        public init(literalCapacity: Int, interpolationCount: Int) {}

        public mutating func appendLiteral(_ text: String) { if !text.isEmpty { pieces.append(.text(text)) } }

        public mutating func appendInterpolation(_ value: String?) { pieces.append(.parameter(value)) }
        public mutating func appendInterpolation(_ value: Int) { pieces.append(.parameter("\(value)")) }
        public mutating func appendInterpolation(_ value: Int64) { pieces.append(.parameter("\(value)")) }
        public mutating func appendInterpolation(_ value: UInt32) { pieces.append(.parameter("\(value)")) }
        public mutating func appendInterpolation(_ value: Bool) { pieces.append(.parameter(value ? "t" : "f")) }
        public mutating func appendInterpolation(_ value: LSN) { pieces.append(.parameter(value.description)) }
        /// A `text[]`, or NULL.
        public mutating func appendInterpolation(_ values: [String]?) { pieces.append(.parameter(values.map(SQL.array))) }
        /// A name, quoted as an identifier in the text itself.
        public mutating func appendInterpolation(identifier name: String) { pieces.append(.identifier(name)) }
        /// A quoted literal in the text itself, for statements that take no parameters (`ALTER SYSTEM`, `SET`).
        public mutating func appendInterpolation(literal value: String) { pieces.append(.literal(value)) }
        /// Another statement, or a part of one.
        public mutating func appendInterpolation(_ part: SQL) { pieces += part.pieces }
    }
}
