import Playbook
import ProcedureKit
import Report
public import Run
import Spock

/// Adds a node to a Spock cluster from a pgBackRest copy of one of its nodes.
///
/// The sixteen steps of "Adding a Node with Minimal Downtime with pgBackRest", with the document's numbers, in the order
/// that keeps every row: Spock leaves the preload list (7) before the copy is first started (8), both before the cluster
/// is closed (5, 6); the subscriptions (15) exist before it is opened again (14).
public struct AddSpockNode: Procedure {
    let seed: Seed
    private let text: RunOrigin

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.AddSpockNode, from origin: RunOrigin, _ ways: Ways, undo: UndoOptions = UndoOptions()) throws {
        seed = Seed(playbook: playbook, access: ClusterAccess(try Roster(playbook), ways, sessionSettings: SpockSession.settings), undo: undo)
        text = origin
    }

    public static let name = "add-spock-node"
    public var name: String { Self.name }
    public var cluster: String { seed.playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var requirements: [RequirementGroup] { [RequirementGroup("everything", [Everything(seed: seed)])] }

    public var steps: [ListedStep] {
        [
            ListedStep("1", ConfigureBackRest(seed: seed)),
            ListedStep("1", ArchiveSource(seed: seed)),
            ListedStep("1", CreateStanza(seed: seed)),
            ListedStep("2", TakeBackup(seed: seed)),
            ListedStep("3", Restore(seed: seed)),
            ListedStep("4", SetUpStreaming(seed: seed)),
            ListedStep("7", RemovePreload(seed: seed)),
            ListedStep("8", StartStandby(seed: seed)),
            ListedStep("4", CatchUp(seed: seed)),
            ListedStep("5", MakeReadOnly(seed: seed)),  // the window opens
            ListedStep("6", EndTransactions(seed: seed)),
            ListedStep("6", DrainMesh(seed: seed)),
            ListedStep("15", CreateSlots(seed: seed)),
            ListedStep("9", PromoteNewNode(seed: seed)),
            ListedStep("10", RemoveIdentity(seed: seed)),
            ListedStep("11", RestorePreload(seed: seed)),
            ListedStep("12", RestartNewNode(seed: seed)),
            ListedStep("13", AddNode(seed: seed)),
            ListedStep("15", Subscribe(seed: seed)),
            ListedStep("16", HoldDrainedPoint(seed: seed)),
            ListedStep("14", MakeReadWrite(seed: seed)),  // the window closes
            ListedStep("14", OpenNewNode(seed: seed)),
            ListedStep("16", Verify(seed: seed)),
        ]
    }

    /// The window: whatever happens between steps 5 and 14, source and peers take writes again.
    public func brackets(_ memory: Memory) -> [Bracket] {
        [
            Bracket(
                "read-only window", opens: MakeReadOnly.name, closes: MakeReadWrite.name,
                watch: { [seed] in try await seed.watchWindow() }, release: { [seed] in await seed.abandonWindow(memory) })
        ]
    }

    /// The lock on the source.
    public func takeLock(holder: Holder) async throws { try await seed.takeLock(holder: holder) }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await seed.takeLock(holder: holder)
        await seed.endLeftOverSessions()
    }

    public func closingWords(run: String) -> [String] { ["Done. Nothing was lost."] }

    public func afterFailure(_ failure: RunFailure) -> AfterFailure {
        if !failure.notOpened.isEmpty { return .stays(failure.step == nil ? "\(Problem(explaining: failure.cause).fact)." : "") }
        return .stays(failure.opened.isEmpty ? "No node is read-only because of it." : "Every node that was closed is open again.")
    }

    public func close() async {
        await seed.unlock()
        await seed.dropSnapshots()
        await seed.access.close()
    }
}

extension Roster {
    /// The nodes that there are, the new one, and the repository's host.
    init(_ playbook: Playbook.AddSpockNode) throws {
        let osUser = playbook.cluster.osUser
        var entries = try playbook.cluster.nodes.map { try Entry($0, osUser: osUser) }
        entries.append(try Entry(playbook.newNode.node, osUser: osUser, dataDirectory: playbook.newNode.dataDirectory, copyOf: playbook.source.name))
        var others: [Entry] = []
        if case .host(let repository) = playbook.copy.repository {
            others.append(Entry(name: repository.ssh, ssh: repository.ssh, address: repository.address, osUser: repository.user))
        }
        self.init(entries, otherHosts: others, database: playbook.cluster.database, role: playbook.cluster.user)
    }
}

struct Everything: Requirement {
    let name = "everything"
    let seed: Seed
    func look(_ memory: Memory) async -> [Finding] { await seed.findings(memory) }
}

/// What an undo may do beyond taking back what is whole elsewhere.
public struct UndoOptions: Sendable {
    /// Empty the data directory that the run restored into.
    public var purgesData: Bool
    /// Give up what clients wrote on the new node and no other node has read.
    public var givesUpWrites: Bool

    public init(purgesData: Bool = false, givesUpWrites: Bool = false) {
        (self.purgesData, self.givesUpWrites) = (purgesData, givesUpWrites)
    }
}

extension Seed {
    /// Opens the existing nodes again on the way out of a window that was not closed in order.
    func abandonWindow(_ memory: Memory) async -> [Problem] {
        await dropSnapshots()
        closeWindow()
        return await openAll(memory)
    }
}
