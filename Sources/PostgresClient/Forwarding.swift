import EventLoop

/// Where a connection through a forwarded port begins and ends. What goes wrong on it is told of the server that the operator named,
/// not of this machine's end of the way.
struct Forwarding: Sendable {
    /// The server's.
    var host: String
    var port: String
    /// Of the server's, where that is a Unix-domain socket.
    var socket: String?
    /// This machine's.
    var localAddress: String
    var localPort: String

    /// `text` of libpq, with the server's port, or socket, and without our address.
    func named(_ text: String) -> String {
        if let socket {
            return text.replacing("at \"\(localAddress)\", port \(localPort) ", with: "on socket \"\(socket)\" ")
                .replacing("at \"\(host)\" (\(localAddress)), port \(localPort) ", with: "on socket \"\(socket)\" ")
        }
        return text.replacing(" (\(localAddress)), port \(localPort) ", with: ", port \(port) ")
            .replacing("\"\(localAddress)\", port \(localPort) ", with: "\"\(host)\", port \(port) ")
    }

    func named(_ error: any Error) -> any Error {
        switch error {
        case PostgresError.cannotConnect(let node, let message, let code, let hint):
            PostgresError.cannotConnect(node: node, message: named(message), code: code, hint: hint)
        case PostgresError.connectionLost(let node, let message, let code):
            PostgresError.connectionLost(node: node, message: named(message), code: code)
        case let error as DeadlineExceeded:
            DeadlineExceeded(waitedFor: error.waitedFor, budget: error.budget, lastSeen: error.lastSeen.map(named))
        default: error
        }
    }
}
