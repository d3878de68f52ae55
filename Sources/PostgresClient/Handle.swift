internal import CLibPQ
import Glibc

/// A `PGconn`, finished when the last reference goes. One thread at a time uses it: the loop's, or the one it was lent to.
final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    private(set) var notices: [Notice] = []
    /// What libpq said when reading failed; later calls add noise to its message.
    private(set) var whyLost: String?

    /// Begins a connection. Blocks as long as names are resolved.
    init?(_ parameters: [(keyword: String, value: String)]) {
        let started = withCStrings(parameters.map(\.keyword)) { keywords in
            withCStrings(parameters.map(\.value)) { values in PQconnectStartParams(keywords, values, 0) }
        }
        guard let started else { return nil }
        pointer = started
        // A failed connection has no result to ask for SQLSTATE: verbose errors carry it in their text.
        PQsetErrorVerbosity(pointer, PQERRORS_VERBOSE)
        PQsetNoticeReceiver(
            pointer,
            { context, result in
                guard let context, let result else { return }
                Unmanaged<Handle>.fromOpaque(context).takeUnretainedValue().received(Notice(result, statement: ""))
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { PQfinish(pointer) }

    /// libpq's last message, on one line.
    var message: String { excerpt(String(cString: PQerrorMessage(pointer)), limit: 1_000) }
    var isBad: Bool { PQstatus(pointer) == CONNECTION_BAD }
    var socket: Int32 { PQsocket(pointer) }
    var isInTransaction: Bool { PQtransactionStatus(pointer) != PQTRANS_IDLE }

    private func received(_ notice: Notice) {
        if notices.count == 1_000 { notices.removeFirst() }
        notices.append(notice)
    }

    func takeNotices() -> [Notice] {
        defer { notices = [] }
        return notices
    }

    /// Reads what has come; `false` when the connection is lost.
    ///
    /// A TLS record may hold more than libpq takes at once (servers from 17 on, and proxies, send 16 kB), and the socket
    /// says nothing of what stayed behind in the TLS layer: read on until a read began with nothing in the socket.
    func consume() -> Bool {
        var more: Bool
        repeat {
            var socket = pollfd(fd: PQsocket(pointer), events: Int16(POLLIN), revents: 0)
            more = PQsslInUse(pointer) == 1 && poll(&socket, 1, 0) == 1
            guard PQconsumeInput(pointer) == 1 else {
                whyLost = message
                return false
            }
        } while more
        return true
    }

    /// `sql` as libpq quotes it for this connection.
    /// - Throws: ``PostgresError/cannotSend(node:message:)`` for what a server cannot be told.
    func text(of sql: SQL, node: String) throws -> String {
        func quoted(_ value: String, by quote: (OpaquePointer?, UnsafePointer<CChar>?, Int) -> UnsafeMutablePointer<CChar>?) throws -> String {
            guard !holdsNul(value) else { throw Handle.nul(in: "a quoted name or literal", node: node) }
            guard let escaped = quote(pointer, value, value.utf8.count) else {
                throw PostgresError.cannotSend(node: node, message: message)
            }
            defer { PQfreemem(escaped) }
            return String(cString: escaped)
        }
        let text = try sql.text(
            quoteIdentifier: { try quoted($0, by: PQescapeIdentifier) },
            quoteLiteral: { value, _ in try quoted(value, by: PQescapeLiteral) })
        guard !holdsNul(text) else { throw Handle.nul(in: "the statement", node: node) }
        if let index = sql.parameters.firstIndex(where: { $0.map(holdsNul) == true }) {
            throw Handle.nul(in: "the value of $\(index + 1)", node: node)
        }
        return text
    }

    private static func nul(in place: String, node: String) -> PostgresError {
        .cannotSend(node: node, message: "\(place) holds a NUL byte, which PostgreSQL's text types cannot")
    }

    /// Hands a statement to libpq; `false` when libpq refuses it.
    func send(_ text: String, _ parameters: [String?]) -> Bool {
        withCStrings(parameters) { values in
            PQsendQueryParams(pointer, text, Int32(clamping: parameters.count), nil, values, nil, nil, 0)
        } == 1
    }

    /// Hands over a text of several statements, as one simple query.
    func send(script text: String) -> Bool { PQsendQuery(pointer, text) == 1 }
}

/// A C string would end there.
func holdsNul(_ text: String) -> Bool {
    text.utf8.withContiguousStorageIfAvailable { bytes in bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false } ?? text.utf8.contains(0)
}

/// Lends `texts` as C strings, NULL for `nil` and at the end.
private func withCStrings<Result>(
    _ texts: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    let copies = texts.map { $0.map { UnsafePointer(strdup($0)) } ?? nil }
    defer { for copy in copies { free(UnsafeMutableRawPointer(mutating: copy)) } }
    return body(copies + [nil])
}
