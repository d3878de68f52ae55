public import EventLoop
import PostgresClient
import Report
public import Server

/// A transaction of the whole cluster that a node has prepared, and of which it was not told what becomes: what the other nodes know of it.
///
/// The rule was measured under writers (fixtures/contract/postgres-xc-1.2.md): what one node has committed was committed. Only that one has says anything: the coordinator
/// where it began says that it has not, although a datanode has.
public struct InDoubtTransaction: Sendable, Hashable {
    /// Its identifier in the whole cluster, which the GTM has given.
    public let transaction: UInt32
    /// As it is prepared.
    public var identifier: String { "T\(transaction)" }

    /// `nil` for one that was prepared by somebody else than a coordinator.
    public init?(identifier: String) {
        guard identifier.hasPrefix("T"), let number = UInt32(identifier.dropFirst()), number > 2 else { return nil }
        transaction = number
    }

    /// What one node knows of it.
    public struct Answer: Sendable, Hashable {
        /// Whether it has committed it; `nil` where it does not know: it may be running or prepared there, or never have been.
        public var isCommitted: Bool?
        public var isPrepared: Bool
        /// Whether a session works at it.
        public var isRunning: Bool

        public init(isCommitted: Bool?, isPrepared: Bool = false, isRunning: Bool = false) {
            (self.isCommitted, self.isPrepared, self.isRunning) = (isCommitted, isPrepared, isRunning)
        }
    }

    /// What is to become of it.
    public enum Verdict: Sendable, Hashable {
        case commit(String)
        case rollBack(String)
        /// Somebody may still decide it.
        case wait(String)
        /// Nobody who can be asked knows.
        case unknown(String)
    }

    /// What the answers of all other nodes come to.
    /// - Parameters:
    ///   - answers: by node.
    ///   - silentDatanodes: those that could not be asked: one of them may have committed it.
    ///   - silentCoordinators: a session there may still decide what a datanode has prepared.
    public static func verdict(_ answers: [String: Answer], silentDatanodes: [String], silentCoordinators: [String]) -> Verdict {
        func names(_ holds: (Answer) -> Bool) -> [String] { answers.filter { holds($0.value) }.keys.sorted() }
        let committed = names { $0.isCommitted == true }
        if !committed.isEmpty { return .commit("\(list(committed)) \(committed.count == 1 ? "has" : "have") committed it") }
        let running = names(\.isRunning)
        if !running.isEmpty { return .wait("a session of \(list(running)) works at it") }
        if !silentDatanodes.isEmpty { return .unknown("\(list(silentDatanodes)) cannot be asked, and may have committed it") }
        let prepared = names(\.isPrepared)
        if !prepared.isEmpty {
            return silentCoordinators.isEmpty
                ? .wait("it is prepared on \(list(prepared)) too")
                : .unknown("it is prepared on \(list(prepared)) too, and \(list(silentCoordinators)), which cannot be asked, may decide it")
        }
        return .rollBack("no node has committed it, and none works at it")
    }

    /// The same while clients write: what a session works at is not in doubt, whatever a node has committed of it, and a coordinator that cannot be asked may
    /// have one that does. A session holds its transaction from before the first node prepares it until it is ended on the last.
    public static func verdictUnderWriters(_ answers: [String: Answer], silentDatanodes: [String], silentCoordinators: [String]) -> Verdict {
        let running = answers.filter(\.value.isRunning).keys.sorted()
        if !running.isEmpty { return .wait("a session of \(list(running)) works at it") }
        if !silentCoordinators.isEmpty { return .unknown("\(list(silentCoordinators)) cannot be asked, and may work at it") }
        // Prepared elsewhere, too, it has to be ended there as well.
        let others = answers.mapValues { Answer(isCommitted: $0.isCommitted) }
        return verdict(others, silentDatanodes: silentDatanodes, silentCoordinators: [])
    }

    static func look(_ transaction: UInt32) -> SQL {
        """
        SELECT EXISTS (SELECT 1 FROM pg_prepared_xacts WHERE gid = \("T\(transaction)")) AS prepared, \
        EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND granted AND pid IS NOT NULL AND transactionid::text = \("\(transaction)")) AS running
        """
    }

    /// A transaction identifier has no cast from a number there.
    static func committed(_ transaction: UInt32) -> SQL { "SELECT pgxc_is_committed(\(literal: "\(transaction)")) AS committed" }

    static func end(_ identifier: String, commit: Bool) -> SQL { commit ? "COMMIT PREPARED \(literal: identifier)" : "ROLLBACK PREPARED \(literal: identifier)" }
}

extension ServerSession {
    /// What this node knows of a transaction of the cluster.
    public func answer(of transaction: InDoubtTransaction, deadline: Deadline) async throws -> InDoubtTransaction.Answer {
        let row = try await connection.look(InDoubtTransaction.look(transaction.transaction), deadline: deadline).one()
        let committed = try await hasCommitted(transaction.transaction, deadline: deadline)
        return InDoubtTransaction.Answer(isCommitted: committed, isPrepared: try row.get("prepared"), isRunning: try row.get("running"))
    }

    /// Ends a prepared transaction of this database. One that is not there any more was ended by somebody else, or is about to be.
    /// - Returns: whether it was there for us.
    public func endPrepared(_ transaction: InDoubtTransaction, commit: Bool, deadline: Deadline) async throws -> Bool {
        do {
            try await connection.query(InDoubtTransaction.end(transaction.identifier, commit: commit), deadline: deadline)
            return true
        } catch let error as PostgresError where ["42704", "55000"].contains(error.code) {
            return false
        }
    }
}
