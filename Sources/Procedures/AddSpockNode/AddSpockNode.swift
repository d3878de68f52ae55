public import Playbook
import Report
public import Run

/// Adds a node to a Spock cluster from a pgBackRest copy of one of its nodes.
///
/// The sixteen steps of "Adding a Node with Minimal Downtime with pgBackRest", with the document's numbers, in the order
/// that keeps every row: Spock leaves the preload list (7) before the copy is first started (8), both before the cluster
/// is closed (5, 6); the subscriptions (15) exist before it is opened again (14).
public struct AddSpockNode: Sendable {
    let seed: Seed

    public init(_ playbook: Playbook.AddSpockNode, access: ClusterAccess, undo: UndoOptions = UndoOptions()) {
        seed = Seed(playbook: playbook, access: access, undo: undo)
    }

    public static let name = "add-spock-node"

    public var steps: [any Step] {
        [
            CheckRequirements(seed: seed),
            ConfigureBackRest(seed: seed),  // 1
            ArchiveSource(seed: seed),  // 1
            CreateStanza(seed: seed),  // 1
            TakeBackup(seed: seed),  // 2
            Restore(seed: seed),  // 3
            SetUpStreaming(seed: seed),  // 4
            RemovePreload(seed: seed),  // 7
            StartStandby(seed: seed),  // 8
            CatchUp(seed: seed),  // 4
            MakeReadOnly(seed: seed),  // 5    the window opens
            EndTransactions(seed: seed),  // 6
            DrainMesh(seed: seed),  // 6
            CreateSlots(seed: seed),  // 15
            PromoteNewNode(seed: seed),  // 9
            RemoveIdentity(seed: seed),  // 10
            RestorePreload(seed: seed),  // 11
            RestartNewNode(seed: seed),  // 12
            AddNode(seed: seed),  // 13
            Subscribe(seed: seed),  // 15
            HoldDrainedPoint(seed: seed),  // 16
            MakeReadWrite(seed: seed),  // 14   the window closes
            OpenNewNode(seed: seed),  // 14
            Verify(seed: seed),  // 16
        ]
    }

    /// The window: whatever happens between steps 5 and 14, source and peers take writes again.
    public func brackets(_ memory: Memory) -> [Bracket] {
        [
            Bracket(
                "read-only window", opens: MakeReadOnly(seed: seed).id, closes: MakeReadWrite(seed: seed).id,
                watch: { [seed] in try await seed.watchWindow() }, release: { [seed] in await seed.abandonWindow(memory) })
        ]
    }

    /// Everything that must hold before a run begins, with the numbers found. Changes nothing.
    public func findings(_ memory: Memory = Memory()) async -> [Finding] { await seed.findings(memory) }

    /// Takes the cluster's lock on the source, which is held until ``close()``; with the lock taken, says anew who has it.
    /// - Throws: ``Problem`` that says who has it; what connecting throws.
    public func takeLock(holder: Holder) async throws { try await seed.takeLock(holder: holder) }

    /// Takes the cluster's lock for a run that is taken up again, also from an earlier process of it, and ends the sessions
    /// that such a process has left on the servers.
    /// - Throws: as ``takeLock(holder:)``.
    public func takeOver(holder: Holder) async throws {
        try await seed.takeLock(holder: holder)
        await seed.endLeftOverSessions()
    }

    /// Ends connections and whatever is still held open.
    public func close() async {
        await seed.unlock()
        await seed.dropSnapshots()
        await seed.access.close()
    }
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

/// What the cluster, the hosts and the tools must be like before anything is changed.
struct CheckRequirements: Step {
    let seed: Seed
    let id = StepID("", "requirements")
    var title: String { "Check every requirement" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let findings = await seed.findings(memory)
        let problems = findings.compactMap(\.problem)
        return problems.isEmpty ? .done("all \(findings.count) are met") : .blocked(problems)
    }

    func perform(_ run: StepRun) async throws -> String { "" }
    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

extension Seed {
    /// Opens the existing nodes again on the way out of a window that was not closed in order.
    func abandonWindow(_ memory: Memory) async -> [Problem] {
        await dropSnapshots()
        closeWindow()
        return await openAll(memory)
    }
}
