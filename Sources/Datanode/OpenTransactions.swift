public import EventLoop
import PostgresClient
public import Server

/// Which transactions the GTM holds for open, as the snapshot that it gives a coordinator has them.
///
/// One that a coordinator has committed on its datanodes and could not tell the GTM of stays so for ever: whoever meets a row of it reads
/// "Could not synchronize gxid … with GTM", or half of a transaction.
struct OpenTransactions: Equatable {
    let identifiers: Set<UInt32>

    static let look: SQL = "SELECT txid_current_snapshot()::text AS snapshot"

    /// Reads `xmin:xmax:xip_list`. The next one that it would give is among them: where nobody has asked for another since, that may be one, too.
    init?(_ snapshot: String) {
        let parts = snapshot.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let next = UInt64(parts[1]) else { return nil }
        let listed = parts[2].split(separator: ",").compactMap { UInt64($0) }
        identifiers = Set((listed + [next]).map { UInt32(truncatingIfNeeded: $0) })
    }

    /// Those that a session works at, or that are prepared.
    static let running: SQL = "SELECT DISTINCT transactionid::text AS id FROM pg_locks WHERE locktype = 'transactionid' AND transactionid IS NOT NULL"
}

extension Coordinator {
    /// The transactions of the cluster that the GTM holds for open.
    public func openTransactions(deadline: Deadline) async throws -> Set<UInt32> {
        let text: String = try await session.connection.look(OpenTransactions.look, deadline: deadline).one().get("snapshot")
        guard let open = OpenTransactions(text) else { throw UnexpectedAnswer(node: session.name, text: "txid_current_snapshot() = \(text)") }
        return open.identifiers
    }
}

extension ServerSession {
    /// The transactions of the cluster that this node works at, or has prepared.
    public func runningTransactions(deadline: Deadline) async throws -> Set<UInt32> {
        Set(try await connection.look(OpenTransactions.running, deadline: deadline).compactMap { UInt32(try $0.get("id", as: String.self)) })
    }

    /// Whether this node has committed a transaction of the cluster; `nil` where it does not know.
    public func hasCommitted(_ transaction: UInt32, deadline: Deadline) async throws -> Bool? {
        do {
            return try await connection.query(InDoubtTransaction.committed(transaction), deadline: deadline).first?.optional("committed")
        } catch let error as PostgresError where error.says("could not access status of transaction") {
            // Beyond what its files reach: it has never had it.
            return nil
        }
    }
}

extension PostgresError {
    /// Whether the server's own words begin so: `XX000` is what its nodes say of everything.
    func says(_ words: String) -> Bool { if case .server(_, let said) = self { said.message.hasPrefix(words) } else { false } }
}
