import Bed
import Glibc
import Report
import Run
import Testing

/// Every step killed, every host hurt. What is expected holds on a node of the cluster whatever happens to another one:
/// it takes writes again within the lease.
@Suite("FaultMatrix", .serialized, .counted)
struct FaultMatrix {
    /// The lease of the shipped playbook, and two seconds.
    static let leaseAndTwo = Duration.seconds(32)

    // MARK: Kills

    /// A run for each step, killed as it begins, three times inside of it, and before the next.
    static func resumes() throws -> [KillCase] {
        guard !isWhole else { return try KillCase.all(withBegin: true) }
        return [
            KillCase(points: [
                // Before it is promoted, a window is opened anew, in which the slots are there.
                KillPoint(step: "restore", moment: .soon), KillPoint(step: "slots", moment: .done),
                KillPoint(step: "promote", moment: .done), KillPoint(step: "subscriptions", moment: .soon),
            ]),
            KillCase(
                points: [
                    KillPoint(step: "slots", moment: .soon), KillPoint(step: "pass-slots", moment: .begun), KillPoint(step: "promote", moment: .begun),
                    KillPoint(step: "remove-identity", moment: .soon), KillPoint(step: "verify", moment: .soon),
                ], isLive: true),
        ]
    }

    @Test("killed again and again, it is resumed to the end that it would have had", arguments: try FaultMatrix.resumes())
    func killAndResume(_ each: KillCase) async throws {
        let points = each.points
        try await withLoad("kill at \(each.testDescription), and resume", playbook: each.isLive ? live : [:]) { bed, writers, run in
            try await Durations.shared.learn(for: points, in: bed, run)
            for (index, point) in points.enumerated() {
                try await run.killed(at: point, index == 0 ? run.begin : ["resume", try run.name])
            }
            try await run.succeeds(["resume", try run.name])
            let gaps = try writers.ledger().gaps(on: Bed.meshNodes)
            try await expectMesh(of: bed, writers)
            return "proven; longest gaps of the writers \(gaps)"
        }
    }

    /// A cluster for each step, on which a run is killed and undone four times, one after the other.
    static func undos() throws -> [KillCase] {
        guard !isWhole else { return try KillCase.all(withBegin: false) }
        return [KillCase(points: [KillPoint(step: "restore", moment: .soon)])]
    }

    @Test("killed, it is undone without a trace", arguments: try FaultMatrix.undos())
    func killAndUndo(_ each: KillCase) async throws {
        let points = each.points
        try await withLoad("kill at \(each.testDescription), and undo each time", playbook: each.isLive ? live : [:]) { bed, writers, run in
            try await Durations.shared.learn(for: points, in: bed, run)
            let before = try await Snapshot(of: bed)
            for point in points {
                try await run.killed(at: point, run.begin)
                try await expectUndone(by: run, in: bed, to: before)
            }
            try await expectClean(writers, bed)
            return "catalogs and files as before, \(points.count) times"
        }
    }

    // MARK: Faults

    static func faults() -> [FaultCase] {
        isWhole ? FaultCase.all().asked(\.testDescription) : [FaultCase(fault: .peerFrozen, step: "drain"), FaultCase(fault: .newNodeOff, step: "subscriptions")]
    }

    @Test("a fault ends it with an error and open nodes, and it is resumed when the fault is mended", arguments: faults())
    func faultAndResume(_ each: FaultCase) async throws {
        try await withLoad("\(each.testDescription), and resume", playbook: each.isLive ? live : [:]) { bed, writers, run in
            let program = try await run.starts(run.begin, until: KillPoint(step: each.step, moment: .begun))
            try await each.fault.strike(bed)
            let struck = ContinuousClock.now
            let output = try await program.wait(within: .seconds(600))
            let ended = struck.duration(to: .now).components.seconds
            let text = output.standardOutput + output.standardError
            if output.status != 0 {
                #expect(output.status == 1, "\(text)")
                #expect(text.contains("It failed."), "\(text)")
                #expect(text.contains("pggraft resume \(try run.name)"), "\(text)")
                if let host = each.fault.host { #expect(text.contains(host), "\(text)") }
                // Once they are read, a server takes a minute to see that nobody reads any more.
                if FaultCase.join.prefix(4).contains(each.step) { #expect(text.contains("The slots of n4 keep WAL for it"), "\(text)") }
            }
            let well = Bed.meshNodes.filter { $0 != each.fault.host }
            for node in well { try await expectWritable(bed, node) }
            let ledger = try writers.ledger()
            for node in well {
                #expect(ledger.longestGap(on: node) < Self.leaseAndTwo, "\(node) took no writes for \(ledger.longestGap(on: node))\n\(text)")
            }
            try await each.fault.mend(bed)
            var doubled = try await each.fault.repair(bed)
            if output.status != 0 {
                // As an operator would: the mesh first.
                try await awaitMesh(bed)
                if each.fault == .newNodeFull, each.step == "subscriptions", try await saysThatSpockHasDiscarded(run) {
                    try await run.succeeds(["undo", "--yes", "--purge-data", try run.name])
                    try await expectClean(writers, bed)
                    return "Spock has discarded changes on n4; told, and undone"
                }
                if each.mayDouble {
                    doubled += try await resumesDespiteDoubling(run, bed)
                } else {
                    try await run.succeeds(["resume", try run.name])
                }
            }
            try await expectMesh(of: bed, writers)
            let lines = text.split(separator: "\n"), reason = lines.firstIndex { $0.hasPrefix("✗") }.map { lines[$0 + 1].trimmingPrefix(while: \.isWhitespace).prefix(120) }
            return "pggraft \(reason.map { "gave up (\($0))" } ?? "went through") \(ended) s after; longest gaps of the writers \(ledger.gaps(on: well)); "
                + (doubled == 0 ? "" : "\(doubled) rows that Spock doubled after the crash removed by hand; ") + (output.status == 0 ? "proven" : "resumed and proven")
        }
    }

    /// Resumes a run whose new node had no room for what it applied: Spock discards that. The run is not called done, and the node stays closed.
    /// - Returns: whether it has.
    private func saysThatSpockHasDiscarded(_ run: WatchedRun) async throws -> Bool {
        let output = try await run.someone.start(["resume", try run.name]).wait(within: .seconds(400)), said = output.standardOutput + output.standardError
        guard output.status != 0 else { return false }
        #expect(said.contains("n4: spock.exception_log has grown"), "\(said)")
        #expect(try !run.entries.contains { $0.step == "open-new-node" && $0.event == .done })
        return true
    }

    /// Resumes a run whose new node has crashed as a member: what Spock has doubled there is found by the proof, and put right by hand.
    /// - Returns: how many rows that were.
    private func resumesDespiteDoubling(_ run: WatchedRun, _ bed: Bed) async throws -> Int {
        let output = try await run.someone.start(["resume", try run.name]).wait(within: .seconds(400)), said = output.standardOutput + output.standardError
        guard output.status != 0 else { return 0 }
        #expect(said.contains("the nodes differ:\n         app.events: n4 has"), "\(said)")
        let count = try await removeDoubledEvents(on: "n4", of: bed)
        try await run.succeeds(["resume", try run.name])
        return count
    }

    /// With a host gone for good, everything else is undone, and the rest when it is back.
    @Test(
        "with a host gone, it is undone in part, and wholly later", .enabled(if: isWhole, "it is a part of make test-faults"),
        arguments: [Fault.newNodeOff, .sourceOff, .newNodeCut, .newNodeFrozen, .peerCut].asked(\.testDescription))
    func faultAndUndo(_ fault: Fault) async throws {
        try await withLoad("\(fault.testDescription) after subscriptions, and undo, and undo again") { bed, writers, run in
            let before = try await Snapshot(of: bed)
            try await run.killed(at: KillPoint(step: "subscriptions", moment: .done), run.begin)
            try await fault.strike(bed)
            let output = try await run.someone.start(["undo", "--yes", "--purge-data", try run.name]).wait(within: .seconds(600))
            #expect(output.status == 1, "\(output.standardOutput)\(output.standardError)")
            #expect(output.standardError.contains(fault.host ?? ""), "\(output.standardError)")
            for node in Bed.meshNodes where node != fault.host {
                let slots = try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%n4'")
                #expect(slots == "0", "slots for n4 on \(node)\n\(output.standardOutput)")
                try await expectWritable(bed, node)
            }
            try await fault.mend(bed)
            try await awaitMesh(bed)
            _ = try await fault.repair(bed)
            try await expectUndone(by: run, in: bed, to: before)
            try await expectClean(writers, bed)
            return "the others undone at once, catalogs and files as before in the end"
        }
    }

    @Test("with the new node gone for good, what clients wrote there is given up only when told so", .enabled(if: isWhole, "it is a part of make test-faults"))
    func goneForGood() async throws {
        try await withLoad("n4 is gone for good after the run, and undo") { bed, writers, run in
            let before = try await Snapshot(of: bed)
            try await run.succeeds(run.begin)
            try await Fault.newNodeOff.strike(bed)
            for (options, left) in [([], "1"), (["--give-up-writes"], "0")] {
                let output = try await run.someone.start(["undo", "--yes", "--purge-data"] + options + [try run.name]).wait(within: .seconds(600))
                #expect(output.status == 1, "\(output.standardOutput)\(output.standardError)")
                #expect(output.standardError.contains("pggraft undo RUN --give-up-writes") == options.isEmpty, "\(output.standardError)")
                for node in Bed.meshNodes {
                    let rest = try await bed.psql(
                        node,
                        """
                        SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%n4'), (SELECT count(*) FROM spock.subscription WHERE sub_name = 'sub_n4_\(node)')
                        """)
                    #expect(rest == "\(left)|\(left)", "slots and subscriptions on \(node)\n\(output.standardOutput)")
                }
            }
            try await Fault.newNodeOff.mend(bed)
            try await expectUndone(by: run, in: bed, to: before)
            try await expectClean(writers, bed)
            return "left as it is, then given up when told so; files as before when it was back"
        }
    }

    // MARK: The lease

    /// What keeps pggraft from opening the nodes itself.
    enum Silence: String, Sendable, CaseIterable, CustomTestStringConvertible {
        case killed, asleep, cut, restart, frozen

        var testDescription: String {
            switch self {
            case .killed: "pggraft is killed"
            case .asleep: "the operator's machine sleeps for longer than the lease"
            case .cut: "the operator's machine is cut off"
            case .restart: "pggraft is killed, and PostgreSQL on n2 is restarted meanwhile"
            case .frozen: "pggraft is killed, and n3 is frozen for longer than the lease"
            }
        }
    }

    @Test("the read-only mode ends by itself", arguments: isWhole ? Silence.allCases.asked(\.testDescription) : [.restart])
    func lease(_ silence: Silence) async throws {
        // Long enough for a restart on a busy machine.
        let lease = isWhole ? 30.0 : 20.0
        let edits: KeyValuePairs = ["# lease: 30s": "lease: \(Int(lease))s", OpenTransaction.grace.0: OpenTransaction.grace.1]
        try await withLoad("\(silence.testDescription) in the window", playbook: edits) { bed, writers, run in
            let held = try await OpenTransaction(on: "n1", of: bed)
            let program = try await run.starts(run.begin, until: KillPoint(step: "end-transactions", moment: .begun))
            switch silence {
            case .cut: for node in Bed.meshNodes + ["n4", "repo"] { try await bed.block(from: "operator", to: node, port: 22) }
            case .asleep: program.signal(SIGSTOP)
            case .killed, .restart, .frozen:
                program.signal(SIGKILL)
                _ = try await program.wait(within: .seconds(20))
            }
            let silent = monotonicSeconds()
            if silence == .restart {
                try await bed.host("n2").stopPostgres()
                try await bed.host("n2").startPostgres()
                let mode = try await bed.psql("n2", "SHOW spock.readonly"), took = monotonicSeconds() - silent
                #expect(mode != "off", "the restarted server is still closed, \(took) s into a lease of \(lease) s")
            }
            if silence == .frozen { try await bed.host("n3").freeze() }
            let others = Bed.meshNodes.filter { silence != .frozen || $0 != "n3" }
            try await eventually("a transaction to be acknowledged on \(others)", within: .seconds(lease + 60), every: .milliseconds(200)) {
                let ledger = try writers.ledger()
                return others.allSatisfy { ledger.firstAcknowledgement(on: $0, after: silent) != nil }
            }
            if silence == .frozen {
                try await bed.host("n3").thaw()
                try await expectWritable(bed, "n3")
            }
            let ledger = try writers.ledger()
            var seen: [String] = []
            for node in others {
                let time = try #require(ledger.firstAcknowledgement(on: node, after: silent))
                #expect(time < lease + 2, "\(node)")
                seen.append("\(node) \((time * 10).rounded() / 10) s")
            }
            if silence == .cut { for node in Bed.meshNodes + ["n4", "repo"] { try await bed.unblock(from: "operator", to: node, port: 22) } }
            if silence == .cut || silence == .asleep {
                program.signal(SIGCONT)
                let output = try await program.wait(within: .seconds(400))
                #expect(output.status == 1, "\(output.standardOutput)\(output.standardError)")
            }
            try await held.end()
            // A server that was restarted has yet to be connected to by the others, and they by it.
            try await awaitMesh(bed)
            try await run.succeeds(["resume", try run.name])
            try await expectMesh(of: bed, writers)
            return "with a lease of \(Int(lease)) s the writers went on after \(seen.joined(separator: ", ")); resumed and proven"
        }
    }

    // MARK: Ctrl-C

    @Test("Ctrl-C ends it safely, twice at once; undo too")
    func signals() async throws {
        try await withLoad(
            "Ctrl-C in restore, in the window, twice in subscriptions, and in undo", playbook: [OpenTransaction.grace.0: OpenTransaction.grace.1]
        ) { bed, writers, run in
            let before = try await Snapshot(of: bed)
            for (step, begin) in [("restore", true), ("end-transactions", false)] {
                let held = begin ? nil : try await OpenTransaction(on: "n1", of: bed)
                let program = try await run.starts(begin ? run.begin : ["resume", try run.name], until: KillPoint(step: step, moment: .begun))
                program.signal(SIGINT)
                let output = try await program.wait(within: .seconds(60))
                #expect(output.status == 130, "\(output.standardOutput)\(output.standardError)")
                #expect(output.standardError.contains("Ending safely; once more to end at once."), "\(output.standardError)")
                #expect(
                    output.standardError.contains(begin ? "Interrupted. No node is read-only because of it." : "Interrupted. Every node that was closed is open again."),
                    "\(output.standardError)")
                #expect(output.standardError.contains("pggraft resume \(try run.name)"))
                for node in Bed.meshNodes {
                    let mode = try await bed.psql(node, "SHOW spock.readonly")
                    #expect(mode == "off", "\(node) after Ctrl-C in \(step)")
                }
                try await held?.end()
                try await expectNothingRunning(bed)
            }
            let program = try await run.starts(["resume", try run.name], until: KillPoint(step: "subscriptions", moment: .begun))
            program.signal(SIGINT)
            program.signal(SIGTERM)
            let output = try await program.wait(within: .seconds(10))
            #expect(output.status == 130, "\(output.standardOutput)\(output.standardError)")

            let undoing = try run.someone.start(["undo", "--yes", "--purge-data", try run.name])
            try await eventually("undo to have undone a step", within: .seconds(60), every: .milliseconds(5)) { try run.entries.contains { $0.event == .undone } }
            undoing.signal(SIGINT)
            let undone = try await undoing.wait(within: .seconds(60))
            #expect(undone.status == 130, "\(undone.standardOutput)\(undone.standardError)")
            #expect(undone.standardError.contains("pggraft undo \(try run.name)   goes on"), "\(undone.standardError)")
            try await expectUndone(by: run, in: bed, to: before)
            try await expectClean(writers, bed)
            return "every node open at once, each time; undone in the end"
        }
    }
}
