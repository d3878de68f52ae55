import EventLoop
import Foundation
import Report
import Synchronization
import Testing

@testable import RemoteHost

@Suite(.fewAtATime) struct SSHLoginTests {
    private func attempts(_ server: TestSSHServer, passphrase: PassphrasePrompt? = nil) async throws -> (attempts: [AuthenticationAttempt], offered: [String]) {
        let error = try #require(
            await #expect(throws: HostError.self) {
                let host = try await SSHHost.connect(server.target, name: "n1", passphrases: Passphrases(passphrase), deadline: .patient)
                await host.close()
            })
        guard case .authenticationFailed("n1", TestSSHServer.user, let attempts, let offered) = error else { throw error }
        return (attempts, offered)
    }

    @Test(arguments: ["ed25519", "ecdsa"]) func aKeyFileLetsUsIn(type: String) async throws {
        let server = try await TestSSHServer()
        try await TestSSHServer.generateKey(type, at: "\(server.directory)/key")
        try server.authorize("\(server.directory)/key.pub")
        try server.configure(["IdentityFile": "\(server.directory)/key"])
        try await withHost(server) { #expect($0.loginUser == TestSSHServer.user) }
    }

    @Test(arguments: ["ed25519", "ecdsa", "rsa"]) func aKeyOfTheAgentLetsUsIn(type: String) async throws {
        let server = try await TestSSHServer()
        try await TestSSHServer.generateKey(type, at: "\(server.directory)/key")
        try server.authorize("\(server.directory)/key.pub")
        try await withAgent(server.directory, keys: ["\(server.directory)/key"]) { socket in
            try server.configure(["IdentityFile": "none", "IdentitiesOnly": "no", "IdentityAgent": socket])
            try await withHost(server) { try await $0.require(Command("true"), deadline: .patient) }
        }
    }

    @Test func withIdentitiesOnlyTheAgentOffersThoseKeysOnly() async throws {
        let server = try await TestSSHServer()
        for name in ["one", "two"] { try await TestSSHServer.generateKey("ed25519", at: "\(server.directory)/\(name)") }
        try await withAgent(server.directory, keys: ["\(server.directory)/one", "\(server.directory)/two"]) { socket in
            // Only the public half is there: the agent has the other.
            try FileManager.default.removeItem(atPath: "\(server.directory)/two")
            try server.configure(["IdentityFile": "\(server.directory)/two", "IdentitiesOnly": "yes", "IdentityAgent": socket])
            #expect(try await attempts(server).attempts == [.init(key: "agent key ssh-ed25519 (ed25519 key of the tests)", outcome: .refused)])
            try server.authorize("\(server.directory)/two.pub")
            try await withHost(server) { _ in }
        }
    }

    @Test func anAgentThatIsNotThereIsNamedAndTheFilesAreTried() async throws {
        let server = try await TestSSHServer()
        try server.configure(["IdentityAgent": "\(server.directory)/nothing"])
        try await withHost(server) { _ in }
        try await TestSSHServer.generateKey("ed25519", at: "\(server.directory)/other")
        try server.configure(["IdentityAgent": "\(server.directory)/nothing", "IdentityFile": "\(server.directory)/other"])
        let failed = try await attempts(server)
        #expect(
            failed.attempts == [
                .init(key: "ssh-agent", outcome: .agentFailed("\(server.directory)/nothing: No such file or directory")),
                .init(key: "key file \(server.directory)/other", outcome: .refused),
            ])
        #expect(failed.offered == ["publickey"])
    }

    /// Counts what a prompt is asked, and answers from a list.
    private final class Prompt: Sendable {
        private let state: Mutex<(answers: [String?], asked: [String])>
        init(_ answers: [String?]) { state = Mutex((answers, [])) }
        var asked: [String] { state.withLock { $0.asked } }
        func answer(_ file: String, _ attempt: Int) -> String? {
            state.withLock { state in
                state.asked.append("\(file) \(attempt)")
                return state.answers.isEmpty ? nil : state.answers.removeFirst()
            }
        }
    }

    @Test(arguments: ["ed25519", "ecdsa"]) func anEncryptedKeyAsksUntilThePassphraseIsRight(type: String) async throws {
        let server = try await TestSSHServer()
        let key = "\(server.directory)/locked"
        try await TestSSHServer.generateKey(type, at: key, passphrase: "open sesame")
        try server.configure(["IdentityFile": key])
        // Not asked for a key that the server would refuse.
        let unasked = Prompt(["open sesame"])
        #expect(try await attempts(server) { unasked.answer($0, $1) }.attempts == [.init(key: "key file \(key)", outcome: .refused)])
        #expect(unasked.asked.isEmpty)

        try server.authorize("\(key).pub")
        let prompt = Prompt(["wrong", "open sesame"])
        let host = try await SSHHost.connect(server.target, name: "n1", passphrases: Passphrases { prompt.answer($0, $1) }, deadline: .patient)
        await host.close()
        #expect(prompt.asked == ["\(key) 1", "\(key) 2"])

        let stubborn = Prompt(["wrong", "wrong", "wrong", "wrong"])
        #expect(try await attempts(server) { stubborn.answer($0, $1) }.attempts == [.init(key: "key file \(key)", outcome: .passphraseWrong)])
        #expect(stubborn.asked.count == 3)
        #expect(try await attempts(server).attempts == [.init(key: "key file \(key)", outcome: .passphraseMissing)])
    }

    @Test func anEncryptedKeyIsAskedForOnceForAllHosts() async throws {
        let (first, second) = (try await TestSSHServer(), try await TestSSHServer())
        let key = "\(first.directory)/locked"
        try await TestSSHServer.generateKey("ed25519", at: key, passphrase: "open sesame")
        for server in [first, second] {
            try server.authorize("\(key).pub")
            try server.configure(["IdentityFile": key])
        }
        let prompt = Prompt(["open sesame"])
        let passphrases = Passphrases { prompt.answer($0, $1) }
        async let n1 = SSHHost.connect(first.target, name: "n1", passphrases: passphrases, deadline: .patient)
        async let n2 = SSHHost.connect(second.target, name: "n2", passphrases: passphrases, deadline: .patient)
        let hosts = try await [n1, n2]
        #expect(prompt.asked == ["\(key) 1"])
        for host in hosts { await host.close() }
    }

    @Test func anRSAKeyFileLeadsToTheAgent() async throws {
        let server = try await TestSSHServer()
        let key = "\(server.directory)/rsa"
        try await TestSSHServer.generateKey("rsa", at: key)
        try server.authorize("\(key).pub")
        try server.configure(["IdentityFile": key])
        let failed = try await attempts(server)
        #expect(failed.attempts == [.init(key: "key file \(key)", outcome: .rsaFileUnusable)])
        let error = HostError.authenticationFailed(host: "n1", user: "u", attempts: failed.attempts, offered: failed.offered)
        #expect(error.description.contains("cannot sign with an RSA key file as today's servers ask (1.11 can): load it into ssh-agent"))
    }

    @Test(arguments: [("no", []), ("yes", ["password"])]) func aServerThatTakesNoKeysSaysWhatItTakes(passwords: String, offered: [String]) async throws {
        let server = try await TestSSHServer(settings: ["PubkeyAuthentication no", "PasswordAuthentication \(passwords)"])
        let failed = try await attempts(server)
        #expect(failed.attempts.isEmpty)
        #expect(failed.offered == offered)
    }

    @Test func aServerThatHasEnoughOfOurKeysIsQuoted() async throws {
        let server = try await TestSSHServer(settings: ["MaxAuthTries 2"])
        var files = ""
        for number in 1...4 {
            try await TestSSHServer.generateKey("ed25519", at: "\(server.directory)/k\(number)")
            files += "  IdentityFile \(server.directory)/k\(number)\n"
        }
        try server.configure(["IdentityFile": "\(server.directory)/k1"], more: files)
        let failed = try await attempts(server)
        guard case .disconnected(let why) = try #require(failed.attempts.last).outcome else { throw TestSSHServer.SetupFailed("\(failed)") }
        #expect(why.contains("Too many authentication failures"))
    }

    @Test func aKeyFileThatIsNoneIsNamed() async throws {
        let server = try await TestSSHServer()
        let key = "\(server.directory)/garbage"
        try "not a key\n".write(toFile: key, atomically: true, encoding: .utf8)
        try server.configure(["IdentityFile": key])
        #expect(try await attempts(server).attempts == [.init(key: "key file \(key)", outcome: .unreadable("not a private key"))])
    }
}
