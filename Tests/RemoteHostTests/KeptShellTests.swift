import EventLoop
import Foundation
import Testing

@testable import RemoteHost

/// Shells that are kept on a connection: what is theirs beside what ``HostContractTests`` says of every host.
@Suite("A shell that is kept", .fewAtATime) struct KeptShellTests {
    private func withWarmHost(_ server: TestSSHServer? = nil, _ body: (WarmHost) async throws -> Void) async throws {
        let made: TestSSHServer
        if let server { made = server } else { made = try await TestSSHServer() }
        try await withHost(made) { try await body(WarmHost(host: $0)) }
    }

    // MARK: As text

    @Test func `gets a program as lines, and its input as a format of printf`() throws {
        let command = Command.script("echo a\necho 'b'", "x y").as("postgres").with("N", "1").reading(Array("-s%c\\r e\nt\u{0}é!".utf8))
        #expect(
            String(decoding: try #require(KeptShell.request(command, nonce: "N1")), as: UTF8.self) == #"""
                N1 2
                exec env LC_ALL=C N=1 sh -c 'echo a
                echo '\''b'\''' sh 'x y'
                \055s\045c\134r e\012t\000\303\251!

                """#)
        #expect(KeptShell.request(Command("cat").reading([UInt8](repeating: 0x61, count: 32_768)), nonce: "N1") != nil)
        #expect(KeptShell.request(Command("cat").reading([UInt8](repeating: 0x61, count: 32_769)), nonce: "N1") == nil)
        #expect(KeptShell.request(Command("cat").reading([UInt8](repeating: 0x0A, count: 10_000)), nonce: "N1") == nil)
    }

    @Test(arguments: [
        ("dba", "postgres", "sudo -n -u postgres -- env LC_ALL=C sh -c"), ("root", "postgres", "runuser -u postgres -- env LC_ALL=C sh -c"),
        ("dba", "dba", "env LC_ALL=C sh -c"),
    ]) func `is begun by one line, quoted once`(loginUser: String, user: String, words: String) {
        let line = KeptShell.line(user: user, nonce: "N1", loginUser: loginUser)
        #expect(line.hasPrefix(#"exec sh -c 'cd / && exec "$@"' sh \#(words) 'exec 3<&0 "#))
        #expect(line.contains("' sh N1 'exec 4<&0 "))
        #expect(!line.contains("\n") && !line.contains(#"\\"#) && !line.contains(#"\'\'"#))
    }

    // MARK: What it costs

    @Test func `takes one round trip for a program`() async throws {
        let server = try await TestSSHServer(), roundTrip = Duration.milliseconds(300)
        let line = try DelayedLine(to: server.port, oneWay: roundTrip / 2)
        try server.writeKnownHosts("[\(TestSSHServer.address)]:\(line.port) \(try server.publicHostKey("ed25519"))\n")
        try server.configure(["Port": String(line.port)])
        try await withWarmHost(server) { warm in
            var best = Duration.seconds(100)
            for number in 0..<10 where best > roundTrip * 1.2 {
                try await warm.awaitShell(of: warm.loginUser)
                let began = ContinuousClock.now
                let result = try await warm.run(Command("cat").reading(Array("\(number)".utf8)), deadline: .patient)
                best = min(best, began.duration(to: .now))
                #expect(result.text == "\(number)")
            }
            #expect(best >= roundTrip && best <= roundTrip * 1.2)
        }
    }

    @Test func `is there for the next program, and one more for who comes meanwhile`() async throws {
        let server = try await TestSSHServer()
        try await withWarmHost(server) { warm in
            for _ in 0..<5 { try await warm.require(Command("true"), deadline: .patient) }
            try await warm.awaitShell(of: warm.loginUser)
            let session = warm.host.connection.session
            let idle = await session.keptShells().idle
            #expect(idle.count <= 2)
            // The first was begun with the connection, the second when the first was used.
            #expect(server.log.components(separatedBy: "Starting session: command").count - 1 <= 2)
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `is one for each user, and more while several programs run, as far as there is room`() async throws {
        try await withWarmHost { warm in
            for user in ["nobody", "games", "daemon", "nobody", "games"] {
                #expect(try await warm.require(Command("id", "-un").as(user), deadline: .patient).text == user)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    let user = ["nobody", "games", "daemon", "bin"][number % 4]
                    group.addTask {
                        let result = try await warm.host.require(.script("sleep 0.05; id -un").as(user), deadline: .patient)
                        #expect(result.text == user)
                    }
                }
                try await group.waitForAll()
            }
            let session = warm.host.connection.session
            let taken = await session.placesTaken
            #expect(taken <= 8)
        }
    }

    // MARK: What programs leave behind

    @Test func `keeps what a daemon writes later out of the next programs' output`() async throws {
        try await withWarmHost { warm in
            var daemons: [Int32] = []
            for _ in 0..<3 {
                let text = try await warm.require(
                    .script("sh -c 'trap \"\" PIPE; while :; do echo late; echo late >&2; done' & echo $!"), deadline: .patient
                ).output
                daemons.append(try #require(Int32(String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0 != "late" } ?? "")))
                for number in 0..<10 {
                    let result = try await warm.run(.script("printf %s \"$1\"; printf 'e%s' \"$1\" >&2", "\(number)"), deadline: .patient)
                    #expect(String(decoding: result.output, as: UTF8.self) == "\(number)")
                    #expect(String(decoding: result.errorOutput, as: UTF8.self) == "e\(number)")
                }
            }
            for daemon in daemons {
                #expect(kill(daemon, 0) == 0)
                kill(daemon, SIGKILL)
            }
        }
    }

    @Test func `gives a program its own streams and nothing else`() async throws {
        try await withWarmHost { warm in
            let open = try await warm.require(.script("ls -l /proc/$$/fd"), deadline: .patient).text
            #expect(open.split(separator: "\n").dropFirst().count == 3, "\(open)")
            #expect(open.contains("0 -> /dev/null") && !open.contains("socket:"), "\(open)")
        }
    }

    @Test func `shows a secret in no command line, environment or file`() async throws {
        try await withWarmHost { warm in
            let secret = "s-\(UUID().uuidString)"
            let seen = try await warm.run(
                .script(
                    #"""
                    read -r secret
                    printf '%s\n' "$secret" | grep -laF -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null
                    find /tmp /dev/shm -maxdepth 2 -user "$(id -u)" -newermt '-5 seconds' -type f -size -100 2>/dev/null | while read -r file; do printf '%s\n' "$secret" | grep -lF -f - "$file" 2>/dev/null; done
                    printf %s "${#secret}"
                    """#
                ).reading(Array("\(secret)\n".utf8)), deadline: .patient)
            #expect(seen.text == "\(secret.utf8.count)")
        }
    }

    // MARK: Shells of all kinds

    @Test(arguments: ["/bin/dash", "/bin/bash", "/bin/busybox"].filter { FileManager.default.isExecutableFile(atPath: $0) })
    func `may be any sh`(path: String) async throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/sh", withDestinationPath: path)
        let server = try await TestSSHServer(settings: [#"ForceCommand PATH=\#(directory.path):$PATH TMOUT=1; export PATH TMOUT; exec sh -c "$SSH_ORIGINAL_COMMAND""#])
        try await withWarmHost(server) { warm in
            #expect(try await warm.require(.script("sh=$(readlink /proc/$PPID/exe); echo $sh"), deadline: .patient).text.hasSuffix(path.split(separator: "/").last ?? "?"))
            let bytes = (0...255).map { UInt8($0) }
            #expect(try await warm.require(Command("cat").reading(bytes), deadline: .patient).output == bytes)
            // bash's read would have given up by now.
            try await Task.sleep(for: .seconds(2))
            #expect(try await warm.run(.script("printf 'é\t \\n\\177'; exit 7\n\n"), deadline: .patient).output == Array("é\t \n\u{7F}".utf8))
            let daemon = try await warm.require(.script("sleep 300 & echo $!"), deadline: .patient).text
            #expect(try await warm.run(.script("kill -TERM $$"), deadline: .patient).status == .signal("TERM"))
            kill(try #require(Int32(daemon)), SIGKILL)
        }
    }

    /// A forced command stands for what a login shell does before it runs our line.
    @Test(arguments: ["echo hello; echo oops >&2;", "printf half; printf half >&2;"]) func `is had from a login that is noisy`(login: String) async throws {
        let server = try await TestSSHServer(settings: [#"ForceCommand \#(login) exec sh -c "$SSH_ORIGINAL_COMMAND""#])
        try await withWarmHost(server) { warm in
            let result = try await warm.require(.script("echo out; echo err >&2"), deadline: .patient)
            #expect(result.text == "out" && result.errorText == "err")
        }
    }

    @Test(arguments: ["cat >/dev/null;", "read -r answer;"]) func `is not had from a login that reads, and programs run all the same`(login: String) async throws {
        let server = try await TestSSHServer(settings: [#"ForceCommand \#(login) exec sh -c "$SSH_ORIGINAL_COMMAND""#])
        try await withHost(server) { host in
            for number in 0..<5 {
                let result = try await host.require(Command("echo", "\(number)"), deadline: .patient)
                #expect(result.text == "\(number)")
            }
            let served = await host.connection.session.keptShells().served
            #expect(served == 0)
        }
    }

    // MARK: What happens to it

    /// The shell itself, from a program below it: program, watcher, its pipeline, the shell.
    private static let shell = #"p=$PPID; for _ in 1 2; do p=$(awk '/^PPid:/ { print $2 }' /proc/$p/status); done;"#

    @Test func `that was killed while it waited is replaced, and nothing fails`() async throws {
        try await withWarmHost { warm in
            for _ in 0..<3 {
                let shell = try await warm.require(.script("\(Self.shell) echo $p"), deadline: .patient).text
                kill(try #require(Int32(shell)), SIGKILL)
                #expect(try await warm.host.require(Command("echo", "here"), deadline: .patient).text == "here")
            }
        }
    }

    @Test func `that is killed under a program leaves it its end`() async throws {
        try await withWarmHost { warm in
            let result = try await warm.run(.script("\(Self.shell) kill -KILL $p; sleep 0.3; echo done; exit 5"), deadline: .patient)
            #expect(result.status == .code(5))
            #expect(result.text == "done")
            try await warm.host.require(Command("true"), deadline: .patient)
        }
    }

    @Test(arguments: ["cat", "sh"]) func `whose helpers are killed under a program leaves the outcome unknown, at once`(helper: String) async throws {
        try await withWarmHost { warm in
            // The relays and the watcher; the program is the watcher's child as the relays are.
            let kill =
                helper == "sh"
                ? "kill -KILL $PPID; sleep 20"
                : "for p in /proc/[0-9]*; do grep -qs \"^PPid:.$PPID$\" $p/status && grep -qs '^Name:.cat$' $p/status && kill -KILL ${p#/proc/}; done; exit 0"
            let began = ContinuousClock.now
            let error = try #require(await #expect(throws: HostError.self) { try await warm.run(.script(kill), deadline: .patient) })
            guard case .outcomeUnknown("n1", _, let detail) = error else { throw error }
            #expect(detail == "the shell around it was killed")
            #expect(began.duration(to: .now) < .seconds(15))
            try await warm.require(Command("true"), deadline: .patient)
        }
    }

    @Test func `under whose program the connection is cut, or frozen, says what was running`() async throws {
        for signal in [SIGKILL, SIGSTOP] {
            let server = try await TestSSHServer(), directory = try TemporaryDirectory()
            try await withWarmHost(server) { warm in
                let task = Task { try await warm.run(.script("echo > \"$1\"/began; sleep 20", directory.path), deadline: .patient) }
                try await wait(for: "the program", until: .patient) {
                    FileManager.default.fileExists(atPath: directory.path + "/began") ? .found(()) : .notYet("not begun")
                }
                for process in server.connectionProcesses() { kill(process, signal) }
                let error = try #require(await #expect(throws: HostError.self) { try await task.value })
                guard case .connectionLost("n1", let detail, let during) = error else { throw error }
                #expect(during?.hasPrefix("sh -c 'echo >") == true)
                if signal == SIGSTOP { #expect(detail.hasPrefix("no sign of life for 1")) }
            }
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `ends with its connection, whoever ends that`() async throws {
        for isKilled in [false, true] {
            let server = try await TestSSHServer()
            var nonces: [String] = []
            try await withWarmHost(server) { warm in
                try await warm.require(Command("true").as("nobody"), deadline: .patient)
                try await warm.require(Command("true"), deadline: .patient)
                try await warm.awaitShell(of: "nobody")
                nonces = await warm.host.connection.session.keptShells().idle.map(\.nonce)
                if isKilled { for process in server.connectionProcesses() { kill(process, SIGKILL) } }
            }
            #expect(nonces.count >= 2)
            try await wait(for: "the end of the shells", until: .patient) {
                let left = try await LocalHost().run(
                    .script("cat /proc/[0-9]*/cmdline 2>/dev/null | grep -acF \"$(cat)\"").reading(Array(nonces.joined(separator: "\n").utf8)), deadline: .patient)
                return left.text == "0" ? .found(()) : .notYet(left.text)
            }
        }
    }

    @Test func `is not used again after a program that was told to end`() async throws {
        try await withWarmHost { warm in
            try await warm.require(Command("true"), deadline: .patient)
            await #expect(throws: DeadlineExceeded.self) { try await warm.run(Command("sleep", "600"), deadline: .after(.seconds(1))) }
            let result = try await warm.run(Command("echo", "next"), deadline: .patient)
            #expect(result.text == "next")
        }
    }
}
