import Bed
import Foundation
import Glibc
import Run
import Testing

/// What breaks around a switchover, on the standby, between the two, and at the archive.
@Suite("PairFaults", .serialized, .counted)
struct PairFaults {
    enum Fault: String, CaseIterable, Sendable {
        case receiverStopped = "the standby's receiver is stopped"
        case replayStopped = "the standby's replay is stopped"
        case standbyFrozen = "the standby's host is frozen"
        case cutBetween = "the network between the two is cut"
        case archiveFails = "the archive command fails"
        case archiveHangs = "the archive command does not come back"

        func strike(_ pair: PairUnderLoad) async throws {
            let bed = pair.bed, standby = try bed.host(pair.standby)
            switch self {
            case .receiverStopped: try await standby.run("pkill -STOP -f '[w]alreceiver'")
            case .replayStopped: try await standby.run("pkill -STOP -f '^postgres: startup'")
            case .standbyFrozen: try await standby.freeze()
            case .cutBetween: try await bed.block(pair.primary, pair.standby)
            case .archiveFails: try await archive("false", pair)
            case .archiveHangs: try await archive("sleep 3600", pair)
            }
        }

        /// - Parameter isOver: whether the two have changed their places meanwhile.
        func mend(_ pair: PairUnderLoad, isOver: Bool) async throws {
            let bed = pair.bed, standby = try bed.host(pair.standby)
            switch self {
            case .receiverStopped: try await standby.run("pkill -CONT -f '[w]alreceiver' || :")
            case .replayStopped: try await standby.run("pkill -CONT -f '^postgres: startup' || :")
            case .standbyFrozen: try await standby.thaw()
            case .cutBetween: try await bed.unblock(pair.primary, pair.standby)
            case .archiveFails, .archiveHangs:
                try await archive("true", pair)
                try await bed.host(pair.primary).run("pkill -f '[s]leep 3600' || :")
                guard !isOver else { return }
                try await eventually("\(pair.primary) to archive again", within: .seconds(90)) {
                    try await bed.psql(pair.primary, "SELECT last_failed_time IS NULL OR last_archived_time > last_failed_time FROM pg_stat_archiver") == "t"
                }
            }
        }

        /// The command of the node that is the primary as the switchover begins, which may be a standby by now.
        private func archive(_ command: String, _ pair: PairUnderLoad) async throws {
            try await pair.bed.psql(pair.primary, "ALTER SYSTEM SET archive_command = '\(command)'")
            try await pair.bed.psql(pair.primary, "SELECT pg_reload_conf(); SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_switch_wal() END")
        }

        var isOfArchive: Bool { self == .archiveFails || self == .archiveHangs }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var fault: Fault
        var step: String
        var testDescription: String { "\(fault.rawValue) in \(step)" }

        static func all() -> [Case] {
            let steps = ["hook-before", "close", "receive", "stop"]
            return Fault.allCases.flatMap { fault in steps.filter { $0 != "stop" || !fault.isOfArchive }.map { Case(fault: fault, step: $0) } }
        }
    }

    static func cases() -> [Case] {
        isWhole ? Case.all().asked(\.testDescription) : [Case(fault: .archiveHangs, step: "hook-before")]
    }

    /// The window of a switchover here, which no write waits longer for.
    static let window: KeyValuePairs = ["# window_limit: 30s": "window_limit: 10s", "# lease: 30s": "lease: 15s"]
    /// A window, its way back, and what a slow day takes.
    static let patience = Duration.seconds(45)

    @Test func `a switchover that something breaks in opens the primary again, and is resumed when that is mended`() async throws {
        try await Bed.exclusively { bed in
            var pair = try await PairUnderLoad(bed, settings: ["archive_mode = on", "archive_command = 'true'"])
            let run = WatchedRun(someone: try Operator(of: bed, with: "switchover"))
            for each in Self.cases() {
                try await tabled("a switchover: \(each.testDescription)") { try await hurt(each, &pair, run) }
            }
        }
    }

    private func hurt(_ each: Case, _ pair: inout PairUnderLoad, _ run: WatchedRun) async throws -> String {
        let bed = pair.bed, writers = try await pair.writers("pair\(UInt32.random(in: 0..<1_000_000))")
        // In the hook, which waits for that, nothing has been closed yet, and everything was looked at.
        let go = "\(run.someone.directory)/go", hook = "while [ ! -e \(go) ]; do sleep 0.05; done; rm \(go)"
        let edits: KeyValuePairs = [Self.window[0].key: Self.window[0].value, Self.window[1].key: Self.window[1].value, "# before: ./virtual-ip release": "before: \(hook)"]
        let playbook = try pair.playbook("switchover", of: run.someone, each.step == "hook-before" ? edits : Self.window)
        let program = try await run.starts(["run", "--yes", playbook], until: KillPoint(step: each.step, moment: .begun))
        var isTooLate = false
        do {
            try await each.fault.strike(pair)
        } catch BedError.commandFailed {
            // Who is to be hurt is not there any more: the two have changed their places, or are about to.
            isTooLate = true
        }
        if each.step == "hook-before" { try writeFile("", to: go) }
        let struck = ContinuousClock.now
        // Past the promotion it waits for the other one to stream, for as long as five minutes.
        let patient = ContinuousClock.now + .seconds(60)
        while !program.hasEnded, ContinuousClock.now < patient { try await Task.sleep(for: .milliseconds(100)) }
        let isMended = !program.hasEnded
        if isMended { try await each.fault.mend(pair, isOver: true) }
        let output = try await program.wait(within: .seconds(300)), text = output.standardOutput + output.standardError
        let ended = struck.duration(to: .now)
        // Or it was over before the fault was felt; or the standby was told to take the primary's place, and cannot: from there on there is no way back.
        #expect(!isTooLate || output.status == 0, "\(text)")
        let isOver = output.status == 0, isBetween = text.contains("From here on the run goes forward only: resume it.")
        let writer = try await pair.expectOneWriterAtMost("\(each.testDescription)\n\(text)")
        if isBetween {
            #expect(["Nobody takes writes: ", "Nobody is seen to take writes: "].contains { text.contains($0) }, "\(text)")
            #expect(output.status == 1 && !text.contains("opened again") && writer == nil, "\(text)")
        } else if !isOver {
            #expect(output.status == 1 && text.contains("It failed.") && writer == pair.primary, "\(text)")
            #expect(text.contains("The primary takes writes again.") || text.contains("Nothing was closed to clients."), "\(text)")
            #expect(!text.contains("waiting for sh -c"), "\(text)")
            try await writers.goOn()
        }
        let gap = try writers.ledger().longestGap()
        #expect(gap < Self.patience, "\(each.testDescription)\n\(text)")
        if !isMended { try await each.fault.mend(pair, isOver: isOver) }
        if !isOver { try await run.succeeds(["resume", try run.name]) }
        pair.swap()
        try await pair.expectPair(each.testDescription)
        try await writers.goOn()
        let ledger = try await writers.stop(), verification = try await ledger.verify(on: [pair.primary], of: bed, drained: false)
        #expect(verification.isClean, "\(verification)")
        let lines = text.split(separator: "\n"), reason = lines.firstIndex { $0.hasPrefix("✗") }.map { lines[$0 + 1].trimmingPrefix(while: \.isWhitespace).prefix(140) }
        return "pggraft \(reason.map { "gave up (\($0))" } ?? (isTooLate ? "went through before" : "went through")) \(ended.inTenths) s after; longest gap \(gap.inTenths) s; "
            + (isOver ? "" : isBetween ? "nobody took writes; resumed; " : "resumed; ") + "0 of \(ledger.acknowledgedRows) acknowledged rows missing"
    }

    // MARK: Both restarted

    /// What becomes of both servers at once.
    enum Restart: String, CaseIterable, Sendable {
        case servers = "both servers are restarted"
        case hosts = "both hosts lose power"

        private var pgctl: String { "PGDATA=\(Bed.dataDirectory) /usr/lib/postgresql/15/bin/pg_ctl" }

        /// - Parameter order: who comes back first.
        func strike(_ order: [String], _ pair: PairUnderLoad) async throws {
            let bed = pair.bed
            switch self {
            case .servers:
                for node in order {
                    // A server may be stopped already, by the run.
                    try await bed.host(node).run(asUser: "postgres", "! \(pgctl) status >/dev/null || \(pgctl) stop -s -w -t 60 -m fast")
                }
                for node in order { try await start(node, bed) }
            case .hosts:
                for node in order { try await bed.host(node).powerOff() }
                for node in order {
                    try await pair.powerOn(node, startingServer: false)
                    try await start(node, bed)
                }
            }
        }

        /// Starts it, unless somebody has, who may do so at the same moment. One that does not start, as behind a promotion without its end, is
        /// pggraft's to bring back: the end shows it.
        private func start(_ node: String, _ bed: Bed) async throws {
            guard try await bed.host(node).execute(asUser: "postgres", "\(pgctl) status >/dev/null").status != 0 else { return }
            do { try await bed.host(node).startPostgres() } catch BedError.commandFailed {}
        }
    }

    struct RestartCase: Sendable, CustomTestStringConvertible {
        var restart: Restart
        var primaryFirst: Bool
        var point: KillPoint?
        var testDescription: String {
            "\(restart.rawValue), the \(primaryFirst ? "primary" : "standby") first, \(point.map { "after a kill in \($0.testDescription)" } ?? "before a run")"
        }

        static func all() -> [RestartCase] {
            let steps = ["close", "receive", "stop", "seal", "promote", "follow-old"]
            let points: [KillPoint?] = [nil] + steps.flatMap { [KillPoint(step: $0, moment: .begun), KillPoint(step: $0, moment: .done)] }
            return points.flatMap { point in
                Restart.allCases.flatMap { restart in [true, false].map { RestartCase(restart: restart, primaryFirst: $0, point: point) } }
            }
        }

        static func asked() -> [RestartCase] {
            isWhole ? all().asked(\.testDescription) : [RestartCase(restart: .hosts, primaryFirst: false, point: KillPoint(step: "stop", moment: .done))]
        }
    }

    @Test func `both restarted, in either order: the switchover is resumed, with never two primaries and nothing lost`() async throws {
        try await Bed.exclusively { bed in
            var pair = try await PairUnderLoad(bed)
            let run = WatchedRun(someone: try Operator(of: bed, with: "switchover"))
            for (number, each) in RestartCase.asked().enumerated() {
                try await tabled("a switchover, synchronous: \(each.testDescription)") {
                    try await pair.synchronous()
                    let writers = try await pair.writers("restart\(number)"), order = each.primaryFirst ? [pair.primary, pair.standby] : [pair.standby, pair.primary]
                    let begin = ["run", "--yes", try pair.playbook("switchover", of: run.someone, Self.window)]
                    if let point = each.point { try await run.killed(at: point, begin) }
                    try await each.restart.strike(order, pair)
                    let between = try await pair.expectOneWriterAtMost(each.testDescription)
                    if each.point == nil {
                        try await bed.awaitStreaming(pair.standby, from: pair.primary)
                        try await run.succeeds(begin)
                    } else {
                        try await run.succeeds(["resume", try run.name])
                    }
                    pair.swap()
                    try await pair.expectPair(each.testDescription)
                    try await writers.goOn()
                    let ledger = try await writers.stop(), verification = try await ledger.verify(on: [pair.primary], of: bed, drained: false)
                    #expect(verification.isClean, "\(each.testDescription)\n\(verification)")
                    #expect(try await bed.psql(pair.primary, "SHOW synchronous_standby_names") == "FIRST 1 (\(pair.standby))")
                    return "took writes between: \(between ?? "nobody"); then \(pair.primary); longest gap \(ledger.longestGap().inTenths) s; "
                        + "0 of \(ledger.acknowledgedRows) acknowledged rows missing"
                }
            }
        }
    }

    // MARK: While it is at work

    /// Both at once, while pggraft goes on.
    struct BusyCase: Sendable, CustomTestStringConvertible {
        var restart: Restart
        var primaryFirst: Bool
        var step: String
        var testDescription: String { "\(restart.rawValue) during \(step), the \(primaryFirst ? "primary" : "standby") first" }

        static func asked() -> [BusyCase] {
            ["promote", "follow-old"].flatMap { step in
                Restart.allCases.flatMap { restart in [true, false].map { BusyCase(restart: restart, primaryFirst: $0, step: step) } }
            }.asked(\.testDescription)
        }
    }

    /// Expects what a run that failed says last to be true of who takes writes now.
    private func expectTruth(_ text: String, of writer: String?, _ pair: PairUnderLoad, _ words: String) {
        if text.contains("Nobody is seen to take writes: ") {
            #expect(writer != pair.primary && text.contains("resume"), "\(words)\n\(text)")
        } else if text.contains("Nobody takes writes: ") {
            #expect(writer == nil && text.contains("resume"), "\(words)\n\(text)")
        } else if text.contains("is the primary and takes writes") {
            #expect(writer == pair.standby && text.contains("\(pair.standby) is the primary and takes writes"), "\(words)\n\(text)")
        } else if text.contains("The primary takes writes again.") || text.contains("Nothing was closed to clients.") {
            #expect(writer == pair.primary, "\(words)\n\(text)")
        } else {
            #expect(text.contains("NOT OPEN: "), "it does not say who takes writes: \(words)\n\(text)")
        }
    }

    @Test(.enabled(if: isWhole, "it is a part of make test-faults"))
    func `both restarted while pggraft is at work: it says what is so, and comes to its end, with never two primaries and nothing lost`() async throws {
        try await Bed.exclusively { bed in
            var pair = try await PairUnderLoad(bed)
            let run = WatchedRun(someone: try Operator(of: bed, with: "switchover"))
            for (number, each) in BusyCase.asked().enumerated() {
                try await tabled("a switchover, synchronous: \(each.testDescription)") {
                    try await pair.synchronous()
                    let writers = try await pair.writers("busy\(number)"), order = each.primaryFirst ? [pair.primary, pair.standby] : [pair.standby, pair.primary]
                    let begin = ["run", "--yes", try pair.playbook("switchover", of: run.someone, Self.window)]
                    let program = try await run.starts(begin, until: KillPoint(step: each.step, moment: .begun))
                    try await each.restart.strike(order, pair)
                    let struck = ContinuousClock.now, isEarly = program.hasEnded
                    try await pair.expectOneWriterAtMost(each.testDescription)
                    // Once promoted, nobody needs pggraft to write.
                    if each.step == "follow-old" { try await writers.goOn(within: Self.patience) }
                    let output = try await program.wait(within: .seconds(400)), text = output.standardOutput + output.standardError
                    let ended = struck.duration(to: .now), writer = try await pair.expectOneWriterAtMost("\(each.testDescription)\n\(text)")
                    #expect(writer != pair.primary, "\(each.testDescription)\n\(text)")
                    if output.status != 0 {
                        if !isEarly { expectTruth(text, of: writer, pair, each.testDescription) }
                        try await run.succeeds(["resume", try run.name])
                    }
                    pair.swap()
                    try await pair.expectPair(each.testDescription)
                    try await writers.goOn()
                    let ledger = try await writers.stop(), verification = try await ledger.verify(on: [pair.primary], of: bed, drained: false)
                    #expect(verification.isClean, "\(each.testDescription)\n\(verification)")
                    #expect(try await bed.psql(pair.primary, "SHOW synchronous_standby_names") == "FIRST 1 (\(pair.standby))")
                    return "pggraft \(output.status == 0 ? "went through" : "gave up, and was resumed"), \(ended.inTenths) s after; took writes then: \(writer ?? "nobody"); "
                        + "longest gap \(ledger.longestGap().inTenths) s; 0 of \(ledger.acknowledgedRows) acknowledged rows missing"
                }
            }
        }
    }

    @Test func `a history that a promotion without its end has left behind does not keep the old primary from coming back`() async throws {
        try await Bed.exclusively { bed in
            var pair = try await PairUnderLoad(bed)
            let run = WatchedRun(someone: try Operator(of: bed, with: "switchover")), wal = "\(Bed.dataDirectory)/pg_wal"
            // Its server came back on the timeline before; the next one to be promoted takes the same number.
            let fork = try await bed.psql(pair.primary, "SELECT pg_current_wal_lsn()")
            try await bed.psql(pair.primary, "INSERT INTO app.bulk SELECT * FROM app.bulk WHERE false; SELECT pg_switch_wal(); CHECKPOINT")
            try await bed.host(pair.primary).run(asUser: "postgres", "printf '1\\t\(fork)\\tno recovery target specified\\n' >\(wal)/00000002.history")
            try await run.succeeds(["run", "--yes", try pair.playbook("switchover", of: run.someone)])
            pair.swap()
            try await pair.expectPair()
            #expect(try await bed.host(pair.standby).run("ls \(wal) | grep stray") == "00000002.history.stray")
        }
    }

    /// A host that nobody reaches any more, pggraft included.
    struct CutCase: Sendable, CustomTestStringConvertible {
        var cutsPrimary: Bool
        var step: String
        var testDescription: String { "the \(cutsPrimary ? "primary" : "standby")'s host is cut off in \(step)" }

        static func asked() -> [CutCase] {
            ["receive", "stop"].flatMap { step in [true, false].map { CutCase(cutsPrimary: $0, step: step) } }.asked(\.testDescription)
        }
    }

    @Test(.enabled(if: isWhole, "it is a part of make test-faults"))
    func `a host that is cut off from everybody: the primary opens by itself, and the switchover is resumed when the host is back`() async throws {
        try await Bed.exclusively { bed in
            var pair = try await PairUnderLoad(bed)
            let run = WatchedRun(someone: try Operator(of: bed, with: "switchover"))
            for (number, each) in CutCase.asked().enumerated() {
                try await tabled("a switchover: \(each.testDescription)") { try await cut(each, "cut\(number)", &pair, run) }
            }
        }
    }

    private func cut(_ each: CutCase, _ name: String, _ pair: inout PairUnderLoad, _ run: WatchedRun) async throws -> String {
        let bed = pair.bed, old = pair.primary, writers = try await pair.writers(name), lost = try bed.host(each.cutsPrimary ? pair.primary : pair.standby)
        let program: RunningProgram
        if each.step == "receive" {
            // What is not replayed holds the step open.
            let go = "\(run.someone.directory)/go", hook = "while [ ! -e \(go) ]; do sleep 0.05; done; rm \(go)"
            let edits: KeyValuePairs = [Self.window[0].key: Self.window[0].value, Self.window[1].key: Self.window[1].value, "# before: ./virtual-ip release": "before: \(hook)"]
            program = try await run.starts(["run", "--yes", try pair.playbook("switchover", of: run.someone, edits)], until: KillPoint(step: "hook-before", moment: .begun))
            try await Fault.replayStopped.strike(pair)
            try writeFile("", to: go)
            #expect(try await run.wait(for: KillPoint(step: each.step, moment: .begun), after: 0, of: program))
        } else {
            program = try await run.starts(["run", "--yes", try pair.playbook("switchover", of: run.someone, Self.window)], until: KillPoint(step: each.step, moment: .begun))
        }
        try await lost.cut()
        if each.step == "receive" { try await Fault.replayStopped.mend(pair, isOver: false) }
        let struck = ContinuousClock.now, patient = struck + .seconds(60)
        // Past the promotion it waits for the other one for as long as five minutes.
        while !program.hasEnded, ContinuousClock.now < patient { try await Task.sleep(for: .milliseconds(100)) }
        let isMended = !program.hasEnded
        if isMended { try await lost.heal() }
        let output = try await program.wait(within: .seconds(300)), text = output.standardOutput + output.standardError
        let ended = struck.duration(to: .now), isOver = output.status == 0, isForward = isOver || text.contains("From here on the run goes forward only")
        if isForward || text.contains("is the primary and takes writes") {
            let writer = try await pair.expectOneWriterAtMost("\(each.testDescription)\n\(text)")
            #expect(writer != old, "\(text)")
            if !isOver { expectTruth(text, of: writer, pair, each.testDescription) }
        } else {
            // By its watchdog, where nobody else reaches it.
            try await eventually("\(old) to take writes", within: Self.patience) { try await pair.expectOneWriterAtMost(each.testDescription) == old }
            expectTruth(text, of: old, pair, each.testDescription)
            #expect(!(each.cutsPrimary && text.contains("The primary takes writes again.")) || isMended, "nobody can know: \(text)")
        }
        let opened = struck.duration(to: .now)
        if !isMended { try await lost.heal() }
        if !isOver {
            if !isForward {
                try await writers.goOn()
                // A sender that was cut off sends again only after a while: the stop would wait for it.
                try await eventually("\(pair.standby) to keep up again", within: .seconds(90)) {
                    try await bed.psql(old, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 1000000")
                        == "1"
                }
            }
            try await run.succeeds(["resume", try run.name])
        }
        pair.swap()
        try await pair.expectPair(each.testDescription)
        try await writers.goOn()
        let ledger = try await writers.stop(), verification = try await ledger.verify(on: [pair.primary], of: bed, drained: false)
        #expect(verification.isClean, "\(each.testDescription)\n\(verification)")
        return "pggraft \(isOver ? "went through" : "gave up, and was resumed") \(ended.inTenths) s after, looked at \(opened.inTenths) s after; "
            + "longest gap \(ledger.longestGap().inTenths) s; 0 of \(ledger.acknowledgedRows) acknowledged rows missing"
    }

    @Test(.enabled(if: isWhole, "it is a part of make test-faults"))
    func `both lose power while commits are waited for, and the standby alone comes back: it takes the primary's place, and nothing is missing`() async throws {
        try await Bed.exclusively { bed in
            var pair = try await PairUnderLoad(bed)
            let run = WatchedRun(someone: try Operator(of: bed, with: "failover"))
            for number in 1...2 {
                try await tabled("a failover, synchronous: both hosts lose power, and \(number == 1 ? "only the standby comes back" : "only the standby's server is started")") {
                    try await pair.synchronous()
                    let writers = try await pair.writers("power\(number)"), old = pair.primary
                    try await writers.goOn()
                    for node in PairUnderLoad.nodes { try await bed.host(node).powerOff() }
                    try await pair.powerOn(pair.standby)
                    if number == 2 { try await pair.powerOn(old, startingServer: false) }
                    let dead: KeyValuePairs<String, String> = number == 1 ? ["# primary_is_dead: false": "primary_is_dead: true"] : [:]
                    try await run.succeeds(["run", "--yes", try pair.playbook("failover", of: run.someone, dead)])
                    try await writers.goOn(within: .seconds(120))
                    if number == 1 { try await pair.powerOn(old, startingServer: false) }
                    pair.swap()
                    try await run.succeeds(["run", "--yes", try pair.playbook("rejoin", of: run.someone)])
                    try await pair.expectPair()
                    let ledger = try await writers.stop(), verification = try await ledger.verify(on: [pair.primary], of: bed, drained: false)
                    #expect(verification.isClean, "\(verification)")
                    return "0 of \(ledger.acknowledgedRows) acknowledged rows missing; \(old) came back"
                }
            }
        }
    }
}
