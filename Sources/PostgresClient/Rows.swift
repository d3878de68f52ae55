public import Report

/// The answer to a query: rows of named columns, in text form until they are read as a type.
public struct Rows: Sendable, RandomAccessCollection {
    public let columns: [String]
    let values: [[String?]]
    /// `INSERT 0 3`, `SELECT 1` … as the server says it.
    public let commandTag: String
    /// The node that answered; errors name it.
    public let node: String?

    public init(columns: [String], values: [[String?]], commandTag: String = "", node: String? = nil) {
        self.columns = columns
        self.values = values
        self.commandTag = commandTag
        self.node = node
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { values.count }
    public subscript(position: Int) -> Row { Row(columns: columns, values: values[position], node: node) }

    /// The only row.
    /// - Throws: ``UnexpectedAnswer`` when there is none, or more than one.
    public func one() throws -> Row {
        guard count == 1 else { throw UnexpectedAnswer(node: node, text: "expected one row, got \(count)") }
        return self[0]
    }
}

/// One row of an answer.
public struct Row: Sendable {
    public let columns: [String]
    let values: [String?]
    let node: String?

    /// The value of `column` as `type`.
    /// - Throws: ``UnexpectedAnswer`` when there is no such column, it is NULL, or it does not read as `type`.
    public func get<Value: PostgresDecodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        guard let value = try optional(column, as: type) else { throw UnexpectedAnswer(node: node, text: "\(column) is NULL") }
        return value
    }

    /// The value of `column` as `type`, or `nil` where it is NULL.
    public func optional<Value: PostgresDecodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value? {
        guard let index = columns.firstIndex(of: column) else {
            throw UnexpectedAnswer(node: node, text: "no column \(column) among \(columns.joined(separator: ", "))")
        }
        guard let text = values[index] else { return nil }
        guard let value = Value(postgresText: text) else {
            throw UnexpectedAnswer(node: node, text: "\(column) = \(text) is no \(type)")
        }
        return value
    }
}

/// An answer that is not of the expected form: a sign of an unknown version, never of a user's mistake.
public struct UnexpectedAnswer: Explained {
    public let node: String?
    public let text: String

    public init(node: String? = nil, text: String) {
        self.node = node
        self.text = text
    }

    public var fact: String { (node.map { "\($0): " } ?? "") + "unexpected answer: \(text)" }
    public var hint: String? { nil }
}

/// A type that is read from PostgreSQL's text form.
public protocol PostgresDecodable {
    init?(postgresText: String)
}

extension String: PostgresDecodable { public init?(postgresText: String) { self = postgresText } }
extension Int: PostgresDecodable { public init?(postgresText: String) { self.init(postgresText) } }
extension Int64: PostgresDecodable { public init?(postgresText: String) { self.init(postgresText) } }
extension UInt32: PostgresDecodable { public init?(postgresText: String) { self.init(postgresText) } }
extension Double: PostgresDecodable { public init?(postgresText: String) { self.init(postgresText) } }
extension LSN: PostgresDecodable { public init?(postgresText: String) { self.init(postgresText) } }
extension Bool: PostgresDecodable {
    public init?(postgresText: String) {
        switch postgresText {
        case "t": self = true
        case "f": self = false
        default: return nil
        }
    }
}
/// A one-dimensional array without NULLs.
extension [String]: PostgresDecodable {
    public init?(postgresText: String) {
        guard let elements = PostgresArray.elements(postgresText) else { return nil }
        self = elements
    }
}
