internal import CLibPQ
public import EventLoop
import Glibc
public import Logging
import Report

extension PostgresConnection {
    /// Given unless the connection string says otherwise: a dead server is noticed within 15 seconds.
    static let defaults: KeyValuePairs = [
        "application_name": "pggraft",
        "keepalives": "1", "keepalives_idle": "5", "keepalives_interval": "3", "keepalives_count": "3",
        "tcp_user_timeout": "15000",
    ]

    /// Connects to the server that `conninfo` names. Of the environment only password sources count: see ``LibpqEnvironment``.
    ///
    /// - Parameter log: takes each statement at `.debug`: see `Sending`.
    /// - Throws: ``PostgresError/cannotConnect(node:message:code:hint:)``, with a hint that names the `.pgpass` line where a password
    ///   is missing or wrong; `DeadlineExceeded`; `CancellationError`.
    public static func connect(
        to conninfo: Conninfo, node: String, deadline: Deadline, log: Logger = Logger(label: "pggraft.postgres")
    ) async throws -> PostgresConnection {
        LibpqEnvironment.clear()
        let connection = PostgresConnection(node: node, log: log)
        do {
            try await connection.open(conninfo, deadline: deadline)
        } catch {
            throw conninfo.forwarding?.named(error) ?? error
        }
        return connection
    }

    private func open(_ conninfo: Conninfo, deadline: Deadline) async throws {
        var given = conninfo
        for (keyword, value) in PostgresConnection.defaults where given[keyword, default: ""].isEmpty { given[keyword] = value }
        given["client_encoding"] = "UTF8"
        for (keyword, value) in given.options where holdsNul(keyword) || holdsNul(value) {
            throw PostgresError.cannotConnect(node: node, message: "the value of \(keyword) holds a NUL byte")
        }
        let parameters = given.options

        var progress = "resolving the host's name"
        func finished<Value>(_ outcome: Lent<Value>) throws -> Value {
            switch outcome {
            case .done(let value): return value
            case .impossible(let why): throw PostgresError.cannotConnect(node: node, message: "no resources on this machine: \(why.fact)")
            case .stopped(.cancelled): throw CancellationError()
            case .stopped:
                throw DeadlineExceeded(
                    waitedFor: "\(node) to accept a connection (\(conninfo.address))", budget: deadline.budget, lastSeen: progress)
            }
        }

        guard let handle = try finished(await offLoop(until: deadline, { Handle(parameters) })) else {
            throw PostgresError.cannotConnect(node: node, message: "out of memory")
        }
        // PQconnectPoll resolves the next host's name, and reads password and certificate files: off the loop, too.
        var polling = handle.isBad ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
        while polling != PGRES_POLLING_OK {
            guard polling != PGRES_POLLING_FAILED, handle.socket >= 0 else { throw ConnectFailure(handle, conninfo).error(node: node) }
            progress = handle.progress
            // The socket changes when libpq goes on to another address.
            let readiness: EventLoop.Readiness = polling == PGRES_POLLING_READING ? .readable : .writable
            let wake = await sleep(until: deadline, watching: (handle.socket, readiness))
            guard wake == .signalled else { return try finished(Lent<Void>.stopped(wake)) }
            polling = try finished(await offLoop(until: deadline) { PQconnectPoll(handle.pointer) })
        }
        guard PQsetnonblocking(handle.pointer, 1) == 0 else {
            throw PostgresError.cannotConnect(node: node, message: handle.message)
        }
        serverVersion = ServerVersion(number: Int(PQserverVersion(handle.pointer)))
        backendPID = PQbackendPID(handle.pointer)
        isTLS = PQsslInUse(handle.pointer) == 1
        self.handle = handle
        if handle.parameterStatus("standard_conforming_strings") != "on" {
            try await query("SET standard_conforming_strings = on", deadline: deadline)
        }
    }
}

extension Conninfo {
    fileprivate subscript(keyword: String, default fallback: String) -> String { self[keyword] ?? fallback }

    /// Where the connection goes, as far as the connection string itself says.
    fileprivate var address: String {
        if let forwarding { return "host=\(forwarding.host) port=\(forwarding.port)" }
        let parts = ["service", "host", "hostaddr", "port"].compactMap { keyword in self[keyword].map { "\(keyword)=\($0)" } }
        return parts.isEmpty ? "the default socket" : parts.joined(separator: " ")
    }
}

extension Handle {
    func parameterStatus(_ name: String) -> String? {
        guard !holdsNul(name) else { return nil }
        return PQparameterStatus(pointer, name).map { String(cString: $0) }
    }

    /// How far the connection has come, for the error at the deadline.
    fileprivate var progress: String {
        let state =
            switch PQstatus(pointer) {
            case CONNECTION_STARTED: "no answer to the TCP connection yet"
            case CONNECTION_MADE, CONNECTION_AWAITING_RESPONSE: "connected, the server says nothing"
            case CONNECTION_SSL_STARTUP: "negotiating TLS"
            case CONNECTION_AUTH_OK: "authenticated, the session is starting"
            default: "connecting"
            }
        // libpq writes "connection to … failed: " before it knows, for each attempt.
        let failures = String(cString: PQerrorMessage(pointer)).split(separator: "\n").filter { !$0.trimmed.hasSuffix(":") }
        return failures.isEmpty ? state : "\(state); before: \(excerpt(failures.joined(separator: "; "), limit: 1_000))"
    }

    /// libpq's own socket directory, for which `.pgpass` says `localhost`.
    fileprivate static let defaultSocketDirectory: String? =
        // Nothing listens on port 1 there: libpq fails at once, and tells where it tried.
        Handle([("port", "1")]).flatMap { handle in PQhost(handle.pointer).map { String(cString: $0) } }

    /// The options in use, also those of the service file.
    fileprivate var optionsInUse: [String: String] {
        guard let first = PQconninfo(pointer) else { return [:] }
        defer { PQconninfoFree(first) }
        return Dictionary(LibpqOption.all(first).compactMap { option in option.value.map { (option.keyword, $0) } }) { first, _ in first }
    }
}

extension ConnectFailure {
    /// Asks libpq, and the password file, about a connection that failed.
    fileprivate init(_ handle: Handle, _ conninfo: Conninfo) {
        let text: (UnsafeMutablePointer<CChar>?) -> String = { $0.map { String(cString: $0) } ?? "" }
        let host = text(PQhost(handle.pointer))
        self.init(
            text: text(PQerrorMessage(handle.pointer)),
            host: host.hasPrefix("/") && host == Handle.defaultSocketDirectory ? "localhost" : host,
            port: text(PQport(handle.pointer)), database: text(PQdb(handle.pointer)), user: text(PQuser(handle.pointer)),
            lacksPassword: PQconnectionNeedsPassword(handle.pointer) == 1)
        let options = handle.optionsInUse
        if let file = options["passfile"], !file.isEmpty { passfile = file }
        var status = stat()
        if stat(passfile, &status) == 0 { passfileState = status.st_mode & 0o77 == 0 ? .readable : .other(mode: UInt32(status.st_mode) & 0o777) }
        guard !lacksPassword, PQconnectionUsedPassword(handle.pointer) == 1 else { return }
        let inUse = options["password"] ?? ""
        source =
            if inUse.isEmpty { .file } else if conninfo["password"] == inUse { .connectionString } else if getenv("PGPASSWORD").map({ String(cString: $0) }) == inUse {
                .environment
            } else { .service }
    }
}
