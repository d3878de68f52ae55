import Foundation
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import Rehearsal
import RemoteHost
import Report
import Run
import Scratch
import Testing

@testable import Procedures

@Suite("Cleaning up behind runs", .serialized) struct CleanTests {
    private func clean(_ n1: Configured, _ console: TestConsole, only names: [String] = [], unreachable: Bool = false) async throws -> Ending {
        try await RunSession.clean(names, in: n1.store, console: console) { header in
            let order = try ConfigureNode.Order(header.origin())
            let node = unreachable ? try ConfiguredNode(order.target, Ways { _, name, _ in throw Problem("\(name) is not reached") }) : try n1.node()
            return ConfigureNode(node, order.request, cluster: "n1")
        }
    }

    @Test("takes away what was kept for an undo, and the journal last; it asks first, and what is not over stays")
    func finished() async throws {
        let n1 = try await Configured()
        let settings = try await n1.set("work_mem=16MB"), rule = try await n1.change(.allow(rule: "host all postgres 10.1.2.3/32 scram-sha-256", accepting: []))
        let undone = try await n1.set("jit=off")
        #expect(try await n1.undo(undone).isEmpty)
        await #expect(throws: Configured.ChangeFailed.self) { try await n1.set("work_mem=lots") }
        let runs = try [settings, rule, undone].map { try #require(try Memory($0).header?.run) },
            failed = try #require(try n1.store.runs().runs.first { !runs.contains($0.header.run) })
        let files = try await n1.kept()
        #expect(files.sorted() == ["pg_hba.conf.before-\(runs[1])", "postgresql.conf.before-\(runs[0])"].sorted())

        // None of them is old enough.
        let young = TestConsole(answer: nil)
        let none = try await RunSession.clean([], begunBefore: Date() - 3600, in: n1.store, console: young) { _ in throw Problem("no run is old") }
        guard case .cleaned(0, 0) = none, young.seen.isEmpty else { throw Problem("\(young.seen)") }

        // Without a yes nothing happens, and what is needed still is not taken by its name either.
        let refused = TestConsole(answer: false)
        guard case .declined = try await clean(n1, refused) else { throw Problem("\(refused.seen)") }
        #expect(refused.seen.count == 3)
        #expect(refused.seen.contains("leavings: \(runs[0]), original \(n1.instance.dataDirectory)/postgresql.conf.before-\(runs[0]) on n1"), "\(refused.seen)")
        await #expect(throws: Problem.self) { try await clean(n1, TestConsole(answer: nil)) }
        let needed = await #expect(throws: Problem.self) { try await clean(n1, TestConsole(), only: [failed.header.run]) }
        #expect(needed?.fact == "run \(failed.header.run) is failed: what it has left is needed")
        #expect(try await n1.kept() == files)

        // A host that cannot be reached keeps its journal, the others go.
        let lost = TestConsole()
        guard case .cleaned(0, 1) = try await clean(n1, lost, only: [runs[0]], unreachable: true) else { throw Problem("\(lost.seen)") }
        #expect(lost.seen.count == 1 && lost.seen[0].hasPrefix("not removed: \(runs[0]), n1 is not reached\n"), "\(lost.seen)")
        #expect(try n1.store.run(runs[0]).state == .finished)

        let console = TestConsole()
        guard case .cleaned(3, 0) = try await clean(n1, console) else { throw Problem("\(console.seen)") }
        #expect(try await n1.kept().isEmpty)
        #expect(try n1.store.runs().runs.map(\.header.run) == [failed.header.run])
        // What the runs have done stays.
        #expect(try await n1.value("work_mem") == "16MB")
        #expect(try await n1.read("pg_hba.conf")?.contains("# pggraft \(runs[1])") == true)
        guard case .cleaned(0, 0) = try await clean(n1, TestConsole(answer: nil)) else { throw Problem("there was something to do") }
        try await n1.end()
    }

    @Test("a file that is gone already is not asked for, and a run that somebody works on is left")
    func meanwhile() async throws {
        let n1 = try await Configured()
        let journal = try await n1.set("work_mem=16MB"), run = try #require(try Memory(journal).header?.run)
        do {
            let lock = try RunLock(cluster: "n1", in: n1.store, holder: Holder()), busy = TestConsole()
            defer { withExtendedLifetime(lock) {} }
            guard case .cleaned(0, 1) = try await clean(n1, busy) else { throw Problem("\(busy.seen)") }
            #expect(busy.seen.last?.contains("another pggraft works on cluster n1") == true, "\(busy.seen)")
            #expect(try await n1.kept().count == 1)
        }
        try await n1.area.host.require(.script("rm \"$1\"/postgresql.conf.before-*", n1.instance.dataDirectory.path), deadline: soon)
        let console = TestConsole()
        guard case .cleaned(1, 0) = try await clean(n1, console) else { throw Problem("\(console.seen)") }
        #expect(console.seen == ["leavings: \(run)", "removed: \(run)"])
        try await n1.end()
    }

    @Test("of two files the second cannot be removed: that is said, and an undo leaves what it cannot put back")
    func inPart() async throws {
        let n1 = try await Configured()
        let connection = try await n1.instance.connect()
        _ = try await connection.query("ALTER SYSTEM SET jit = off", deadline: soon)
        await connection.close()
        try await n1.instance.reloadByLog(deadline: soon)
        let journal = try await n1.set("work_mem=16MB", "jit=on"), run = try #require(try Memory(journal).header?.run)
        let things = try Memory(journal).created().filter { $0.kind == "original" }
        try #require(things.count == 2)
        let stuck = things[1].name
        try await n1.area.host.require(.script("mv \"$1\" \"$1.aside\" && mkdir \"$1\"", stuck), deadline: soon)
        let console = TestConsole()
        guard case .cleaned(0, 1) = try await clean(n1, console) else { throw Problem("\(console.seen)") }
        let state = "1 of 2 previous versions is removed: an undo cannot put all back any more, although the run is listed as finished"
        #expect(console.seen.last?.contains("\n\(state)\n") == true, "\(console.seen)")
        #expect(try n1.store.run(run).state == .finished)
        try await n1.area.host.require(.script("rmdir \"$1\" && mv \"$1.aside\" \"$1\"", stuck), deadline: soon)
        #expect(try await n1.kept().map { "\(n1.instance.dataDirectory)/\($0)" } == [stuck])
        // What was said of an undo is so: one file is put back, of the other it knows that it cannot be.
        let left = try await n1.undo(journal)
        #expect(left.count == 1 && left[0].fact.contains("what it was before is gone (\(things[0].name))"), "\(left)")
        try await n1.end()
    }

    @Test("a journal that names another file than one which its run has kept is not followed, neither by a clean nor by an undo")
    func forged() async throws {
        let n1 = try await Configured()
        let journal = try await n1.set("work_mem=16MB"), run = try #require(try Memory(journal).header?.run)
        let step = try #require(journal.entries.first { $0.event == .creating }?.step)
        let victim = Created("original", on: "n1", "\(n1.instance.dataDirectory)/pg_hba.conf.before-another"), content = "somebody else's"
        try await n1.write(content, to: "pg_hba.conf.before-another")
        try journal.append(JournalEntry(.creating, step: step, value: try JSON(of: victim)))
        try #require(try n1.store.run(run).state == .finished)

        let said = "n1: \(victim.name) is no previous version that this run has kept (*.before-\(run)), although its journal says so: left alone"
        let console = TestConsole()
        guard case .cleaned(0, 1) = try await clean(n1, console) else { throw Problem("\(console.seen)") }
        #expect(console.seen.last?.hasPrefix("not removed: \(run), \(said)") == true, "\(console.seen)")
        let configure = try n1.again(journal), memory = Memory(journal)
        let refused = await #expect(throws: Problem.self) { try await configure.removeLeft(victim, memory) }
        #expect(refused?.fact == said)
        await configure.close()
        let left = try await n1.undo(journal)
        #expect(left.count == 1 && left[0].fact.contains(said), "\(left)")
        #expect(try await n1.read("pg_hba.conf.before-another") == content)
        try await n1.end()
    }
}
