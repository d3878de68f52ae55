import Testing

@testable import Bed

@Suite("Writers and their ledger")
struct WritersTests {
    @Test func `what was acknowledged is on every node, once`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 20, big: (every: 20, rows: 500))
            try await eventually("a big transaction", within: .seconds(20)) {
                try writers.ledger().entries.contains { $0.last - $0.first + 1 == 500 && $0.outcome == .acknowledged }
            }
            let ledger = try await writers.stop()
            #expect(ledger.failed == 0)
            #expect(ledger.inDoubt == 0)
            #expect(ledger.acknowledged >= 20)
            let verification = try await ledger.verify(of: bed)
            #expect(verification.isClean, "\(verification)")
            #expect(Set(verification.nodes.keys) == ["n1", "n2", "n3"])
        }
    }

    @Test func `a missing, a doubled, a changed and an unexplained row are found`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let writers = try await Writers.start(on: ["n1"], of: bed, perNode: 1, rate: 50)
            let ledger = try await writers.stop()
            try await bed.drain()

            try await bed.psqlLocally("n2", "DELETE FROM app.ledger WHERE seq = 1; DELETE FROM app.events WHERE seq = 2")
            try await bed.psqlLocally("n3", "INSERT INTO app.events SELECT * FROM app.events WHERE seq = 1; INSERT INTO app.events (node, writer, seq) VALUES ('n1', 0, 1000000)")
            let verification = try await ledger.verify(of: bed)
            func row(_ table: String, _ seq: Int) -> Verification.Row { .init(table: table, node: "n1", writer: 0, seq: seq) }
            #expect(verification.nodes["n1"]?.missing == [])
            #expect(verification.nodes["n2"]?.missing == [row("app.ledger", 1), row("app.events", 2)])
            #expect(verification.nodes["n2"]?.doubled == [])
            #expect(verification.nodes["n3"]?.missing == [])
            #expect(verification.nodes["n3"]?.doubled == [row("app.events", 1)])
            #expect(verification.nodes["n3"]?.unexplained == [row("app.events", 1_000_000)])
            #expect(verification.differingTables == ["app.events", "app.ledger"])
            #expect(!verification.isClean)
            #expect("\(verification)".contains("app.ledger(n1, 0, 1)"))

            try await bed.psqlLocally("n2", "UPDATE app.bulk SET body = '' WHERE id = 7")
            #expect(try await ledger.verify(of: bed).differingTables == ["app.bulk", "app.events", "app.ledger"])
        }
    }

    @Test func `a transaction in doubt may be there or not, but alike everywhere`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let writers = try await Writers.start(on: ["n1"], of: bed, perNode: 1, rate: 50)
            var entries = try await writers.stop().entries
            entries[0].outcome = .inDoubt
            let ledger = Ledger(entries: entries, end: 0)
            #expect(try await ledger.verify(of: bed).isClean)
            try await bed.psqlLocally("n2", "DELETE FROM app.ledger WHERE seq = \(entries[0].first)")
            let verification = try await ledger.verify(of: bed)
            #expect(verification.differingInDoubt == [.init(table: "app.ledger", node: "n1", writer: 0, seq: entries[0].first)])
            #expect(verification.nodes["n2"]?.missing == [])

            entries[0].outcome = .failed
            #expect(try await Ledger(entries: entries, end: 0).verify(of: bed).nodes["n1"]?.unexplained.isEmpty == false, "a failed transaction that is there")
        }
    }

    @Test func `read-only mode fails transactions, which are not there, and shows as a gap`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let writers = try await Writers.start(of: bed, perNode: 1, rate: 50)
            try await bed.setReadonly("user", on: "n1")
            let clock = ContinuousClock.now
            try await eventually("a writer to be refused", within: .seconds(5)) { try writers.ledger().errors.keys.contains { $0.contains("read-only cluster") } }
            try await eventually("a second to pass", within: .seconds(5)) { clock.duration(to: .now) > .seconds(1) }
            try await bed.setReadonly("off", on: "n1")
            let refused = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(5)) {
                try writers.ledger().entries.last { $0.node == "n1" && $0.ended != nil }?.outcome == .acknowledged && writers.ledger().acknowledged > refused
            }
            let ledger = try await writers.stop()
            #expect(ledger.failed > 0)
            #expect(ledger.inDoubt == 0)
            #expect(ledger.longestGap(on: "n1") > .seconds(1))
            // The others went on meanwhile.
            let closed = try #require(ledger.entries.filter { $0.node == "n1" && $0.outcome == .failed }.compactMap(\.ended).min())
            let opened = closed + (try #require(ledger.firstAcknowledgement(on: "n1", after: closed)))
            #expect(ledger.entries.contains { $0.node == "n2" && $0.outcome == .acknowledged && $0.begun > closed && $0.ended ?? opened < opened })
            let verification = try await ledger.verify(of: bed)
            #expect(verification.isClean, "\(verification)")
        }
    }

    @Test func `writers outlive a restart and a frozen node`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let n2 = try bed.host("n2")
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 50)
            func writesOn() async throws {
                let before = try writers.ledger().acknowledged
                try await eventually("n2 to acknowledge again", within: .seconds(20)) {
                    try writers.ledger().acknowledged > before
                        && writers.ledger().entries.filter { $0.node == "n2" && $0.ended != nil }.max { ($0.ended ?? 0) < ($1.ended ?? 0) }?.outcome == .acknowledged
                }
            }
            try await n2.stopPostgres()
            try await n2.startPostgres()
            try await writesOn()
            try await n2.freeze()
            let frozen = ContinuousClock.now
            try await eventually("a second to pass", within: .seconds(5)) { frozen.duration(to: .now) > .seconds(1) }
            try await n2.thaw()
            try await writesOn()
            let ledger = try await writers.stop()
            #expect(ledger.longestGap(on: "n2") > .seconds(1))
            let verification = try await ledger.verify(of: bed)
            #expect(verification.isClean, "\(verification)")
        }
    }

    @Test func `gaps, rates and errors are counted from what was acknowledged`() {
        func entry(_ node: String, _ begun: Double, _ ended: Double?, _ outcome: Ledger.Outcome, error: String = "") -> Ledger.Entry {
            .init(node: node, writer: 0, first: 1, last: 2, begun: begun, ended: ended, outcome: outcome, error: error)
        }
        let ledger = Ledger(
            entries: [
                entry("n1", 10, 10.5, .acknowledged), entry("n2", 10.25, 11, .acknowledged), entry("n1", 11, 12, .failed, error: "closed"), entry("n2", 12, 13, .acknowledged),
                entry("n1", 13, 14.5, .acknowledged), entry("n1", 14.75, nil, .inDoubt),
            ], end: 15)
        #expect(ledger.longestGap(on: "n1") == .seconds(4))
        #expect(ledger.longestGap(on: "n2") == .seconds(2))
        #expect(ledger.longestGap() == .seconds(2))
        #expect(Ledger(entries: ledger.entries, end: 20).longestGap(on: "n1") == .seconds(5.5))
        #expect(ledger.transactionsPerSecond == 0.8)
        #expect((ledger.acknowledged, ledger.failed, ledger.inDoubt) == (4, 1, 1))
        #expect(ledger.acknowledgedRows == 8)
        #expect(ledger.errors == ["closed": 1])
        #expect(ledger.firstAcknowledgement(on: "n1", after: 10.5) == 4)
        #expect(ledger.firstAcknowledgement(on: "n1", after: 14) == nil)
    }

    @Test func `a writer that hangs is ended, and its transaction is in doubt`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let writers = try await Writers.start(on: ["n1"], of: bed, perNode: 1, rate: 50)
            try await bed.host("n1").freeze()
            let ledger = try await writers.stop(within: .seconds(1))
            #expect(ledger.inDoubt == 1)
            #expect(ledger.entries.last?.outcome == .inDoubt)
            try await bed.host("n1").thaw()
        }
    }
}
