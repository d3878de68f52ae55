import Foundation
import Rehearsal
import Report
import Testing

@testable import Run

private func entry(_ event: JournalEntry.Event, _ step: String? = nil, _ text: String? = nil, at seconds: Double = 0, value: JSON? = nil) -> JournalEntry {
    JournalEntry(at: Date(timeIntervalSince1970: seconds), event, step: step, text: text, value: value)
}

@Suite("A run's state")
struct RunSummaryTests {
    static let cases: [(entries: [JournalEntry], isAtWork: Bool, state: RunSummary.State)] = [
        ([entry(.began), entry(.intent, "a")], true, .goingOn),
        ([entry(.began), entry(.intent, "a")], false, .cutOff),
        ([entry(.began), entry(.failed, "a"), entry(.ended, nil, "failed")], true, .failed),
        ([entry(.began), entry(.interrupted, "a"), entry(.ended, nil, "interrupted")], false, .interrupted),
        ([entry(.began), entry(.ended, nil, "failed"), entry(.resumed), entry(.seen, "a")], false, .cutOff),
        ([entry(.began), entry(.ended, nil, "failed"), entry(.resumed), entry(.ended, nil, "finished")], false, .finished),
        ([entry(.began), entry(.ended, nil, "finished"), entry(.undoing)], false, .undoCutOff),
        ([entry(.began), entry(.undoing), entry(.undone, "b")], true, .goingOn),
        ([entry(.began), entry(.undoing), entry(.ended, nil, "interrupted")], false, .undoInterrupted),
        ([entry(.began), entry(.undoing), entry(.ended, nil, "undone in part")], false, .undoneInPart),
        ([entry(.began), entry(.undoing), entry(.ended, nil, "undone in part"), entry(.undoing), entry(.ended, nil, "undone")], false, .undone),
    ]

    @Test("is read from its last turn", arguments: cases.indices)
    func state(_ index: Int) {
        let (entries, isAtWork, state) = Self.cases[index]
        #expect(RunSummary.State(entries, isAtWork: { isAtWork }) == state)
    }

    @Test("tells how far it is, and what can be done: nothing of what was undone is gone on with")
    func ways() async throws {
        try await withStore { store in
            let (header, journal) = try store.begin(Toy(cluster: "app"), steps: ["a", "b", "c"])
            #expect(try store.run(header.run).progress == "no step")
            try journal.append(JournalEntry(.intent, step: "b"))
            let cut = try #require(try store.unfinished(cluster: "app"))
            #expect(cut.progress == "2 of 3, b")
            #expect(cut.canResume)
            #expect(cut.ways == "`pggraft resume \(header.run)` goes on with it, `pggraft undo \(header.run)` takes it back.")
            try journal.append(JournalEntry(.undoing))
            let undoing = try #require(try store.unfinished(cluster: "app"))
            #expect(!undoing.canResume)
            #expect(undoing.ways == "`pggraft undo \(header.run)` takes the rest of it back.")
            try journal.append(JournalEntry(.ended, text: "undone"))
            #expect(try store.unfinished(cluster: "app") == nil)
        }
    }

    @Test("a name is whole or begins one run; one that begins several is refused")
    func names() async throws {
        try await withStore { store in
            let now = Date(timeIntervalSince1970: 1_795_244_400)
            for _ in 0..<2 { _ = try store.begin(Toy(cluster: "app"), now: now) }
            _ = try store.begin(Toy(cluster: "other"), now: now.addingTimeInterval(86400))
            let names = try store.runs().runs.map(\.header.run)
            #expect(Set(names) == ["20261121-070000-app", "20261121-070000-app-2", "20261122-070000-other"])
            #expect(try store.run("20261122").header.cluster == "other")
            #expect(try store.run("20261121-070000-app").header.run == "20261121-070000-app")
            let several = #expect(throws: Problem.self) { try store.run("20261121") }
            #expect(several?.fact.hasPrefix("2 runs begin with 20261121: ") == true)
            for empty in ["", " "] {
                let nameless = #expect(throws: Problem.self) { try store.run(empty) }
                #expect(nameless?.fact == "the name of the run is empty")
            }
            let none = #expect(throws: Problem.self) { try store.run("2025") }
            #expect(none?.fact == "there is no run 2025 on this machine")
        }
    }
}

@Suite("A timeline")
struct TimelineTests {
    private func text(_ entries: [JournalEntry], isGoingOn: Bool = false) throws -> [String] {
        try Timeline(entries, isGoingOn: isGoingOn).lines.flatMap { line in
            ["\(Int(line.at.timeIntervalSince1970)) \(line.mark.rawValue) \(line.text)"] + line.details.map { "    \($0)" }
        }
    }

    @Test("shows what was done, how long it took, and what was created; a step without an end was cut off")
    func steps() throws {
        let slot = try JSON(of: Created("replication slot", on: "n2", "spk_app_n2_sub"))
        let entries = [
            entry(.began), entry(.seen, "requirements", "all 3 are met", at: 1), entry(.closed, "slots", "read-only window", at: 2),
            entry(.intent, "slots", "Create the slots", at: 2), entry(.creating, "slots", at: 3, value: slot), entry(.fact, "slots", at: 3),
            entry(.done, "slots", "n2 at 0/1\nn3 at 0/2", at: 4), entry(.intent, "promote", "Promote n4", at: 5),
            entry(.resumed, at: 60), entry(.opened, nil, "read-only window", at: 61), entry(.failed, "promote", "n4 is gone", at: 62), entry(.ended, nil, "failed", at: 63),
            entry(.undoing, at: 100), entry(.undone, "slots", "dropped", at: 101), entry(.left, "stanza", "not ours", at: 102), entry(.ended, nil, "undone in part", at: 103),
        ]
        #expect(
            try text(entries) == [
                "0  begun", "1 = requirements", "    all 3 are met", "2 · read-only window: closed",
                "2 ✓ Create the slots  (2 s)", "    creates replication slot spk_app_n2_sub on n2", "    n2 at 0/1", "    n3 at 0/2",
                "5 ✗ Promote n4  (55 s)", "    cut off", "60  resumed", "61 · read-only window: open again",
                "62 ✗ promote  (0 ms)", "    failed: n4 is gone", "63  failed",
                "100  undo", "101 ↶ slots", "    dropped", "102 ! stanza", "    not ours", "103  undone in part",
            ])
    }

    @Test("of a run that goes on, the last step has only begun")
    func goingOn() throws {
        let entries = [entry(.began), entry(.intent, "backup", "Take a full backup", at: 1)]
        #expect(try text(entries, isGoingOn: true) == ["0  begun", "1 ▸ Take a full backup"])
        #expect(try text(entries) == ["0  begun", "1 ✗ Take a full backup  (0 ms)", "    cut off"])
    }
}
