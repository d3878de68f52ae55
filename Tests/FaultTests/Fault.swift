import Bed
import Testing

/// Something that breaks around a run, and how it is mended.
enum Fault: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case newNodeCut, peerCut, newNodeOff, sourceOff, peerFrozen, newNodeFrozen, newNodeFull, newNodeCrashed, peerStopped, sessionsKilled

    var testDescription: String {
        switch self {
        case .newNodeCut: "n4 is cut off"
        case .peerCut: "the peer n2 is cut off"
        case .newNodeOff: "n4 loses power"
        case .sourceOff: "the source n1 loses power"
        case .peerFrozen: "the peer n3 freezes"
        case .newNodeFrozen: "n4 freezes"
        case .newNodeFull: "the disk of n4 is full"
        case .newNodeCrashed: "PostgreSQL on n4 crashes"
        case .peerStopped: "PostgreSQL on the peer n2 stops"
        case .sessionsKilled: "every SSH session ends"
        }
    }

    /// The host that is not well; none where all of them are.
    var host: String? {
        switch self {
        case .newNodeCut, .newNodeOff, .newNodeFrozen, .newNodeFull, .newNodeCrashed: "n4"
        case .peerCut, .peerStopped: "n2"
        case .peerFrozen: "n3"
        case .sourceOff: "n1"
        case .sessionsKilled: nil
        }
    }

    func strike(_ bed: Bed) async throws {
        switch self {
        case .newNodeCut, .peerCut: try await bed.host(host ?? "").cut()
        case .newNodeOff, .sourceOff: try await bed.host(host ?? "").powerOff()
        case .peerFrozen, .newNodeFrozen: try await bed.host(host ?? "").freeze()
        case .newNodeFull: try await bed.host("n4").fillDisk()
        case .newNodeCrashed:
            // As a worker that breaks down: the postmaster ends all the others and starts again. Before the restore there is none.
            _ = try await bed.host("n4").execute("pkill -SEGV -f '^postgres: (checkpointer|15/main: checkpointer)' ; :")
        case .peerStopped: try await bed.host("n2").stopPostgres(mode: "immediate")
        case .sessionsKilled:
            for name in Bed.meshNodes + ["n4", "repo"] {
                // Only the sessions: the listener is the oldest process called so. pkill says 1 where there are none.
                _ = try await bed.host(name).execute("pkill -KILL -f '^sshd: dba' ; :")
            }
        }
    }

    /// Mends it. The server of a node that had lost power is started, as an init system would.
    func mend(_ bed: Bed) async throws {
        switch self {
        case .newNodeCut, .peerCut: try await bed.host(host ?? "").heal()
        case .newNodeOff:
            try await bed.host("n4").powerOn()
        case .sourceOff:
            try await bed.host("n1").powerOn()
            try await bed.host("n1").run("install -d -o postgres -g postgres -m 2775 /run/postgresql")
            try await bed.host("n1").startPostgres()
        case .peerFrozen, .newNodeFrozen: try await bed.host(host ?? "").thaw()
        case .newNodeFull: try await bed.host("n4").freeDisk()
        case .peerStopped: try await bed.host("n2").startPostgres()
        case .newNodeCrashed, .sessionsKilled: break
        }
    }
    /// What an operator does before going on with a node that has crashed: Spock 5.0 applies a few transactions there again
    /// (and pglogical does), which doubles rows of a table without a primary key.
    /// - Returns: the rows that were removed.
    func repair(_ bed: Bed) async throws -> Int {
        guard self == .sourceOff || self == .peerStopped, let host else { return 0 }
        try await awaitMesh(bed)
        return try await removeDoubledEvents(on: host, of: bed)
    }
}

/// Takes away the rows that a transaction which was applied twice has doubled in the table without a primary key.
/// - Returns: how many there were.
func removeDoubledEvents(on node: String, of bed: Bed) async throws -> Int {
    // The table is in an insert-only set: what is deleted here is deleted nowhere else.
    let removed = try await bed.psql(
        node,
        """
        SET spock.readonly = off;
        WITH doubled AS (DELETE FROM app.events WHERE ctid IN (
            SELECT ctid FROM (SELECT ctid, row_number() OVER (PARTITION BY node, writer, seq) AS number FROM app.events) rows WHERE number > 1) RETURNING 1)
        SELECT count(*) FROM doubled
        """)
    guard let count = Int(removed) else { throw BedError.unexpected("not a number of rows: \(removed)") }
    return count
}

/// When it strikes: at copy time, inside of the window, during the join; a host that answers no more at every step of the join.
struct FaultCase: Sendable, CustomTestStringConvertible {
    var fault: Fault
    var step: String
    var isLive = false

    var testDescription: String { "\(isLive ? "live: " : "")\(fault.testDescription) in \(step)" }

    /// Whether the new node's server may have crashed while it read what the others write, after which Spock 5.0 applies some of it again.
    var mayDouble: Bool { (fault == .newNodeOff || fault == .newNodeCrashed) && ["subscriptions", "verify", "open-new-node"].contains(step) }

    /// The steps behind the window: the members write, and their slots keep it for the new node.
    static let join = ["remove-identity", "restore-preload", "restart", "add-node", "subscriptions", "verify", "open-new-node"]

    static func all() -> [FaultCase] {
        Fault.allCases.flatMap { fault in
            (["restore", "drain"] + (fault.isSilence ? join : ["subscriptions"])).map { FaultCase(fault: fault, step: $0) }
                + ["slots", "pass-slots", "remove-identity", "subscriptions"].map { FaultCase(fault: fault, step: $0, isLive: true) }
        }
    }
}

extension Fault {
    /// Whether a host answers no more.
    fileprivate var isSilence: Bool { [.newNodeCut, .peerCut, .newNodeOff, .sourceOff, .peerFrozen, .newNodeFrozen].contains(self) }
}
