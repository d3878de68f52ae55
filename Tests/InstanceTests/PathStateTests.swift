import Instance
import RemoteHost
import Scratch
import Testing

@Suite("What stands at a path") struct PathStateTests {
    @Test func `is told of each, as the server's OS user finds it`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1"), root = area.directory
        try await n1.host.require(
            .script(
                """
                cd -- "$1" && mkdir -p full/PG_15_1/5 empty/PG_15_1 "mount point/lost+found" && touch full/PG_14_1 file && mkdir -m 0500 closed
                """, root.path
            ).as("postgres"), deadline: soon)
        let names = ["full", "empty", "mount point", "new one/a/b", "file", "file/a", "closed/a", "closed"]
        let states = try await n1.pathStates(names.map { root / $0 }, without: "PG_*", deadline: soon)
        #expect(states.map(\.path) == names.map { root / $0 })
        let kinds: [PathState.Kind] = [
            .occupied(["PG_14_1", "PG_15_1"]), .usable, .usable, .absent([root / "new one", root / "new one/a", root / "new one/a/b"]),
            .notADirectory, .notADirectory, .unreachable(root / "closed"), .notWritable,
        ]
        #expect(states.map(\.kind) == kinds)
        #expect(Set(states.map(\.mount)).count == 1 && states.allSatisfy { $0.free > 0 && $0.mount.hasPrefix("/") })
        #expect(try await n1.pathStates([root / "full"], deadline: soon).map(\.kind) == [.usable])
        #expect(try await n1.pathStates([], deadline: soon) == [])
        try await n1.host.require(.script("cd -- \"$1\" && printf x >'two words' && printf x >secret && chmod 0 secret", root.path).as("postgres"), deadline: soon)
        let files = ["secret", "two words", "gone", "file"].map { (root / $0).path }
        #expect(try await n1.unreadable(files, deadline: soon) == [files[0], files[2]])
        #expect(try await n1.unreadable([], deadline: soon) == [])
    }
}
