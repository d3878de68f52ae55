import EventLoop
import Foundation
import Report
import Testing

@testable import RemoteHost

@Suite(.fewAtATime) struct SSHHostKeyTests {
    private func failure(_ server: TestSSHServer) async throws -> HostError {
        try #require(
            await #expect(throws: HostError.self) {
                let host = try await SSHHost.connect(server.target, name: "n1", deadline: .patient)
                await host.close()
            })
    }

    private func fingerprint(_ server: TestSSHServer, _ type: String) async throws -> String {
        try await TestSSHServer.run("ssh-keygen", "-lf", "\(server.directory)/host_\(type).pub").split(separator: " ").map(String.init)[1]
    }

    @Test func anUnknownKeyIsShownAndNotAccepted() async throws {
        let server = try await TestSSHServer()
        try server.writeKnownHosts("other.example.org \(server.publicHostKey("ed25519"))\nbroken\n")
        guard case .hostKeyUnknown("n1", let seen) = try await failure(server) else { return #expect(Bool(false)) }
        #expect(seen.name == "[127.0.0.1]:\(server.port)")
        #expect(seen.keyType == "ssh-ed25519")
        #expect(seen.fingerprint == (try await fingerprint(server, "ed25519")))
        #expect(seen.files == [server.knownHostsFile, "/dev/null"])
        #expect(seen.badLines == 1)
        #expect(seen.scanArguments == ["-p", "\(server.port)", "127.0.0.1"])
        // Nothing was written.
        #expect(!(try String(contentsOfFile: server.knownHostsFile, encoding: .utf8)).contains("127.0.0.1"))
    }

    @Test func aMissingKnownHostsFileIsAnUnknownKey() async throws {
        let server = try await TestSSHServer()
        try FileManager.default.removeItem(atPath: server.knownHostsFile)
        guard case .hostKeyUnknown = try await failure(server) else { return #expect(Bool(false)) }
    }

    @Test func anotherKeyOfTheSameTypeIsAChange() async throws {
        let server = try await TestSSHServer()
        try await TestSSHServer.generateKey("ed25519", at: "\(server.directory)/stranger")
        let key = try String(contentsOfFile: "\(server.directory)/stranger.pub", encoding: .utf8)
        try server.writeKnownHosts("[127.0.0.1]:\(server.port) \(key)")
        guard case .hostKeyChanged("n1", let seen) = try await failure(server) else { return #expect(Bool(false)) }
        #expect(seen.foundIn == server.knownHostsFile)
        #expect(seen.fingerprint == (try await fingerprint(server, "ed25519")))
    }

    @Test func aRevokedKeyIsRefusedEvenIfItAlsoStandsAsKnown() async throws {
        let server = try await TestSSHServer()
        let key = try server.publicHostKey("ed25519")
        try server.writeKnownHosts("[127.0.0.1]:\(server.port) \(key)\n@revoked * \(key)\n")
        guard case .hostKeyRevoked("n1", _) = try await failure(server) else { return #expect(Bool(false)) }
    }

    @Test(arguments: ["ed25519", "ecdsa"]) func theTypeThatIsKnownIsAskedFor(type: String) async throws {
        let server = try await TestSSHServer(hostKeys: ["ecdsa", "ed25519", "rsa"])
        try server.writeKnownHosts("[127.0.0.1]:\(server.port) \(server.publicHostKey(type))\n")
        try await withHost(server) { try await $0.require(Command("true"), deadline: .patient) }
    }

    @Test func aHashedNameAWildcardAndAnAliasAreFound() async throws {
        let server = try await TestSSHServer()
        let plain = try String(contentsOfFile: server.knownHostsFile, encoding: .utf8)
        try await TestSSHServer.run("ssh-keygen", "-q", "-H", "-f", server.knownHostsFile)
        let hashed = try String(contentsOfFile: server.knownHostsFile, encoding: .utf8)
        #expect(hashed.hasPrefix("|1|"))
        try await withHost(server) { _ in }
        try server.writeKnownHosts(plain.replacingOccurrences(of: "127.0.0.1", with: "127.0.*"))
        try await withHost(server) { _ in }
        try server.writeKnownHosts("the-alias \(server.publicHostKey("ed25519"))\n")
        try server.configure(["HostKeyAlias": "The-Alias"])
        try await withHost(server) { _ in }
    }

    @Test func aServerWithAnRSAKeyOnlyCannotBeReachedAndTheHintSaysWhy() async throws {
        let server = try await TestSSHServer(hostKeys: ["rsa"])
        let error = try await failure(server)
        guard case .noCommonAlgorithm("n1", _) = error else { return #expect(Bool(false), "\(error)") }
        #expect(error.description.contains("needs an ed25519 or ECDSA host key"))
    }

    @Test func anRSAEntryAloneLeavesTheOthersUnknownAndSaysWhatIsKnown() async throws {
        let server = try await TestSSHServer(hostKeys: ["rsa", "ed25519"])
        try server.writeKnownHosts("[127.0.0.1]:\(server.port) \(server.publicHostKey("rsa"))\n")
        let error = try await failure(server)
        #expect(error.description.contains("ed25519") || error.description.contains("ssh-rsa"), "\(error)")
        if case .hostKeyUnknown(_, let seen) = error { #expect(seen.knownTypes == ["ssh-rsa"]) }
    }
}
