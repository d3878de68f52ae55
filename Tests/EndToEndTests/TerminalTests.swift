import Bed
import Testing

/// What the README tells a newcomer to type, typed in a terminal.
@Suite("In a terminal", .serialized)
struct TerminalTests {
    private static let root = String(#filePath.dropLast("/Tests/EndToEndTests/TerminalTests.swift".count))
    private static let prompt = "operator:\(root.split(separator: "/").last ?? "")# "

    /// Runs `pggraft-bed` in a terminal, from a shell that waits for it and has no say about jobs, as make is one.
    private func bedCommand(_ name: String, _ body: (PseudoTerminal) async throws -> Void) async throws {
        let script = "cd \(Self.root) && trap : INT; \(try programBesideThis("pggraft-bed")) \(name); echo \"ended with $?\"; read answer; echo \"heard $answer\""
        // Beside the bed of these tests, not inside of it: nothing of it can be reached from there.
        try await Bed.exclusively { _ in
            let before = try await Traces()
            try await PseudoTerminal.running(["sh", "-c", script], environment: ["PGGRAFT_BED_INSIDE": "0", "TERM": "xterm"], body)
            #expect(try await Traces() == before)
        }
    }

    /// Expects that the terminal is as it was: who has waited reads from it.
    private func expectTerminalBack(_ terminal: PseudoTerminal) async throws {
        try await terminal.type("me\r")
        try await terminal.shows("heard me\n", within: .seconds(10))
        #expect(try await terminal.ends(within: .seconds(10)).status == 0)
    }

    @Test func `what the README says is typed, interrupted twice, resumed, and nothing stays behind`() async throws {
        try await bedCommand("shell") { terminal in
            /// Types a line in the shell of the bed.
            /// - Returns: what is shown until the next prompt.
            func enter(_ line: String, within deadline: Duration = .seconds(60)) async throws -> String {
                try await terminal.type("\(line)\r")
                try await terminal.shows("\(line)\n", within: .seconds(10))
                return try await terminal.shows(Self.prompt, within: deadline)
            }
            func status() async throws -> String { try await enter("echo status $?") }
            func writable() async throws -> String {
                try await enter(
                    "for n in 11 12 13; do psql -d \"host=10.77.0.$n dbname=app user=spock_admin\" -c \"INSERT INTO app.events (node, writer, seq) VALUES ('typed', 0, $n)\"; done")
            }
            let greeting = try await terminal.shows(Self.prompt, within: .seconds(240))
            #expect(greeting.contains("n1, n2, n3 replicate to each other; n4 is empty."))

            let check = try await enter(try Self.line("check"))
            #expect(check.contains("requirements are met"), "\(check)")
            #expect(try await status() == "status 0\n")
            let plan = try await enter(try Self.line("plan"))
            #expect(plan.contains("+  6/23   (3)  "), "\(plan)")

            try await terminal.type("\(try Self.line("run"))\r")
            let asked = try await terminal.shows("Go on? [yes/no] ", within: .seconds(60))
            #expect(asked.contains("+  6/23   (3)  "), "\(asked)")
            try await terminal.type("yes\r")
            try await terminal.shows("\nrun ", within: .seconds(30))
            let run = try await terminal.shows(", journal ", within: .seconds(5))

            // In the copy: the document's step 2 is the backup.
            try await terminal.shows("▸  5/23   (2)  ", within: .seconds(60))
            try await terminal.type(PseudoTerminal.controlC)
            let copy = try await terminal.shows(Self.prompt, within: .seconds(60))
            #expect(copy.contains("Ending safely; once more to end at once."), "\(copy)")
            #expect(copy.contains("Interrupted. No node is read-only because of it."), "\(copy)")
            #expect(copy.contains("pggraft resume \(run)   goes on from here"), "\(copy)")
            #expect(try await status() == "status 130\n")

            // In the window, which waits for a client that does not end its transaction by itself.
            _ = try await enter(
                "psql -d 'host=10.77.0.12 dbname=app user=spock_admin' -c \"INSERT INTO app.events (node) VALUES ('held'); SELECT pg_sleep(300)\" >/dev/null 2>&1 &")
            try await terminal.type("pggraft resume \(run)\r")
            try await terminal.shows("▸ 12/23   (6)  Terminate all client transactions", within: .seconds(120))
            try await terminal.type(PseudoTerminal.controlC)
            let window = try await terminal.shows(Self.prompt, within: .seconds(60))
            #expect(window.contains("Interrupted. Every node that was closed is open again."), "\(window)")
            #expect(try await status().contains("status 130\n"))
            #expect(try await writable().split(separator: "\n").filter { $0 == "INSERT 0 1" }.count == 3)

            let resumed = try await enter("pggraft resume \(run)", within: .seconds(240))
            #expect(try await status().contains("status 0\n"), "\(resumed)")
            #expect(try await enter("ssh n1 hostname") == "n1\n")
            #expect(try await enter("psql -XAt -d 'host=10.77.0.14 dbname=app user=spock_admin' -c \"SELECT count(*) FROM app.events WHERE node = 'typed'\"") == "3\n")

            try await terminal.type("exit\r")
            try await terminal.shows("ended with 0\n", within: .seconds(30))
            try await expectTerminalBack(terminal)
        }
    }

    @Test func `Ctrl-C ends the demo, and nothing stays behind`() async throws {
        try await bedCommand("demo") { terminal in
            try await terminal.shows("each keeps a ledger of what was acknowledged", within: .seconds(240))
            try await terminal.shows("▸", within: .seconds(60))
            try await terminal.type(PseudoTerminal.controlC)
            try await terminal.shows("ended with 130\n", within: .seconds(30))
            try await expectTerminalBack(terminal)
        }
    }

    /// The README's line with this command, as it stands there.
    private static func line(_ command: String) throws -> String {
        let lines = try readFile("\(root)/README.md").split(separator: "\n")
        return try String(#require(lines.first { $0.hasPrefix("pggraft \(command) ") && $0.contains("playbooks/spock-add-node.yaml") }))
    }
}

/// What a bed that has ended must not have left: namespaces with their processes, mounts, files of whoever typed in it.
private struct Traces: Equatable {
    private let namespaces: String
    private let mounts: String
    private let files: String

    init() async throws {
        func lines(_ script: String) async throws -> String {
            let output = try await Bed.execute(["sh", "-c", script])
            guard output.status == 0 else { throw BedError.commandFailed(script, status: output.status, output: output.standardError) }
            return output.standardOutput
        }
        // A process that goes while it is looked at has no link any more.
        namespaces = try await lines("readlink /proc/[0-9]*/ns/* | sort -u")
        mounts = try await lines("cut -d' ' -f5- /proc/self/mountinfo")
        files = try await lines(
            "cd && for file in .bash_history .psql_history .lesshst .ssh .local/state/pggraft /run/pggraft-bed /run/netns; do stat -c '%n %Z %s' $file 2>/dev/null || echo \"no $file\"; done"
        )
    }
}
