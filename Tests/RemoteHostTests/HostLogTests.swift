import EventLoop
import InMemoryLogging
import Logging
import Report
import Testing

@testable import RemoteHost

@Suite(.fewAtATime) struct `What a host logs` {
    private let memory = InMemoryLogHandler()

    private func log(_ level: Logger.Level) -> Logger {
        var log = Logger(label: "test") { _ in memory }
        log.logLevel = level
        return log
    }

    private func run(_ kind: HostContractTests.Kind, _ log: Logger, _ body: (any RemoteHost.Host) async throws -> Void) async throws {
        switch kind {
        case .local: try await body(LocalHost(name: "n1", log: log))
        case .ssh, .keptShell:
            let server = try await TestSSHServer()
            let host = try await SSHHost.connect(server.target, name: "n1", keepsShells: kind == .keptShell, deadline: .patient, log: log)
            do { try await body(host) } catch {
                await host.close()
                throw error
            }
            await host.close()
        }
    }

    @Test(arguments: HostContractTests.Kind.allCases)
    func `is each command, on one line, as whom, how long and how it ended, and no secret`(kind: HostContractTests.Kind) async throws {
        let command = Command.script("cat >/dev/null\n: password=hunter2; exit 3", "host=n2 password=hunter2 user=x")
            .with("PGPASSWORD", "hunter 2").reading(Array("hunter2 through standard input".utf8))
        try await run(kind, log(.debug)) { host in
            #expect(try await host.run(command, deadline: .patient).status == .code(3))
            let entry = try #require(memory.entries.first)
            #expect(memory.entries.count == 1)
            #expect(entry.level == .debug)
            #expect(
                "\(entry.message)"
                    == "env 'PGPASSWORD=‹redacted›' sh -c 'cat >/dev/null : password=‹redacted› exit 3' sh 'host=n2 password=‹redacted› user=x'")
            #expect(entry.metadata[Sending.node] == "n1")
            #expect(entry.metadata[Sending.user] == .string(host.loginUser))
            #expect(entry.metadata[Sending.took].map { "\($0)".hasSuffix("s") } == true)
            #expect(entry.metadata[Sending.ending] == "exit code 3")
        }
    }

    @Test(arguments: HostContractTests.Kind.allCases)
    func `of a command that does not end in time is why, and what was done to end it`(kind: HostContractTests.Kind) async throws {
        try await run(kind, log(.debug)) { host in
            await #expect(throws: DeadlineExceeded.self) { try await host.run(Command("sleep", "600"), deadline: .after(.milliseconds(300))) }
            let entry = try #require(memory.entries.last)
            #expect(entry.message == "sleep 600")
            #expect(entry.metadata[Sending.ending].map { "\($0)".hasPrefix("gave up after 300 ms waiting for sleep 600 on n1") } == true)
        }
    }

    @Test(arguments: HostContractTests.Kind.allCases) func `is nothing where nobody asks for it`(kind: HostContractTests.Kind) async throws {
        try await run(kind, log(.info)) { host in
            try await host.require(Command("true"), deadline: .patient)
            #expect(memory.entries.isEmpty)
        }
    }

    @Test(arguments: [("dba", "sudo -n -u postgres -- pg_ctl status"), ("root", "runuser -u postgres -- pg_ctl status"), ("postgres", "pg_ctl status")])
    func `says how a command becomes another user's`(loginUser: String, shown: String) {
        #expect(Command("pg_ctl", "status").as("postgres").shown(loginUser: loginUser) == shown)
    }
}
