public import EventLoop

/// A connection to one server.
public actor PostgresConnection {
    public nonisolated let node: String
    private nonisolated let loop = EventLoop.next()
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private init(node: String) { self.node = node }

    public static func connect(to conninfo: Conninfo, node: String, deadline: Deadline) async throws -> PostgresConnection {
        throw PostgresError.cannotConnect(node: node, message: "under construction")
    }

    @discardableResult
    public func query(_ sql: SQL, deadline: Deadline) async throws -> Rows {
        throw PostgresError.connectionLost(node: node, message: "under construction")
    }

    public func close() {}
}
