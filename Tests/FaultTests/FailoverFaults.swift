import Bed
import Foundation
import Run
import Testing

/// A primary that is lost, again and again: nothing is missing where commits were waited for, and what is reported where they were not.
@Suite("FailoverFaults", .serialized, .counted, .enabled(if: isWhole, "it is a part of make test-faults"))
struct FailoverFaults {
    /// How a primary is lost.
    enum Loss: String, CaseIterable, Sendable {
        case killed = "its postmaster is killed"
        case off = "its host loses power"
        case cut = "its host is cut off"

        func strike(_ node: String, of bed: Bed) async throws {
            let host = try bed.host(node)
            switch self {
            case .killed: try await host.run("kill -9 $(head -n 1 \(Bed.dataDirectory)/postmaster.pid)")
            case .off: try await host.powerOff()
            case .cut: try await host.cut()
            }
        }

        /// Has the host back, with no server on it that takes writes.
        func mend(_ node: String, of pair: PairUnderLoad) async throws {
            switch self {
            case .killed: break
            case .off: try await pair.powerOn(node, startingServer: false)
            case .cut:
                // Before its clients reach it again, as its operator has promised.
                try await pair.bed.host(node).stopPostgres(mode: "immediate")
                try await pair.bed.host(node).heal()
            }
        }

        var isSeen: Bool { self == .killed }
    }

    /// One failover, judged, and the old primary brought back as a standby.
    /// - Returns: what was seen, for the table.
    private func round(_ number: Int, _ loss: Loss, isSynchronous: Bool, _ pair: inout PairUnderLoad, _ run: WatchedRun) async throws -> String {
        let bed = pair.bed, old = pair.primary, new = pair.standby
        try await pair.synchronous(isSynchronous)
        let writers = try await pair.writers("round\(number)")
        try await writers.goOn()
        if !isSynchronous {
            // What db2 does not get.
            try await bed.block(old, new)
            try await writers.goOn()
        }
        try await loss.strike(old, of: bed)
        let lost = ContinuousClock.now
        let playbook = try pair.playbook("failover", of: run.someone, loss.isSeen ? [:] : ["# primary_is_dead: false": "primary_is_dead: true"])
        let output = try await run.succeeds(["run", "--yes", playbook]).standardOutput
        let took = lost.duration(to: .now)
        #expect(try await bed.writable(loss == .cut ? [new] : PairUnderLoad.nodes) == [new], "round \(number)")
        try await writers.goOn(within: .seconds(120))
        let ledger = try await writers.stop()
        let seen = try await ledger.verify(on: [new], of: bed, drained: false).nodes[new], missing = try #require(seen?.missing, "no verification of \(new)")
        #expect(seen?.doubled == [] && seen?.unexplained == [], "round \(number)")
        let transactions = Set(ledger.entries.filter { entry in missing.contains { $0.writer == entry.writer && $0.seq == entry.first } }.map { "\($0.writer) \($0.first)" }).count
        let said = try #require(output.split(separator: "\n").last { $0.contains(" missing: ") || $0.contains("cannot be seen") }.map(String.init), "\(output)")
        if isSynchronous {
            #expect(missing == [], "round \(number)\n\(output)")
        } else if loss.isSeen {
            // Those that are missing are all reported, and no other but some whose writer never came to know.
            let reported = try #require(Int(said.firstMatch(of: #/([0-9]+) transactions? (is|are) missing/#)?.1 ?? "0"))
            #expect(transactions > 0 && transactions <= reported && reported <= transactions + ledger.inDoubt, "round \(number): \(transactions) of the ledger\n\(output)")
        }
        #expect(isSynchronous || loss.isSeen || said.contains("cannot be seen"), "\(output)")
        if !isSynchronous { try await bed.unblock(old, new) }
        try await loss.mend(old, of: pair)
        pair.swap()
        let back = try await run.succeeds(["run", "--yes", try pair.playbook("rejoin", of: run.someone)]).standardOutput
        try await pair.expectPair("round \(number)")
        return "\(missing.count) acknowledged rows missing of \(ledger.acknowledgedRows) (\(transactions) transactions of \(ledger.acknowledged); \(ledger.inDoubt) in doubt); "
            + "failover \(took.inTenths) s, longest gap \(ledger.longestGap().inTenths) s; said: \(said.trimmingPrefix(while: \.isWhitespace)); \(old) came back "
            + (back.contains("is part of the history") ? "as it was" : "rewound")
    }

    private func rounds(_ count: Int, isSynchronous: Bool) async throws {
        try await Bed.exclusively { bed in
            var pair = try await PairUnderLoad(bed)
            let run = WatchedRun(someone: try Operator(of: bed, with: "failover"))
            for number in 1...count {
                let loss = Loss.allCases[(number - 1) % Loss.allCases.count]
                try await tabled("failover \(number) of \(count), \(isSynchronous ? "synchronous" : "asynchronous"): \(pair.primary): \(loss.rawValue)") {
                    try await round(number, loss, isSynchronous: isSynchronous, &pair, run)
                }
            }
            try expectNoSecrets(run.someone)
        }
    }

    @Test func `twenty times, with a standby that commits wait for: nothing that was acknowledged is missing`() async throws {
        try await rounds(20, isSynchronous: true)
    }

    @Test func `six times, with one that nobody waits for: what is missing is what is reported`() async throws { try await rounds(6, isSynchronous: false) }
}
