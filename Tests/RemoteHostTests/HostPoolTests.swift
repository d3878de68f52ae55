import EventLoop
import Testing

@testable import RemoteHost

@Suite(.fewAtATime) struct HostPoolTests {
    @Test func allHostsAreConnectedAndClosedTogether() async throws {
        let (first, second) = (try await TestSSHServer(), try await TestSSHServer())
        let pool = try await HostPool.connect(["n1": .ssh(first.target), "n2": .ssh(second.target), "here": .local], deadline: .patient)
        #expect(Set(pool.hosts.keys) == ["n1", "n2", "here"])
        for name in ["n1", "n2", "here"] {
            let host = try #require(pool[name])
            #expect(host.name == name)
            #expect(try await host.run(Command("true"), deadline: .patient).succeeded)
        }
        #expect(pool["n3"] == nil)
        await pool.close()
        for server in [first, second] {
            try await wait(for: "the end of the connection", until: .patient) {
                server.connectionProcesses().isEmpty ? .found(()) : .notYet("it is there")
            }
        }
    }

    @Test func everyHostThatFailsIsNamedAndTheOthersAreLetGo() async throws {
        let (good, unknown) = (try await TestSSHServer(), try await TestSSHServer())
        try unknown.writeKnownHosts("")
        let port = try TestSSHServer.freePort()
        let error = try #require(
            await #expect(throws: HostsNotConnected.self) {
                _ = try await HostPool.connect(
                    [
                        "n1": .ssh(good.target), "n3": .ssh(unknown.target), "n2": .ssh(SSHTarget("127.0.0.1", port: port, configFile: "/dev/null")),
                    ], deadline: .patient)
            })
        #expect(error.failures.map(\.host) == ["n2", "n3"])
        guard case .unreachable("n2", _, .refused) = error.failures[0].error as? HostError else { throw error }
        guard case .hostKeyUnknown("n3", _) = error.failures[1].error as? HostError else { throw error }
        try await wait(for: "the end of the good connection", until: .patient) {
            good.connectionProcesses().isEmpty ? .found(()) : .notYet("it is there")
        }
    }
}
