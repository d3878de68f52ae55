import EventLoop
import Foundation
import Testing

@testable import RemoteHost

/// A login as a user who is not root, which only root can set up.
@Suite(.serialized, .fewAtATime, .enabled(if: getuid() == 0 && getpwnam("postgres") != nil)) struct SudoTests {
    private func withUser(sudoers: String? = nil, _ body: (SSHHost) async throws -> Void) async throws {
        // PAM lets in a user without a password; without it sshd refuses the account as locked.
        let server = try await TestSSHServer(settings: ["UsePAM yes"])
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: server.directory)
        try server.configure(["User": "postgres"])
        let file = "/etc/sudoers.d/pggraft-test-\(server.port)"
        if let sudoers {
            try sudoers.write(toFile: file, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o440], ofItemAtPath: file)
        }
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await withHost(server, body)
    }

    @Test func sudoThatWantsAPasswordIsAnErrorOfItsOwn() async throws {
        try await withUser { host in
            #expect(host.loginUser == "postgres")
            try await host.require(Command("true"), deadline: .patient)
            let error = try #require(
                await #expect(throws: HostError.self) {
                    try await host.run(Command("true").as("games"), deadline: .patient)
                })
            guard case .sudoRefused("n1", "postgres", "games", let answer) = error else { throw error }
            #expect(answer.contains("password is required"))
        }
    }

    @Test func sudoRunsTheProgramAndItsFailureIsItsOwn() async throws {
        try await withUser(sudoers: "postgres ALL=(games) NOPASSWD: ALL\n") { host in
            let name = try await host.require(Command("id", "-un").as("games"), deadline: .patient)
            #expect(name.text == "games")
            let result = try await host.run(.script("echo oh >&2; exit 1").as("games"), deadline: .patient)
            #expect(result.status == .code(1))
            #expect(result.errorText == "oh")
            let killed = try await host.run(.script("kill -KILL $$").as("games"), deadline: .patient)
            #expect(killed.status == .signal("KILL"))
        }
    }

    /// With a terminal of its own, sudo puts the program into another session.
    @Test(arguments: ["", "Defaults:postgres use_pty\n"]) func aProgramUnderSudoIsEnded(defaults: String) async throws {
        try await withUser(sudoers: defaults + "postgres ALL=(games) NOPASSWD: ALL\n") { host in
            let directory = try TemporaryDirectory(mode: 0o777)
            let task = Task {
                try await host.run(.script("echo $$ > \"$1\"/new; mv \"$1\"/new \"$1\"/pid; sleep 300", directory.path).as("games"), deadline: .patient)
            }
            let pid = try await wait(for: "the program", until: .patient) {
                let text = try? String(contentsOfFile: directory.path + "/pid", encoding: .utf8)
                return text.flatMap { Int32($0.dropLast()) }.map { .found($0) } ?? .notYet("no pid")
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await wait(for: "the end of process \(pid)", until: .patient) {
                kill(pid, 0) != 0 && errno == ESRCH ? .found(()) : .notYet("it is there")
            }
        }
    }
}
