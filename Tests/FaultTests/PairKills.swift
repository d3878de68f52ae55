import Bed
import Foundation
import Glibc
import Run
import Testing

/// A procedure for a primary and its standby, and what holds before and after it.
enum PairProcedure: String, CaseIterable, Sendable {
    case hotStandby = "hot-standby"
    case synchronous
    case dropStandby = "drop-standby"
    case failover, rejoin
    case newCopy = "rejoin by a new copy"

    /// The shipped playbook, and what stands in it once and something else instead.
    var shipped: (name: String, edits: KeyValuePairs<String, String>) {
        switch self {
        case .hotStandby: (rawValue, ["  # max_rate: 100MB": "  max_rate: 20MB"])
        case .newCopy: ("rejoin", ["# copy: none": "copy:\n  existing: move-aside\n  method: pg_basebackup\n  max_rate: 20MB"])
        default: (rawValue, [:])
        }
    }

    /// Brings the bed up, as the procedure is to find it but for what ``prepare(_:)`` does each time.
    func pair(on bed: Bed) async throws -> PairUnderLoad {
        switch self {
        case .hotStandby: try await PairUnderLoad(emptyStandby: bed)
        // What pg_rewind would do with.
        case .newCopy: try await PairUnderLoad(bed, settings: ["wal_log_hints = off"])
        default: try await PairUnderLoad(bed, hosts: self == .failover ? 3 : 2)
        }
    }

    /// Makes what the procedure is for.
    func prepare(_ pair: PairUnderLoad) async throws {
        let bed = pair.bed, primary = try bed.host(pair.primary)
        switch self {
        case .hotStandby, .synchronous: break
        case .dropStandby: try await pair.synchronous()
        case .failover: try await primary.run("kill -9 $(head -n 1 \(Bed.dataDirectory)/postmaster.pid)")
        case .rejoin:
            // What the other one has not, and then a crash. Who comes back is the standby from here on.
            try await bed.block(pair.primary, pair.standby)
            try await bed.psql(pair.primary, "CREATE TABLE IF NOT EXISTS app.lost (n int); INSERT INTO app.lost SELECT generate_series(1, 1000)")
            try await primary.run("pkill -9 -u postgres -x postgres; while pgrep -u postgres -x postgres >/dev/null; do sleep 0.05; done")
            try await bed.unblock(pair.primary, pair.standby)
            try await bed.psql(pair.standby, "SELECT pg_promote()", database: "postgres")
        case .newCopy:
            try await bed.psql(pair.standby, "SELECT pg_promote()", database: "postgres")
            try await bed.psql(pair.primary, "CREATE TABLE IF NOT EXISTS app.lost (n int); INSERT INTO app.lost SELECT generate_series(1, 1000)")
            try await primary.stopPostgres()
            try await primary.run(
                asUser: "postgres",
                "\(bed.binaryDirectory)/pg_checksums --disable -D \(Bed.dataDirectory) && sed -i '/^# of db/d' \(Self.ownFile) && echo '\(ownLine(pair))' >>\(Self.ownFile)")
        }
    }

    /// A configuration file of the node that comes back, and what only that has.
    private static let ownFile = "\(Bed.dataDirectory)/postgresql.conf"
    private func ownLine(_ pair: PairUnderLoad) -> String { "# of \(pair.primary) alone" }

    /// Whether a run that comes to its end has the two change their places.
    var swaps: Bool { [.failover, .rejoin, .newCopy].contains(self) }

    /// What is looked at before it and after it was undone: the hosts that answer, and the one that takes writes.
    func looks(_ pair: PairUnderLoad) async throws -> String {
        switch self {
        case .hotStandby, .synchronous: try await pair.bed.looks(PairUnderLoad.nodes, primary: pair.primary)
        case .dropStandby:
            try await pair.bed.looks(PairUnderLoad.nodes, primary: pair.primary) + pair.bed.psql(pair.standby, "SELECT pg_is_in_recovery()")
        // The other one is stopped, and has its mark.
        case .failover, .rejoin: try await pair.bed.looks([pair.standby], primary: pair.standby)
        // Its own data directory, and nothing beside it.
        case .newCopy:
            try await pair.bed.looks([pair.standby], primary: pair.standby)
                + pair.bed.host(pair.primary).run(
                    "\(pair.bed.binaryDirectory)/pg_controldata -D \(Bed.dataDirectory) | grep -i -e 'checkpoint location' -e checksum; \(Self.traces); grep '^# of' \(Self.ownFile)"
                )
        }
    }

    /// What a run keeps beside the data directory while it lasts.
    private static let traces = "ls -d \(Bed.dataDirectory)* /var/tmp/pggraft* 2>/dev/null || :"

    func playbook(_ pair: PairUnderLoad, of someone: Operator) throws -> String {
        // Who comes back is the one that was the primary.
        let places = self == .rejoin || self == .newCopy ? pair.swapped : pair
        return try places.playbook(shipped.name, of: someone, shipped.edits)
    }

    /// Expects what a run ends with.
    func expectEnd(_ pair: PairUnderLoad, _ words: String) async throws {
        let bed = pair.bed, list = "SHOW synchronous_standby_names"
        switch self {
        case .hotStandby:
            try await pair.expectPair(words)
            #expect(try await bed.psql(pair.primary, "SELECT slot_name, active FROM pg_replication_slots") == "\(pair.standby)|t", "\(words)")
        case .synchronous:
            try await pair.expectPair(words)
            #expect(try await bed.psql(pair.primary, list) == "FIRST 1 (\(pair.standby))", "\(words)")
        case .dropStandby:
            #expect(try await bed.writable(PairUnderLoad.nodes) == [pair.primary], "\(words)")
            #expect(try await bed.psql(pair.primary, "\(list); SELECT slot_name FROM pg_replication_slots") == "", "\(words)")
            #expect(try await bed.host(pair.standby).execute("pgrep -x postgres").status == 1, "\(words)")
        case .failover:
            #expect(try await bed.writable(pair.nodes) == [pair.standby], "\(words)")
            try await bed.awaitStreaming("db3", from: pair.standby)
        case .rejoin: try await pair.swapped.expectPair(words)
        case .newCopy:
            try await pair.swapped.expectPair(words)
            let node = try bed.host(pair.primary), kept = try await node.run("\(Self.traces)").split(separator: "\n")
            #expect(kept.count == 2 && kept.last?.hasPrefix("\(Bed.dataDirectory).before-") == true, "\(kept) \(words)")
            #expect(try await node.run("grep '^# of' \(Self.ownFile)") == ownLine(pair), "\(words)")
            #expect(try await bed.psql(pair.primary, "SELECT to_regclass('app.lost') IS NULL") == "t", "\(words)")
        }
    }

    /// Back to where ``prepare(_:)`` can be called again.
    func reset(_ pair: inout PairUnderLoad, _ run: WatchedRun) async throws {
        switch self {
        case .hotStandby, .synchronous, .dropStandby: try await run.succeeds(["undo", "--yes", "--purge-data", try run.name])
        case .failover:
            pair.swap()
            try await run.succeeds(["run", "--yes", try pair.playbook("rejoin", of: run.someone)])
            try await pair.expectPair()
        case .rejoin: pair.swap()
        case .newCopy:
            try await pair.bed.host(pair.primary).run("rm -rf \(Bed.dataDirectory).before-*")
            pair.swap()
        }
    }

    /// What an undo says that leaves something, or everything, as it is.
    var refusals: [String] {
        switch self {
        case .hotStandby, .synchronous, .dropStandby: []
        case .failover: ["is the primary since this run"]
        case .rejoin, .newCopy: ["is a standby of"]
        }
    }
}

/// One step of one procedure.
struct PairKill: Sendable, CustomTestStringConvertible {
    var procedure: PairProcedure
    var step: String
    var testDescription: String { "\(procedure.rawValue), \(step)" }

    static func all() throws -> [PairKill] {
        try PairProcedure.allCases.flatMap { procedure in try KillPoint.steps(of: procedure.shipped.name, procedure.shipped.edits).map { PairKill(procedure: procedure, step: $0) }
        }
    }
}

/// Every step of the procedures for a primary and its standby, killed. What is added to one of their lists is killed in, too.
@Suite("PairKills", .serialized, .counted)
struct PairKills {
    static func cases() throws -> [PairKill] {
        try isWhole ? PairKill.all().asked(\.testDescription) : [PairKill(procedure: .synchronous, step: "synchronous"), PairKill(procedure: .failover, step: "choose")]
    }

    /// Fewer where the matrix is not run as a whole. A primary has to be lost each time for some, and the end of a step is the begin of the next.
    private func moments(_ procedure: PairProcedure) -> [KillPoint.Moment] { isWhole ? procedure.swaps ? [.begun, .soon] : [.begun, .soon, .done] : [.begun] }

    @Test("killed in a step, it is undone without a trace, and resumed to its end", arguments: try cases())
    func kills(_ each: PairKill) async throws {
        let moments = moments(each.procedure)
        try await tabled("\(each.testDescription): killed at \(moments.count) moments, undone and resumed each time") {
            try await Bed.exclusively { bed in
                var pair = try await each.procedure.pair(on: bed), outcomes: [String] = []
                let run = WatchedRun(someone: try Operator(of: bed, with: each.procedure.shipped.name)), writers = each.procedure.swaps ? nil : try await pair.writers("clients")
                for moment in moments {
                    outcomes.append(try await undone(each.procedure, KillPoint(step: each.step, moment: moment), &pair, run))
                    try await resumed(each.procedure, KillPoint(step: each.step, moment: moment), &pair, run)
                }
                try expectNoSecrets(run.someone)
                guard let writers else { return list(outcomes) }
                let ledger = try await writers.stop(), verification = try await ledger.verify(on: [pair.primary], of: bed, drained: false)
                #expect(verification.isClean, "\(verification)")
                #expect(ledger.longestGap() < PairFaults.patience)
                return "\(list(outcomes)); longest gap \(ledger.longestGap().inTenths) s; 0 of \(ledger.acknowledgedRows) acknowledged rows missing"
            }
        }
    }

    private func list(_ outcomes: [String]) -> String { "undone: \(outcomes.joined(separator: ", "))" }

    /// Killed at `point` and undone. Where it has gone too far for that, it says so, and is resumed.
    private func undone(_ procedure: PairProcedure, _ point: KillPoint, _ pair: inout PairUnderLoad, _ run: WatchedRun) async throws -> String {
        try await procedure.prepare(pair)
        let before = try await procedure.looks(pair)
        try await run.killed(at: point, ["run", "--yes", try procedure.playbook(pair, of: run.someone)])
        try await pair.expectOneWriterAtMost(point.testDescription)
        let output = try await run.someone.start(["undo", "--yes", "--purge-data", try run.name]).wait(within: .seconds(400)), text = output.standardOutput + output.standardError
        if output.status != 0 {
            #expect(procedure.refusals.contains { text.contains($0) }, "\(point.testDescription)\n\(text)")
            if text.contains("left alone") {
                try await run.goesOn()
                try await procedure.expectEnd(pair, point.testDescription)
                try await procedure.reset(&pair, run)
                return "left alone, and resumed"
            }
        }
        if procedure == .dropStandby { try await bedStreams(pair) }
        let now = try await procedure.looks(pair)
        #expect(now == before, "\(point.testDescription), undone\n\(text)")
        guard procedure.swaps else { return "without a trace" }
        // The primary stays lost: the procedure is begun anew.
        try await run.succeeds(["run", "--yes", try procedure.playbook(pair, of: run.someone)])
        try await procedure.expectEnd(pair, point.testDescription)
        try await procedure.reset(&pair, run)
        return text.contains("stays stopped") ? "but for the fence" : "without a trace"
    }

    private func bedStreams(_ pair: PairUnderLoad) async throws { try await pair.bed.awaitStreaming(pair.standby, from: pair.primary) }

    /// Killed at `point` and resumed to its end.
    private func resumed(_ procedure: PairProcedure, _ point: KillPoint, _ pair: inout PairUnderLoad, _ run: WatchedRun) async throws {
        try await procedure.prepare(pair)
        try await run.killed(at: point, ["run", "--yes", try procedure.playbook(pair, of: run.someone)])
        try await pair.expectOneWriterAtMost(point.testDescription)
        try await run.goesOn()
        try await procedure.expectEnd(pair, "\(point.testDescription), resumed")
        try await procedure.reset(&pair, run)
    }
}
