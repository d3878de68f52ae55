import EventLoop
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Make the source and its peers read-only. The window opens.
struct MakeReadOnly: Step {
    static let name = "read-only"
    let mesh: SpockMesh
    let node: JoiningNode
    let window: ClosedWindow
    let lock: ClusterLock
    let sessions: HandoverSessions
    /// How long the window may last, and after how long without a sign of pggraft a node opens by itself.
    let limit: Duration, lease: Duration
    var title: String { "Make \(list(mesh.members)) read-only" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted { return .done("\(node.name) has left its source: no window is needed") }
        return .needed([
            Change("\(list(mesh.members)): a watchdog that lifts read-only by itself when pggraft has not renewed its lease for \(lease.inSeconds)"),
            Change("\(list(mesh.members)): ALTER SYSTEM SET spock.readonly, reload, read back (superusers are refused too); until \(mesh.newNode) is promoted"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        // Asked for and connected now, so that it need not be in the window.
        async let held: Void = lock.keep()
        async let kept: Void = window.remember(mesh.members, run)
        try await CreateSlots.prepare(run, on: mesh, sessions, deadline: .after(.seconds(60)))
        _ = try await (held, kept)
        try await window.begin(mesh.members, watching: [mesh.newNode], run.memory)
        await node.reached(.standby)
        await window.book("read-only")
        return "in force on \(list(mesh.members)); the window may last \(limit.inSeconds)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let problems = await window.open(run.memory)
        return problems.isEmpty ? .undone(["\(list(mesh.members)): spock.readonly is what it was"]) : .left(problems)
    }
}

extension ClosingSetting {
    /// Spock's read-only mode that refuses clients and lets subscriptions through: `user`, from 6.0 on `local`.
    static let spockReadOnly = ClosingSetting(ReadOnlyMode.setting, closingValues: [ReadOnlyMode.user.rawValue, ReadOnlyMode.local.rawValue]) { server, deadline in
        let session = SpockSession(server)
        guard let version = try await session.extensionVersion(deadline: deadline) else {
            throw Problem("\(server.name): the extension spock is gone", hint: "nothing was made read-only there")
        }
        let mode = ReadOnlyMode.closingClients(on: version)
        return Closed(value: mode.rawValue, inForce: mode.inForce(on: version).rawValue)
    }
}
