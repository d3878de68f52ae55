import EventLoop
@testable import RemoteHost
import Testing

@Suite struct SSHHostTests {
    @Test func aCommandGivesItsOutputItsErrorsAndItsExitCode() async throws {
        let server = try await TestSSHServer()
        try await withHost(server) { host in
            let result = try await host.run(.script("echo out; echo err >&2; exit 3"), deadline: .patient)
            #expect(result.status == .code(3))
            #expect(result.output == Array("out\n".utf8))
            #expect(result.errorOutput == Array("err\n".utf8))
        }
    }
}
