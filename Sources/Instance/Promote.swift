public import EventLoop
public import PostgresClient
import PostgresConfig
import RemoteHost

/// A promotion that is complete.
public struct Promotion: Sendable, Hashable {
    /// The new timeline.
    public let timeline: UInt32
    /// The timeline it was a standby on.
    public let previousTimeline: UInt32
    /// Where it left that timeline: everything before is the primary's, everything behind its own.
    public let switchpoint: LSN
}

extension Instance {
    /// Makes a primary of the standby: `pg_ctl promote`, then waits until it has left recovery and the new timeline's
    /// history is written.
    ///
    /// `SELECT pg_promote()` is not used: its snapshot can stand in the way of what is still to be replayed.
    /// - Parameter connect: makes a connection to this instance; it is closed again.
    /// - Throws: ``InstanceError/cannotPromote(node:host:output:)`` when it is no standby; `DeadlineExceeded`, and then the
    ///   promotion may still go on.
    public func promote(
        connecting connect: @Sendable (Deadline) async throws -> PostgresConnection, deadline: Deadline
    ) async throws -> Promotion {
        let result = try await host.run(program("pg_ctl", ["promote", "-W", "-D", dataDirectory.path]), deadline: deadline)
        guard result.succeeded else {
            throw InstanceError.cannotPromote(node: node, host: host.name, output: result.errorText.isEmpty ? result.text : result.errorText)
        }
        return try await promotion(connecting: connect, deadline: deadline)
    }

    /// Waits until the instance has left recovery, and says on which timeline.
    /// - Throws: `DeadlineExceeded`.
    public func promotion(
        connecting connect: @Sendable (Deadline) async throws -> PostgresConnection, deadline: Deadline
    ) async throws -> Promotion {
        let walFile = try await wait(for: "\(node) on \(host.name) to leave recovery", until: deadline) { () -> Look<String> in
            do {
                let connection = try await connect(deadline)
                let isRecovering: Bool
                var file: String?
                do {
                    isRecovering = try await connection.query("SELECT pg_is_in_recovery() AS recovering", deadline: deadline).one().get("recovering")
                    if !isRecovering { file = try await connection.query(currentWALFile, deadline: deadline).one().get("file") }
                } catch {
                    await connection.close()
                    throw error
                }
                await connection.close()
                return file.map { .found($0) } ?? .notYet("in recovery")
            } catch let error as PostgresError {
                switch error {
                // A standby without hot_standby takes no connections until it is a primary: 57P03, cannot_connect_now.
                case .cannotConnect(_, _, nil, _), .cannotConnect(_, _, "57P03", _), .connectionLost: return .notYet(error.fact)
                case .cannotConnect, .server, .cannotSend: throw error
                }
            }
        }
        guard let timeline = TimelineHistory.timeline(ofWALFile: walFile) else {
            throw UnexpectedAnswer(node: node, text: "\(walFile) is no name of a WAL file")
        }
        let file = dataDirectory / features.walDirectory / TimelineHistory.fileName(of: timeline)
        let text = try await wait(for: "\(file) on \(host.name)", until: deadline) { () -> Look<String> in
            guard let bytes = try await host.read(file, as: user, deadline: deadline) else { return .notYet("timeline \(timeline), no such file") }
            return .found(String(decoding: bytes, as: UTF8.self))
        }
        guard let last = TimelineHistory(text)?.switches.last else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "\(file)")
        }
        return Promotion(timeline: timeline, previousTimeline: last.timeline, switchpoint: last.at)
    }

    private var currentWALFile: SQL {
        switch features.walNaming {
        case .wal: "SELECT pg_walfile_name(pg_current_wal_lsn()) AS file"
        case .xlog: "SELECT pg_xlogfile_name(pg_current_xlog_location()) AS file"
        }
    }
}
