import Bed
import Run
import Testing

/// An undo takes nothing away that is in use before somebody has said yes to just that.
@Suite("Undo asks", .serialized)
struct UndoQuestionTests {
    @Test func `before a member or a data directory goes, and not where nothing is in use`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed)
            let done = try await someone.pggraft("run", "--yes", someone.playbook)
            try #require(done.status == 0, "\(done.standardOutput)\(done.standardError)")
            let run = try #require(try someone.entries().first?.value?.decoded(as: RunHeader.self).run)
            let before = try await Fingerprint(bed), entries = try someone.entries().count
            let refusal = "nobody is there to say yes\n  HINT: run it in a terminal, or with --yes. Nothing was changed."

            // There is one run only: a name that was left out by a script must not mean it.
            for command in ["undo", "resume", "show"] {
                let nameless = try await someone.pggraft(command, "")
                #expect(nameless.status == 1, "\(command)")
                #expect(nameless.standardError == "the name of the run is empty\n  HINT: `pggraft runs` lists them.\n", "\(command)")
            }
            #expect(try await someone.pggraft("hba", "remove", "n1", "", "--yes").status == 64)

            let member = try await someone.pggraft("undo", "--purge-data", run)
            #expect(member.status == 1)
            #expect(member.standardError.contains(refusal), "\(member.standardError)")
            for line in [
                "The undo of run \(run) takes away what is in use:",
                "  n4 is a member of the mesh and takes writes: it stops, and its subscriptions and slots on n1, n2 and n3 are dropped",
                "  n4: everything in the data directory \(Bed.dataDirectory) is removed (--purge-data)",
            ] { #expect(member.standardOutput.contains(line + "\n"), "\(member.standardOutput)") }
            // The server of n4 writes its own log.
            let changes = try await before.changes().filter { !$0.hasPrefix("n4: ") }
            #expect(changes.isEmpty)
            #expect(try someone.entries().count == entries)
            try await bed.expectMember()

            // Without the flag its data stays, and with it that is asked for by itself.
            let left = try await someone.pggraft("undo", "--yes", run)
            #expect(left.status == 1)
            #expect(left.standardError.contains("the data directory \(Bed.dataDirectory) is left as it is, stopped"), "\(left.standardError)")
            let data = try await someone.pggraft("undo", "--purge-data", run)
            #expect(data.status == 1)
            #expect(data.standardError.contains(refusal), "\(data.standardError)")
            #expect(!data.standardOutput.contains("member of the mesh"), "\(data.standardOutput)")
            #expect(data.standardOutput.contains("  n4: everything in the data directory \(Bed.dataDirectory) is removed (--purge-data)\n"), "\(data.standardOutput)")
            #expect(try await bed.host("n4").run("ls \(Bed.dataDirectory)/PG_VERSION") == "\(Bed.dataDirectory)/PG_VERSION")

            let gone = try await someone.pggraft("undo", "--purge-data", "-y", run)
            #expect(gone.status == 0, "\(gone.standardOutput)\(gone.standardError)")
            #expect(try await bed.host("n4").run("ls -A \(Bed.dataDirectory) 2>/dev/null || true") == "")
            let again = try await someone.pggraft("undo", "--purge-data", run)
            #expect(again.status == 0, "\(again.standardOutput)\(again.standardError)")
            #expect(!again.standardOutput.contains("takes away"), "\(again.standardOutput)")
        }
    }
}
