public import Report

/// What went wrong between pggraft and a server, and on which node.
public enum PostgresError: Explained {
    /// The server answered with an error.
    case server(node: String, ServerError)
    /// The connection could not be made; `message` is libpq's, without secrets. `code` is SQLSTATE where the server
    /// gave one: `28P01` (also where it asked for a password and there was none), `57P03` …
    case cannotConnect(node: String, message: String, code: String? = nil, hint: String? = nil)
    /// The connection was lost. Whether the last statement took effect is unknown. `code` is SQLSTATE where the server
    /// said why: `57P01` …
    case connectionLost(node: String, message: String, code: String? = nil)
    /// The statement was not sent: a value holds a NUL byte, a transaction is over …
    case cannotSend(node: String, message: String)

    /// An error as the server sends it. <https://www.postgresql.org/docs/current/protocol-error-fields.html>
    public struct ServerError: Sendable, Hashable {
        public var severity: String
        /// SQLSTATE, five characters.
        public var code: String
        public var message: String
        public var detail: String?
        public var hint: String?
        public var context: String?
        /// The statement's text, without the values of its parameters and without secrets.
        public var statement: String

        public init(
            severity: String, code: String, message: String, detail: String? = nil, hint: String? = nil,
            context: String? = nil, statement: String = ""
        ) {
            self.severity = severity
            self.code = code
            self.message = message
            self.detail = detail
            self.hint = hint
            self.context = context
            self.statement = statement
        }
    }

    public var node: String {
        switch self {
        case .server(let node, _), .cannotConnect(let node, _, _, _), .connectionLost(let node, _, _), .cannotSend(let node, _): node
        }
    }

    /// SQLSTATE, where the server gave one.
    public var code: String? {
        switch self {
        case .server(_, let error): error.code
        case .cannotConnect(_, _, let code, _), .connectionLost(_, _, let code): code
        case .cannotSend: nil
        }
    }

    /// Whether the server went away, or is just starting or stopping: it may be back in a moment.
    public var isServerAway: Bool { if case .connectionLost = self { true } else { code == "57P03" } }

    /// The same, also where the server has only said so of one that it connects to itself, as Spock does.
    public var saysOfServerAway: Bool {
        guard case .server(_, let error) = self else { return isServerAway }
        let words = ["the database system is ", "server closed the connection unexpectedly"], said = error.message + (error.detail ?? "")
        return isServerAway || words.contains(where: said.contains)
    }

    public var fact: String {
        switch self {
        case .server(let node, let error): "\(node): \(error.words)"
        case .cannotConnect(let node, let message, _, _): "\(node): cannot connect to PostgreSQL: \(message)"
        case .connectionLost(let node, let message, _): "\(node): connection to PostgreSQL lost: \(message)"
        case .cannotSend(let node, let message): "\(node): statement not sent: \(message)"
        }
    }

    public var hint: String? {
        switch self {
        case .server(_, let error): error.hint
        case .cannotConnect(_, _, _, let hint): hint
        case .connectionLost, .cannotSend: nil
        }
    }
}

extension PostgresError.ServerError {
    /// All but the hint: the message in one line, and what belongs to it in lines of their own.
    fileprivate var words: String {
        // Spock hides a word that is none of a password, and quotes a DSN with the password that it holds.
        func shown(_ text: String) -> String { Redaction.redacted(Redaction.unmasked(text)) }
        let more = [("DETAIL", detail), ("CONTEXT", context), ("STATEMENT", statement.isEmpty ? nil : excerpt(statement))]
        return more.reduce("\(severity): \(shown(message)) (SQLSTATE \(code))") { words, part in
            guard let text = part.1 else { return words }
            return words + "\n  \(part.0): " + shown(text).split(separator: "\n").joined(separator: "\n    ")
        }
    }
}

/// A NOTICE, WARNING or INFO of a server; the same fields as an error.
public typealias Notice = PostgresError.ServerError

/// `statement` on one line, and not longer than a reader wants it in an error.
func excerpt(_ statement: String, limit: Int = 200) -> String {
    let line = statement.onOneLine
    return line.count > limit ? line.prefix(limit) + " …" : line
}
