import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

/// Step 8: start the new node as a standby of the source.
struct StartStandby: Step {
    let seed: Seed
    static let name = "start-standby"
    var title: String { "Start \(seed.newNode) as a standby of \(seed.source)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        if state > .standby { return .done("\(seed.newNode) is \(state)") }
        if state == .standby, try await seed.isNewNodeRunning(), try await seed.isStreaming() { return .done("\(seed.newNode) streams from \(seed.source)") }
        return .needed([Change("\(seed.newNode): start, and wait until \(seed.source) has it in pg_stat_replication")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let began = ContinuousClock.Instant.now
        let clone = try await seed.instance(seed.newNode)
        try await seed.setRestoreCommand(true, run)
        try await clone.start(deadline: .copy)
        try await wait(for: "\(seed.newNode) to stream from \(seed.source)", until: .after(.seconds(300)), every: .milliseconds(100)) {
            try await seed.isStreaming() ? .found(()) : .notYet("\(seed.source) has no walsender for \(seed.newNode); see the log of \(seed.newNode)")
        }
        return "it streams, \(began.duration(to: .now).inSeconds) after its start"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        try await seed.stopNewNode(run.memory)
    }
}

/// Part of step 4: wait until the standby, and the mesh itself, are close enough for a short window.
struct CatchUp: Step {
    let seed: Seed
    static let name = "catch-up"
    var title: String { "Let \(seed.newNode) and the mesh catch up" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        if state > .standby { return .done("\(seed.newNode) is \(state)") }
        return .needed([Change("\(seed.newNode): less than \(seed.playbook.handover.catchUpLag) behind \(seed.source); a sync event crosses the mesh in less than a second")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let limit = seed.playbook.handover.catchUpLag.bytes
        let lag = try await wait(for: "\(seed.newNode) to come within \(seed.playbook.handover.catchUpLag) of \(seed.source)", until: .copy, every: .milliseconds(200)) {
            () -> Look<Int64> in
            let lag = try await seed.replayLag()
            run.progress("\(seed.newNode) is \(UInt64(max(0, lag)).inBytes) behind \(seed.source)")
            return lag < limit ? .found(lag) : .notYet("\(lag) bytes behind")
        }
        // A rehearsal of the window's longest part, with everybody still writing.
        let took = try await wait(for: "a sync event to cross the mesh in less than a second", until: .after(.seconds(4 * 3600)), every: .milliseconds(200)) {
            () -> Look<Duration> in
            let began = ContinuousClock.Instant.now
            _ = try await seed.drainMesh(seed.members, deadline: .after(.seconds(3600)))
            let took = began.duration(to: .now)
            run.progress("a sync event took \(took.inSeconds) to cross the mesh")
            return took < .seconds(1) ? .found(took) : .notYet("it took \(took.inSeconds)")
        }
        // A promotion asks the archive for what comes next, which takes longer than everything else in it.
        try await seed.setRestoreCommand(false, run)
        return "\(UInt64(max(0, lag)).inBytes) behind \(seed.source); a sync event crosses the mesh in \(took.inSeconds)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

/// Step 9: promote the new node.
struct PromoteNewNode: Step {
    let seed: Seed
    static let name = "promote"
    var title: String { "Promote \(seed.newNode)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        let isRunning = try await seed.isNewNodeRunning()
        if state >= .promoted, isRunning || state >= .cleaned { return .done("\(seed.newNode) is \(state)") }
        return .needed([Change("\(seed.newNode): pg_ctl promote, then see pg_is_in_recovery() = f and the new timeline's history file")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = await seed.stepDeadline(.seconds(120))
        let clone = try await seed.instance(seed.newNode)
        let promotion: Promotion
        if try await seed.cloneState(run.memory) >= .promoted {
            // Promoted by an earlier attempt, and stopped since.
            try await clone.start(deadline: deadline)
            promotion = try await clone.promotion(connecting: seed.cloneConnector, deadline: deadline)
        } else {
            promotion = try await clone.promote(connecting: seed.cloneConnector, deadline: deadline)
        }
        await seed.reached(.promoted)
        await seed.book("promote")
        return "on timeline \(promotion.timeline), which left timeline \(promotion.previousTimeline) at \(promotion.switchpoint)"
    }

    // Before its slots are dropped, which it reads.
    func undo(_ run: StepRun) async throws -> UndoOutcome { try await seed.stopNewNode(run.memory) }
}

/// Step 12: restart the new node, now with Spock.
struct RestartNewNode: Step {
    let seed: Seed
    static let name = "restart"
    var title: String { "Restart \(seed.newNode) with Spock" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.isNewNodeRunning(), try await seed.cloneState(memory) >= .cleaned, try await seed.isSpockLoaded() {
            return .done("Spock is loaded")
        }
        return .needed([Change("\(seed.newNode): stop, remove \(seed.playbook.newNode.dataDirectory)/spock if it is there, start")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = await seed.stepDeadline(.seconds(300))
        let clone = try await seed.instance(seed.newNode), began = ContinuousClock.Instant.now
        await seed.access.forgetServer(seed.newNode)
        if try await clone.status(deadline: deadline).isRunning { try await clone.stop(mode: .fast, deadline: deadline) }
        // Spock 6 keeps its progress there: the source's, on a copy.
        try await clone.host.remove(clone.dataDirectory / "spock", recursively: true, as: clone.user, deadline: deadline)
        try await clone.start(deadline: deadline)
        guard try await seed.isSpockLoaded() else {
            throw Problem("\(seed.newNode) runs without Spock after its restart", hint: "see shared_preload_libraries there, and pg_file_settings for who sets it")
        }
        await seed.book("restart")
        return "Spock is loaded, \(began.duration(to: .now).inSeconds)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

extension Seed {
    /// Stops the server of this run's copy. Another one in the same place is not looked for here: ``purgeDataDirectory(_:)`` names it.
    func stopNewNode(_ memory: Memory) async throws -> UndoOutcome {
        guard try !memory.holdsUnreadWrites else { return .left([waitsForUnread("the server of \(newNode)")]) }
        let clone = try await newNodeInstance(memory)
        guard try await clone.status(deadline: .after(.seconds(30))).isRunning, try await holding(clone, memory) == .copy else { return .undone([]) }
        await access.forgetServer(newNode)
        try await clone.stop(mode: .fast, deadline: .after(.seconds(120)))
        return .undone(["\(newNode) is stopped"])
    }

    func isNewNodeRunning() async throws -> Bool {
        try await instance(newNode).status(deadline: .after(.seconds(30))).isRunning
    }

    /// Whether the new node, which runs, receives WAL from the source right now.
    func isStreaming() async throws -> Bool {
        try await spock(newNode).server.isStreaming(from: try await spock(source).server, as: newNode, deadline: .after(.seconds(10)))
    }

    func isSpockLoaded() async throws -> Bool {
        try await spock(newNode).isLoaded(deadline: .after(.seconds(10)))
    }

    /// Bytes that the standby has still to replay.
    func replayLag() async throws -> Int64 {
        try await spock(newNode).server.replayLag(behind: try await spock(source).server, deadline: .after(.seconds(10)))
    }
}
