/// What went wrong between pggraft and a server, and on which node.
public enum PostgresError: Error, Sendable, CustomStringConvertible {
    /// The server answered with an error.
    case server(node: String, ServerError)
    /// The connection could not be made; `message` is libpq's, without secrets.
    case cannotConnect(node: String, message: String)
    /// The connection was lost. Whether the last statement took effect is unknown.
    case connectionLost(node: String, message: String)

    /// An error as the server sends it. <https://www.postgresql.org/docs/current/protocol-error-fields.html>
    public struct ServerError: Sendable, Hashable {
        public var severity: String
        /// SQLSTATE, five characters.
        public var code: String
        public var message: String
        public var detail: String?
        public var hint: String?
        public var context: String?
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
        case .server(let node, _), .cannotConnect(let node, _), .connectionLost(let node, _): node
        }
    }

    /// SQLSTATE of a server error; `nil` for a failure of the connection.
    public var code: String? {
        if case .server(_, let error) = self { error.code } else { nil }
    }

    public var description: String {
        switch self {
        case .server(let node, let error):
            "\(node): \(error.severity): \(error.message) (SQLSTATE \(error.code))"
                + (error.detail.map { "\n  DETAIL: \($0)" } ?? "") + (error.hint.map { "\n  HINT: \($0)" } ?? "")
        case .cannotConnect(let node, let message): "\(node): cannot connect to PostgreSQL: \(message)"
        case .connectionLost(let node, let message): "\(node): connection to PostgreSQL lost: \(message)"
        }
    }
}
