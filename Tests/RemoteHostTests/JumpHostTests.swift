import EventLoop
import Foundation
import Scratch
import Testing

@testable import RemoteHost

@Suite(.fewAtATime) struct JumpHostTests {
    /// A configuration with a `Host test` that is reached through `jumps`, and a `Host jumpN` for each of those.
    private func configure(_ target: TestSSHServer, through jumps: [TestSSHServer], _ options: [String: String] = [:]) throws {
        let more = jumps.enumerated().map { number, jump in
            """
            Host jump\(number + 1)
              HostName 127.0.0.1
              Port \(jump.port)
              User \(TestSSHServer.user)
              IdentityFile \(jump.directory)/user
              IdentitiesOnly yes
              IdentityAgent none
              UserKnownHostsFile \(jump.knownHostsFile)
              GlobalKnownHostsFile /dev/null

            """
        }.joined()
        let chain = (1...jumps.count).map { "jump\($0)" }.joined(separator: ",")
        try target.configure(["ProxyJump": chain].merging(options) { $1 }, more: more)
    }

    @Test(arguments: [1, 2]) func aHostIsReachedThroughOthers(hops: Int) async throws {
        let target = try await TestSSHServer()
        var jumps: [TestSSHServer] = []
        for _ in 0..<hops { jumps.append(try await TestSSHServer()) }
        try configure(target, through: jumps)
        try await withHost(target) { host in
            let input = [UInt8](repeating: 7, count: 2 << 20)
            let result = try await host.require(Command("cat").reading(input), deadline: .patient)
            #expect(Data(result.output) == Data(input))
            // Nothing is left to chance about the way: every one of them carries a connection.
            for server in jumps + [target] { #expect(server.connectionProcesses().count == 1) }
        }
        for server in jumps + [target] {
            try await wait(for: "the end of the connection", until: .patient) {
                server.connectionProcesses().isEmpty ? .found(()) : .notYet("it is there")
            }
        }
    }

    @Test func theHostKeyOfEveryHopIsChecked() async throws {
        let (target, jump) = (try await TestSSHServer(), try await TestSSHServer())
        try configure(target, through: [jump])
        try jump.writeKnownHosts("")
        let error = try #require(await #expect(throws: HostError.self) { _ = try await SSHHost.connect(target.target, name: "n1", deadline: .patient) })
        guard case .hostKeyUnknown("n1 (jump host jump1)", let seen) = error else { throw error }
        #expect(seen.name == "[127.0.0.1]:\(jump.port)")
        try jump.know("ed25519")
        try target.writeKnownHosts("")
        let second = try #require(await #expect(throws: HostError.self) { _ = try await SSHHost.connect(target.target, name: "n1", deadline: .patient) })
        guard case .hostKeyUnknown("n1", _) = second else { throw second }
    }

    @Test func aTargetThatTheJumpHostCannotReachIsUnreachable() async throws {
        let (target, jump) = (try await TestSSHServer(), try await TestSSHServer())
        let port = try freePort()
        try configure(target, through: [jump], ["Port": String(port)])
        let error = try #require(await #expect(throws: HostError.self) { _ = try await SSHHost.connect(target.target, name: "n1", deadline: .patient) })
        #expect(
            error
                == .unreachable(
                    host: "n1", address: "127.0.0.1 port \(port) from n1 (jump host jump1)", reason: .other("Channel open failure (connect failed)")))
    }

    @Test func aJumpHostThatDiesTakesTheConnectionWithIt() async throws {
        let (target, jump) = (try await TestSSHServer(), try await TestSSHServer())
        try configure(target, through: [jump])
        try await withHost(target) { host in
            try await host.require(Command("true"), deadline: .patient)
            for process in jump.connectionProcesses() { kill(process, SIGKILL) }
            let error = try #require(
                await #expect(throws: HostError.self) {
                    try await host.run(Command("sleep", "20"), deadline: .patient)
                })
            guard case .connectionLost("n1", _, _) = error else { throw error }
        }
    }

    @Test func aChainThatBitesItsTailIsNoticed() async throws {
        let server = try await TestSSHServer()
        try server.configure(["ProxyJump": "test"])
        let error = try #require(await #expect(throws: HostError.self) { _ = try await SSHHost.connect(server.target, name: "n1", deadline: .patient) })
        guard case .configurationUnsupported = error else { throw error }
    }
}
