import Playbook
import Testing

@Suite("A playbook for synchronous standbys") struct SynchronousPlaybookTests {
    typealias Change = Playbook.Synchronous.Change

    private static func text(_ change: String) -> String { Examples.pair("synchronous", change, nodes: ["db1", "db2", "db-3"]) }

    private func read(_ text: String) throws -> Playbook.Synchronous {
        switch try Playbook.parse(text, name: "p.yaml").procedure {
        case .synchronous(let order): order
        default: throw OtherProcedure()
        }
    }

    /// `method number names`, as the change has them.
    static let lists: [(written: String, meant: String)] = [
        ("FIRST 1 (db2)", "FIRST 1 db2"), ("any 2 ( db2 ,\"db-3\" )", "ANY 2 db2 db-3"), ("2 (db2, db-3)", "FIRST 2 db2 db-3"), ("db2", "FIRST 1 db2"),
    ]

    @Test(arguments: lists)
    func `takes a list as PostgreSQL writes it`(written: String, meant: String) throws {
        guard case .waitFor(let standbys) = try read(Self.text("standbys: \(written)")).change else { throw OtherProcedure() }
        #expect("\(standbys.method.rawValue) \(standbys.number) \(standbys.names.joined(separator: " "))" == meant)
    }

    @Test func `takes off, one more and one less, and has defaults`() throws {
        #expect(try read(Self.text("standbys: off")).change == .off)
        #expect(try read(Self.text("add: db-3")).change == .add("db-3"))
        let order = try read(Self.text("remove: db2"))
        #expect(order.change == .remove("db2") && order.catchUpLag == ByteCount(bytes: 16 << 20) && order.stallLimit == .seconds(60))
    }

    static let wrong: [(change: String, words: String)] = [
        ("", "it is not said what commits shall wait for"), ("standbys: off\nadd: db2", "standbys, add and remove exclude each other"),
        ("standbys: FIRST 1 (db4)", "\"db4\" is none of cluster.nodes"), ("add: db4", "\"db4\" is none of cluster.nodes"),
        ("standbys: ANY 3 (db2, db-3)", "a commit would wait for 3 of 2"), ("standbys: FIRST 0 (db2)", "at least 1"), ("standbys: '*'", "whoever comes first"),
        ("standbys: FIRST 1 (db2, db2)", "each of them once"), ("standbys: FIRST 1 (db2", "expected FIRST 1 (db2, db3)"), ("standbys: FIRST (db2)", "expected FIRST 1"),
    ]

    @Test(arguments: wrong)
    func `says what is wrong with it`(change: String, words: String) {
        let report = Examples.report(Self.text(change))
        #expect(report.contains(words), "\(report)")
    }

    @Test func `is shipped, sound as it is, and shows the defaults`() throws {
        let path = Examples.shippedPath.replacing("spock-add-node", with: "synchronous"), playbook = try Playbook.load(path: path)
        let uncommented = playbook.text.replacing(#/(?m)^( *)# ((?:catch_up_lag|stall_limit): .*)$/#) { "\($0.1)\($0.2)" }
        #expect(uncommented != playbook.text)
        let (plain, shown) = (try read(playbook.text), try read(uncommented))
        #expect(plain.catchUpLag == shown.catchUpLag && plain.stallLimit == shown.stallLimit && plain.change == shown.change)
    }
}
