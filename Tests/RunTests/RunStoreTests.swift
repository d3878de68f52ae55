import Foundation
import Rehearsal
import Report
import Testing

@testable import Run

@Suite("Where runs are kept")
struct RunStoreTests {
    private func store(at path: String) -> RunStore { RunStore(environment: ["PGGRAFT_STATE_DIR": path]) }

    @Test("what is no directory, cannot be read or be made is told, by its name and why, and is not taken for no runs")
    func unusable() async throws {
        try await withStore { scratch in
            _ = try scratch.begin(Toy(cluster: "app"), steps: [])
            let file = scratch.directory + "/file", loop = scratch.directory + "/loop"
            try "".write(toFile: file, atomically: true, encoding: .utf8)
            // Nobody can follow it, root neither.
            try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: loop)
            for (path, why) in [(file, "Not a directory"), (file + "/below", "Not a directory"), (loop, "Too many levels of symbolic links")] {
                let store = store(at: path)
                for attempt in [{ _ = try store.runs() }, { _ = try store.run("x") }, { _ = try store.unfinished(cluster: "app") }] {
                    let problem = #expect(throws: Problem.self) { try attempt() }
                    #expect(problem?.fact == "cannot read the directory of runs \(path): \(why)")
                    #expect(problem?.hint?.contains("PGGRAFT_STATE_DIR") == true)
                }
            }
            for path in [file + "/below", loop + "/below", "/sys/pggraft"] {
                let store = store(at: path)
                for attempt in [{ _ = try store.begin(Toy(cluster: "app"), steps: []) }, { _ = try RunLock(cluster: "app", in: store, holder: Holder()) }] {
                    let problem = #expect(throws: Problem.self) { try attempt() }
                    #expect(problem?.fact.hasPrefix("cannot make the directory of runs \(path): ") == true, "\(String(describing: problem))")
                }
            }
            let locked = #expect(throws: Problem.self) { try RunLock(cluster: "app", in: store(at: file), holder: Holder()) }
            #expect(locked?.fact == "cannot open the lock file \(file)/app.lock: Not a directory")
        }
    }

    @Test("a directory that is not there yet has no runs, and is made with those above it")
    func absent() async throws {
        try await withStore { scratch in
            let store = store(at: scratch.directory + "/a/b")
            #expect(try store.runs().runs.isEmpty && store.runs().unreadable.isEmpty)
            _ = try store.begin(Toy(cluster: "app"), steps: [])
            #expect(try store.runs().runs.count == 1)
            #expect(try FileManager.default.attributesOfItem(atPath: store.directory)[.posixPermissions] as? Int == 0o700)
            #expect(RunStore(environment: ["PGGRAFT_STATE_DIR": "", "XDG_STATE_HOME": "/x"]).directory == "/x/pggraft")
        }
    }

    @Test("a journal that is empty, torn in its first line, binary or a directory is named; only what may be a run stands in the way of the next one")
    func journals() async throws {
        let kinds: [(name: String, content: [UInt8]?, said: String, isInTheWay: Bool)] = [
            ("empty", [], "is empty: the run that it is of changed nothing", false),
            ("torn", Array(#"{"at":"2026-"#.utf8), "is empty: the run that it is of changed nothing", false),
            ("binary", [0x7F, 0x45, 0x4C, 0x46, 0, 1, 2], "line 1 of the journal", true), ("lines", [0, 1, 0x0A, 2, 0x0A], "line 1 of the journal", true),
            ("zeros", [UInt8](repeating: 0, count: 512), "line 1 of the journal", true), ("other", Array("{\"v\":1}\n".utf8), "line 1 of the journal", true),
            ("nothing", Array("[]\n".utf8), "line 1 of the journal", true), ("directory", nil, "Is a directory", true),
        ]
        for (name, content, said, isInTheWay) in kinds {
            try await withStore { store in
                let (header, _) = try store.begin(Toy(cluster: "other"), steps: [])
                let path = store.directory + "/20261128-070000-app.jsonl"
                if let content {
                    try Data(content).write(to: URL(fileURLWithPath: path))
                } else {
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                }
                let (runs, unreadable) = try store.runs()
                #expect(runs.map(\.header.run) == [header.run])
                #expect(unreadable.count == 1 && unreadable.first?.file == "20261128-070000-app.jsonl", "\(name)")
                let error = #expect(throws: JournalError.self) { try store.run("20261128-07") }
                #expect(error?.fact.contains(path) == true && error?.fact.contains(said) == true, "\(name): \(String(describing: error))")
                if isInTheWay {
                    #expect(throws: JournalError.self) { try store.unfinished(cluster: "app") }
                } else {
                    #expect(try store.unfinished(cluster: "app") == nil)
                }
            }
        }
    }
}
