import EventLoop
import Foundation
import Scratch
import Testing

@testable import RemoteHost

@Suite(.fewAtATime) struct SSHConnectionTests {
    @Test func manyCommandsRunSideBySideOnOneConnection() async throws {
        let server = try await TestSSHServer()
        try await withHost(server) { host in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<64 {
                    group.addTask {
                        let result = try await host.require(.script("sleep 0.1; cat; exit 0").reading(Array("\(number)".utf8)), deadline: .patient)
                        return try #require(Int(result.text))
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == (0..<64).reduce(0, +))
            #expect(server.connectionProcesses().count == 1)
        }
    }

    @Test func waitingCommandsHaveTheirTurnInTheOrderOfAsking() async throws {
        let server = try await TestSSHServer()
        let directory = try TemporaryDirectory()
        try await withHost(server) { host in
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Eight fill every place until there is a file to go on.
                for _ in 0..<8 {
                    group.addTask {
                        try await host.require(.script("echo x >> \"$1\"/began; while [ ! -e \"$1\"/go ]; do sleep 0.05; done", directory.path), deadline: .patient)
                    }
                }
                try await wait(for: "eight programs", until: .patient) {
                    let lines = try? String(contentsOfFile: directory.path + "/began", encoding: .utf8)
                    return lines?.count == 16 ? .found(()) : .notYet("\(lines?.count ?? 0)")
                }
                let ninth = Task { try await host.require(Command("true"), deadline: .patient) }
                // It has no place yet, and a deadline counts in the queue too.
                let error = try #require(
                    await #expect(throws: DeadlineExceeded.self) {
                        try await host.run(Command("touch", directory.path + "/never"), deadline: .after(.milliseconds(300)))
                    })
                #expect(error.waitedFor == "touch \(directory.path)/never on n1")
                _ = FileManager.default.createFile(atPath: directory.path + "/go", contents: nil)
                #expect(try await ninth.value.succeeded)
                try await group.waitForAll()
            }
            #expect(!FileManager.default.fileExists(atPath: directory.path + "/never"))
        }
    }

    @Test(arguments: [1, 3]) func aServerWithFewerSessionsIsLearntAndNothingFails(sessions: Int) async throws {
        let server = try await TestSSHServer(settings: ["MaxSessions \(sessions)"])
        try await withHost(server) { host in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<12 { group.addTask { try await host.require(.script("sleep 0.2"), deadline: .patient) } }
                try await group.waitForAll()
            }
        }
    }

    @Test func aServerWithNoSessionsSaysSo() async throws {
        let server = try await TestSSHServer(settings: ["MaxSessions 0"])
        try await withHost(server) { host in
            let error = await #expect(throws: HostError.self) { try await host.run(Command("true"), deadline: .patient) }
            guard case .channelRefused("n1", _) = error else { throw TestSSHServer.SetupFailed("\(String(describing: error))") }
        }
    }

    @Test func aForcedCommandIsNotTakenForOurs() async throws {
        let server = try await TestSSHServer(settings: ["ForceCommand echo only this"])
        try await withHost(server) { host in
            await #expect(throws: HostError.shellRefused(host: "n1", user: TestSSHServer.user, answer: "only this")) {
                try await host.run(Command("true"), deadline: .patient)
            }
        }
    }

    @Test func aCommandLineThatIsTooLongIsRefusedHere() async throws {
        let server = try await TestSSHServer()
        try await withHost(server) { host in
            try await host.require(Command("true", String(repeating: "x", count: 25_000)), deadline: .patient)
            let error = await #expect(throws: HostError.self) {
                try await host.run(Command("true", String(repeating: "x", count: 40_000)), deadline: .patient)
            }
            guard case .commandTooLong("n1", _, 30_000) = error else { throw TestSSHServer.SetupFailed("\(String(describing: error))") }
        }
    }

    /// A program on the host, running.
    private func withRunning(_ host: SSHHost, _ body: (Task<CommandResult, any Error>) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let task = Task { try await host.run(.script("echo > \"$1\"/began; sleep 20; echo done", directory.path), deadline: .patient) }
        try await wait(for: "the program", until: .patient) {
            FileManager.default.fileExists(atPath: directory.path + "/began") ? .found(()) : .notYet("not begun")
        }
        try await body(task)
    }

    @Test func aConnectionKilledUnderACommandIsLostAndNoExitCode() async throws {
        let server = try await TestSSHServer()
        try await withHost(server) { host in
            try await withRunning(host) { task in
                for process in server.connectionProcesses() { kill(process, SIGKILL) }
                let error = await #expect(throws: HostError.self) { try await task.value }
                guard case .connectionLost("n1", let detail, let during) = error else { throw TestSSHServer.SetupFailed("\(String(describing: error))") }
                #expect(!detail.isEmpty)
                #expect(during?.hasPrefix("sh -c 'echo >") == true)
            }
            let later = await #expect(throws: HostError.self) { try await host.run(Command("true"), deadline: .patient) }
            guard case .connectionLost("n1", _, "true on n1") = later else { throw TestSSHServer.SetupFailed("\(String(describing: later))") }
        }
    }

    @Test func aFrozenHostIsNoticed() async throws {
        let server = try await TestSSHServer()
        try await withHost(server) { host in
            try await withRunning(host) { task in
                for process in server.connectionProcesses() { kill(process, SIGSTOP) }
                let start = ContinuousClock.now
                let error = await #expect(throws: HostError.self) { try await task.value }
                guard case .connectionLost("n1", let detail, _) = error else { throw TestSSHServer.SetupFailed("\(String(describing: error))") }
                #expect(detail.hasPrefix("no sign of life for 1"))
                #expect(ContinuousClock.now - start > .seconds(9))
            }
        }
    }

    @Test func anIdleConnectionToAFrozenHostIsNoticedToo() async throws {
        let server = try await TestSSHServer()
        try await withHost(server) { host in
            try await host.require(Command("true"), deadline: .patient)
            for process in server.connectionProcesses() { kill(process, SIGSTOP) }
            let error = await #expect(throws: HostError.self) { try await host.run(Command("true"), deadline: .patient) }
            guard case .connectionLost = error else { throw TestSSHServer.SetupFailed("\(String(describing: error))") }
        }
    }

    @Test func aHostThatIsFrozenFromTheStartMeetsTheDeadline() async throws {
        let server = try await TestSSHServer()
        kill(server.process, SIGSTOP)
        defer { kill(server.process, SIGCONT) }
        let error = try #require(
            await #expect(throws: DeadlineExceeded.self) {
                _ = try await SSHHost.connect(server.target, name: "n1", deadline: .after(.seconds(2)))
            })
        #expect(error.waitedFor == "the SSH greeting of n1")
    }

    /// sshd asks us for a sign of life too, also while nothing else happens; and gives up after two unanswered seconds.
    @Test func anIdleConnectionAnswersTheServer() async throws {
        let server = try await TestSSHServer(settings: ["ClientAliveInterval 6", "ClientAliveCountMax 1"])
        try await withHost(server) { host in
            try await host.require(Command("true"), deadline: .patient)
            // Long enough for the server to ask, and to give up on us: silence itself is what is tested.
            try await Task.sleep(for: .seconds(15))
            try await host.require(Command("true"), deadline: .patient)
        }
    }

    @Test func aClosedHostSaysSo() async throws {
        let server = try await TestSSHServer()
        let host = try await SSHHost.connect(server.target, name: "n1", deadline: .patient)
        await host.close()
        await #expect(throws: HostError.closed(host: "n1")) { try await host.run(Command("true"), deadline: .patient) }
        await #expect(throws: HostError.closed(host: "n1")) { _ = try await host.forward(toPort: 5432, address: "127.0.0.1") }
        await host.close()
        try await wait(for: "the end of the connection", until: .patient) {
            server.connectionProcesses().isEmpty ? .found(()) : .notYet("it is there")
        }
    }

    @Test func closingEndsWhatIsUnderWay() async throws {
        let server = try await TestSSHServer()
        let host = try await SSHHost.connect(server.target, name: "n1", deadline: .patient)
        try await withRunning(host) { task in
            await host.close()
            await #expect(throws: HostError.closed(host: "n1")) { try await task.value }
        }
    }

    @Test func aHostThatIsLetGoClosesItsConnection() async throws {
        let server = try await TestSSHServer()
        do {
            let host = try await SSHHost.connect(server.target, name: "n1", deadline: .patient)
            try await host.require(Command("true"), deadline: .patient)
        }
        try await wait(for: "the end of the connection", until: .patient) {
            server.connectionProcesses().isEmpty ? .found(()) : .notYet("it is there")
        }
    }

    @Test func rekeyingUnderLoadLosesNothing() async throws {
        let server = try await TestSSHServer(settings: ["RekeyLimit 1M"])
        try await withHost(server) { host in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<6 {
                    group.addTask {
                        let input = [UInt8](repeating: UInt8(number), count: 3 << 20)
                        let result = try await host.require(Command("cat").reading(input), deadline: .patient)
                        #expect(Data(result.output) == Data(input))
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    // MARK: Not connected

    private func unreachable(_ target: SSHTarget, deadline: Deadline = .patient) async throws -> HostError.Unreachable {
        let error = try #require(await #expect(throws: HostError.self) { _ = try await SSHHost.connect(target, name: "n1", deadline: deadline) })
        guard case .unreachable("n1", _, let reason) = error else { throw error }
        return reason
    }

    @Test func aPortWhereNobodyListensIsRefused() async throws {
        let port = try freePort()
        #expect(try await unreachable(SSHTarget("127.0.0.1", port: port, configFile: "/dev/null")) == .refused)
    }

    @Test func aNameThatDoesNotResolveIsNotFound() async throws {
        guard case .nameNotFound(let detail) = try await unreachable(SSHTarget("no-such-host.invalid", configFile: "/dev/null")) else { return #expect(Bool(false)) }
        #expect(!detail.isEmpty)
    }

    @Test func anAddressThatSwallowsEverythingTimesOut() async throws {
        // A listener whose queue is full answers no more.
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(raw) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(raw, $0, length)
                _ = listen(raw, 0)
                _ = getsockname(raw, $0, &length)
            }
        }
        let port = UInt16(bigEndian: name.sin_port)
        var fillers: [Int32] = []
        defer { for filler in fillers { close(filler) } }
        for _ in 0..<4 {
            let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            fillers.append(filler)
            withUnsafePointer(to: name) { _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(filler, $0, length) } }
        }
        let reason = try await unreachable(SSHTarget("127.0.0.1", port: port, configFile: "/dev/null"), deadline: .after(.seconds(2)))
        #expect(reason == .timedOut(after: .seconds(2)))
    }

    @Test func aConfigurationThatMakesNoSenseIsQuoted() async throws {
        let directory = try TemporaryDirectory()
        try "Port banana\n".write(toFile: directory.path + "/config", atomically: true, encoding: .utf8)
        let error = try #require(
            await #expect(throws: HostError.self) {
                _ = try await SSHHost.connect(SSHTarget("n1", configFile: directory.path + "/config"), deadline: .patient)
            })
        guard case .configurationUnreadable("n1", let detail) = error else { throw error }
        #expect(detail.contains("banana"))
    }

    @Test func aProxyCommandThatPassesASocketIsRefusedWithAHint() async throws {
        let server = try await TestSSHServer()
        try server.configure(["ProxyCommand": "nc -F %h %p", "ProxyUseFdpass": "yes"])
        let error = try #require(await #expect(throws: HostError.self) { _ = try await SSHHost.connect(server.target, name: "n1", deadline: .patient) })
        #expect(error.fact == "n1: the SSH configuration asks for ProxyUseFdpass, which pggraft does not do")
    }

    @Test func aCancelledConnectEndsAtOnce() async throws {
        let server = try await TestSSHServer()
        kill(server.process, SIGSTOP)
        defer { kill(server.process, SIGCONT) }
        let task = Task { _ = try await SSHHost.connect(server.target, name: "n1", deadline: .patient) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
