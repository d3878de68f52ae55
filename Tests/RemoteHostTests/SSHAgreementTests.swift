import Bed
import EventLoop
import Foundation
import Report
import Testing

@testable import RemoteHost

/// Configurations of `ssh`, each tried with `ssh` itself and with pggraft: they agree, or the error names the limit. pggraft is tried with the libssh2
/// that is installed, and with 1.11.
@Suite("Reached as ssh reaches them", .fewAtATime) struct SSHAgreementTests {
    enum Expected: Sendable {
        /// `ssh` gets in, and so does pggraft.
        case reached
        /// Neither does; pggraft says so in these words.
        case refused(String)
        /// `ssh` gets in; pggraft names what it cannot do, as long as libssh2 is older than 1.11.
        case needsModernLibrary(String)
        /// `ssh` gets in, and pggraft says that it cannot.
        case limit(String)
    }

    struct Setup: Sendable, CustomTestStringConvertible {
        var name: String
        var expected: Expected
        var hostKeys: [String] = ["ed25519"]
        /// Makes keys in the server's directory, and says lines of sshd_config.
        var server: @Sendable (_ directory: String) async throws -> [String] = { _ in [] }
        /// Writes the client's side: `configure`, known_hosts.
        var client: @Sendable (TestSSHServer) async throws -> Void = { _ in }
        var testDescription: String { name }
    }

    private static func keygen(_ words: String...) async throws {
        try await LocalHost().require(Command(words: ["ssh-keygen", "-q"] + words), deadline: .patient)
    }

    /// A user's key of `type` that the server knows only by its authority.
    private static func certified(_ type: String) -> @Sendable (String) async throws -> [String] {
        { directory in
            try await keygen("-t", "ed25519", "-N", "", "-f", "\(directory)/ca")
            try await keygen("-t", type, "-N", "", "-f", "\(directory)/id")
            try await keygen("-s", "\(directory)/ca", "-I", "dba", "-n", TestSSHServer.user, "\(directory)/id.pub")
            return ["TrustedUserCAKeys \(directory)/ca.pub"]
        }
    }

    /// A host key with a certificate for `principal`.
    private static func certifiedHost(_ principal: String) -> @Sendable (String) async throws -> [String] {
        { directory in
            try await keygen("-t", "ecdsa", "-N", "", "-f", "\(directory)/host_ca")
            try await keygen("-s", "\(directory)/host_ca", "-h", "-I", "host", "-n", principal, "\(directory)/host_ed25519.pub")
            return ["HostCertificate \(directory)/host_ed25519-cert.pub"]
        }
    }

    private static func trust(_ server: TestSSHServer, _ marker: String) throws {
        let key = try String(contentsOfFile: "\(server.directory)/host_ca.pub", encoding: .utf8)
        try server.writeKnownHosts("\(marker) [\(TestSSHServer.address)]:\(server.port) \(key)")
    }

    private static let throughItself = """
        Host way
          HostName 127.0.0.1
          Port PORT
          User USER
          IdentityFile DIRECTORY/user
          IdentitiesOnly yes
          IdentityAgent none
          UserKnownHostsFile DIRECTORY/known_hosts
          GlobalKnownHostsFile /dev/null

        """

    private static func through(_ server: TestSSHServer, _ options: [String: String]) throws {
        let way = throughItself.replacing("PORT", with: "\(server.port)").replacing("USER", with: TestSSHServer.user).replacing("DIRECTORY", with: server.directory)
        try server.configure(options, more: way)
    }

    static let setups: [Setup] = [
        Setup(name: "a key file", expected: .reached),
        Setup(name: "an ECDSA host key", expected: .reached, hostKeys: ["ecdsa"]),
        Setup(name: "a host key that nobody knows", expected: .refused("is not known"), client: { try $0.writeKnownHosts("") }),
        Setup(
            name: "an RSA host key alone", expected: .needsModernLibrary("1.11 also checks RSA keys with SHA-2"), hostKeys: ["rsa"]),
        Setup(
            name: "ProxyCommand with tokens", expected: .reached,
            client: { try through($0, ["ProxyCommand": "ssh -F \($0.directory)/ssh_config -W %h:%p way"]) }),
        Setup(name: "ProxyJump", expected: .reached, client: { try through($0, ["ProxyJump": "way"]) }),
        Setup(
            name: "a ProxyCommand that fails", expected: .refused("the ProxyCommand brings no connection to it: echo no way there >&2; exit 3: no way there"),
            client: { try $0.configure(["ProxyCommand": "echo no way there >&2; exit 3"]) }),
        Setup(name: "a ProxyCommand that is not there", expected: .refused("/nowhere/corkscrew: "), client: { try $0.configure(["ProxyCommand": "/nowhere/corkscrew %h %p"]) }),
        Setup(
            name: "an RSA key file", expected: .needsModernLibrary("cannot sign with an RSA key file as today's servers ask (1.11 can)"),
            client: { server in
                try await keygen("-t", "rsa", "-N", "", "-f", "\(server.directory)/rsa")
                try server.authorize("\(server.directory)/rsa.pub")
                try server.configure(["IdentityFile": "\(server.directory)/rsa"])
            }),
        Setup(
            name: "a certificate beside an ECDSA key", expected: .reached, server: certified("ecdsa"),
            client: { try $0.configure(["IdentityFile": "\($0.directory)/id"]) }),
        Setup(
            name: "a certificate beside an ed25519 key", expected: .needsModernLibrary("does not log in with ssh-ed25519-cert-v01@openssh.com: 1.11 does"),
            server: certified("ed25519"),
            client: { try $0.configure(["IdentityFile": "\($0.directory)/id"]) }),
        Setup(
            name: "a certificate beside an RSA key", expected: .limit("libssh2 does not log in with ssh-rsa-cert-v01@openssh.com"), server: certified("rsa"),
            client: { try $0.configure(["IdentityFile": "\($0.directory)/id"]) }),
        Setup(
            name: "CertificateFile", expected: .reached, server: certified("ecdsa"),
            client: { server in
                try FileManager.default.moveItem(atPath: "\(server.directory)/id-cert.pub", toPath: "\(server.directory)/elsewhere")
                try server.configure(["IdentityFile": "\(server.directory)/id", "CertificateFile": "\(server.directory)/elsewhere"])
            }),
        Setup(
            name: "a certificate of another user", expected: .refused("certificate"),
            server: { directory in
                let lines = try await certified("ecdsa")(directory)
                try FileManager.default.removeItem(atPath: "\(directory)/id-cert.pub")
                try await keygen("-s", "\(directory)/ca", "-I", "dba", "-n", "somebody-else", "\(directory)/id.pub")
                return lines
            }, client: { try $0.configure(["IdentityFile": "\($0.directory)/id"]) }),
        Setup(
            name: "a host certified by an authority", expected: .reached, server: certifiedHost(TestSSHServer.address),
            client: { try trust($0, "@cert-authority") }),
        Setup(
            name: "a certified host with a new key", expected: .reached, server: certifiedHost(TestSSHServer.address),
            client: { server in
                try trust(server, "@cert-authority")
                try await keygen("-t", "ed25519", "-N", "", "-f", "\(server.directory)/former")
                let authority = try String(contentsOfFile: server.knownHostsFile, encoding: .utf8)
                let former = try String(contentsOfFile: "\(server.directory)/former.pub", encoding: .utf8)
                try server.writeKnownHosts("\(authority)[\(TestSSHServer.address)]:\(server.port) \(former)")
            }),
        Setup(
            name: "a host with a new key that nobody has certified", expected: .refused("HAS CHANGED"),
            client: { server in
                for name in ["former", "host_ca"] { try await keygen("-t", "ed25519", "-N", "", "-f", "\(server.directory)/\(name)") }
                try trust(server, "@cert-authority")
                let authority = try String(contentsOfFile: server.knownHostsFile, encoding: .utf8)
                let former = try String(contentsOfFile: "\(server.directory)/former.pub", encoding: .utf8)
                try server.writeKnownHosts("\(authority)[\(TestSSHServer.address)]:\(server.port) \(former)")
            }),
        Setup(
            name: "a host certified for another name", expected: .refused("`ssh` was asked, and does not accept it either"), server: certifiedHost("other.example.org"),
            client: { try trust($0, "@cert-authority") }),
        Setup(
            name: "an authority that was revoked", expected: .refused("is not known"), server: certifiedHost(TestSSHServer.address),
            client: { server in
                try trust(server, "@cert-authority")
                let key = try String(contentsOfFile: "\(server.directory)/host_ca.pub", encoding: .utf8), known = try String(contentsOfFile: server.knownHostsFile, encoding: .utf8)
                try server.writeKnownHosts(known + "@revoked * \(key)")
            }),
        Setup(
            name: "an authority's line, and a host without a certificate", expected: .refused("`ssh` was asked, and does not accept it either"),
            client: { server in
                try await keygen("-t", "ed25519", "-N", "", "-f", "\(server.directory)/host_ca")
                try trust(server, "@cert-authority")
            }),
        Setup(
            name: "KnownHostsCommand", expected: .reached,
            client: { server in
                let line = try String(contentsOfFile: server.knownHostsFile, encoding: .utf8)
                try line.write(toFile: "\(server.directory)/printed", atomically: true, encoding: .utf8)
                try server.writeKnownHosts("")
                try server.configure(["KnownHostsCommand": "/bin/cat \(server.directory)/printed"])
            }),
        Setup(
            name: "a key that RevokedHostKeys names", expected: .refused("RevokedHostKeys is set, and `ssh`, which was asked whether the key is revoked, does not accept it"),
            client: { try $0.configure(["RevokedHostKeys": "\($0.directory)/host_ed25519.pub"]) }),
        Setup(
            name: "RevokedHostKeys that names others", expected: .reached, client: { try $0.configure(["RevokedHostKeys": "\($0.directory)/user.pub"]) }),
        Setup(
            name: "a locked key and no terminal", expected: .refused("load it into ssh-agent"),
            client: { server in
                try await keygen("-t", "ed25519", "-N", "open sesame", "-f", "\(server.directory)/locked")
                try server.authorize("\(server.directory)/locked.pub")
                try server.configure(["IdentityFile": "\(server.directory)/locked"])
            }),
        Setup(
            name: "keys that the server does not want", expected: .refused("refused by the server"),
            client: { server in
                try await keygen("-t", "ed25519", "-N", "", "-f", "\(server.directory)/other")
                try server.configure(["IdentityFile": "\(server.directory)/other"])
            }),
    ]

    @Test(arguments: setups) func `ssh and pggraft agree, or the limit is named`(setup: Setup) async throws {
        let server = try await TestSSHServer(hostKeys: setup.hostKeys, prepare: setup.server)
        try await setup.client(server)
        let ssh = try await LocalHost().run(
            Command("ssh", "-F", server.configFile, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-n", "test", "true"), deadline: .patient)
        let reaches: Bool = if case .refused = setup.expected { false } else { true }
        #expect(ssh.succeeded == reaches, "\(ssh.errorText)")
        try await judge(setup, isModern: SSHLibrary.isModern, try await here(server))
        let (library, text) = try await elsewhere(server, "\(server.directory)/ssh_config")
        try await judge(setup, isModern: library, text)
        if library != SSHLibrary.isModern, case .needsModernLibrary = setup.expected { print("  \(setup.name): with libssh2 \(SSHLibrary.version) named, with 1.11 reached") }
        // Nothing of a program that brought the connection is left.
        try await wait(for: "the end of every connection", until: .patient) { server.connectionProcesses().isEmpty ? .found(()) : .notYet("\(server.connectionProcesses())") }
    }

    /// - Parameter answer: the error; `nil` where the host was reached.
    private func judge(_ setup: Setup, isModern: Bool, _ answer: String?) async throws {
        let wanted: String? =
            switch setup.expected {
            case .reached: nil
            case .refused(let words), .limit(let words): words
            case .needsModernLibrary(let words): isModern ? nil : words
            }
        if let wanted {
            #expect(answer?.contains(wanted) == true, "\(setup.name), libssh2 \(isModern ? "1.11" : "before 1.11"): \(answer ?? "reached")")
        } else {
            #expect(answer == nil, "\(setup.name), libssh2 \(isModern ? "1.11" : "before 1.11")")
        }
    }

    private func here(_ server: TestSSHServer) async throws -> String? {
        do {
            try await withHost(server) { _ = try await $0.require(Command("true"), deadline: .patient) }
            return nil
        } catch {
            return "\(Problem(explaining: error))"
        }
    }

    /// With the other libssh2. A configuration may be named from the directory that it is in.
    private func elsewhere(_ server: TestSSHServer, _ config: String) async throws -> (isModern: Bool, String?) {
        let libraries = "/usr/local/lib/pggraft/libssh2"
        try #require(FileManager.default.fileExists(atPath: "\(libraries)/libssh2.so.1"), "fixtures/install brings it")
        let result = try await LocalHost().run(
            .script("cd -- \"$1\" && shift && exec \"$@\"", server.directory, try programBesideThis("ssh-reach"), config, "test").with("LD_LIBRARY_PATH", libraries),
            deadline: .patient)
        return (true, result.succeeded ? nil : result.text + result.errorText)
    }

    @Test func `a configuration is named from where the operator is`() async throws {
        let server = try await TestSSHServer()
        #expect(try await elsewhere(server, "ssh_config").1 == nil)
        #expect(try await elsewhere(server, "./no_config").1?.contains("no_config") == true)
    }

    @Test(arguments: ["ecdsa", "ed25519", "rsa"]) func `a certificate comes from the agent, too`(type: String) async throws {
        let server = try await TestSSHServer(prepare: Self.certified(type))
        try await withAgent(server.directory, keys: ["\(server.directory)/id"]) { socket in
            // Only the agent has what is needed.
            for name in ["id", "id-cert.pub"] { try FileManager.default.removeItem(atPath: "\(server.directory)/\(name)") }
            try server.configure(["IdentityFile": "none", "IdentitiesOnly": "no", "IdentityAgent": socket])
            let limit = "does not log in with ssh-\(type)-cert-v01@openssh.com"
            let setup = Setup(name: type, expected: type == "ecdsa" ? .reached : type == "rsa" ? .limit(limit) : .needsModernLibrary(limit))
            let ssh = try await LocalHost().run(Command("ssh", "-F", server.configFile, "-o", "BatchMode=yes", "-n", "test", "true"), deadline: .patient)
            #expect(ssh.succeeded, "\(ssh.errorText)")
            try await judge(setup, isModern: SSHLibrary.isModern, try await here(server))
            try await judge(setup, isModern: true, try await elsewhere(server, server.configFile).1)
        }
    }

    @Test(arguments: ["ed25519-sk", "ecdsa-sk"]) func `a security key signs through the agent`(type: String) async throws {
        let server = try await TestSSHServer()
        let key = "\(server.directory)/sk"
        try await LocalHost().require(
            Command("ssh-keygen", "-q", "-t", type, "-N", "", "-w", securityKeyProvider, "-f", key), deadline: .patient)
        try server.authorize("\(key).pub")
        try await withAgent(server.directory, keys: [key]) { socket in
            try server.configure(["IdentityFile": "\(key).pub", "IdentityAgent": socket])
            let ssh = try await LocalHost().run(Command("ssh", "-F", server.configFile, "-o", "BatchMode=yes", "-n", "test", "true"), deadline: .patient)
            #expect(ssh.succeeded, "\(ssh.errorText)")
            let setup = Setup(name: type, expected: .needsModernLibrary("@openssh.com: 1.11 does"))
            try await judge(setup, isModern: SSHLibrary.isModern, try await here(server))
            try await judge(setup, isModern: true, try await elsewhere(server, server.configFile).1)
        }
    }

    /// A server that has `ssh` write whatever it likes, before any key was seen.
    private func withForger(_ lines: String, _ body: (UInt16) async throws -> Void) async throws {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(raw) }
        var name = sockaddr_in(), length = socklen_t(MemoryLayout<sockaddr_in>.size)
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let port = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(raw, $0, length) == 0 && listen(raw, 5) == 0 && getsockname(raw, $0, &length) == 0 }
        }
        try #require(port)
        // SSH_MSG_DISCONNECT in clear text: its reason, its words, no language.
        let payload = [1] + SSHWire.number(2) + SSHWire.string(Array(lines.utf8)) + SSHWire.string([])
        let padding = 8 + (8 - (payload.count + 5 + 8) % 8) % 8
        let packet = SSHWire.number(UInt32(payload.count + 1 + padding)) + [UInt8(padding)] + payload + [UInt8](repeating: 0, count: padding)
        let answer = Array("SSH-2.0-OpenSSH_9.2\r\n".utf8) + packet
        try OffLoop.detach {
            while true {
                let connection = accept(raw, nil, nil)
                guard connection >= 0 else { return }
                _ = answer.withUnsafeBytes { send(connection, $0.baseAddress, answer.count, Int32(MSG_NOSIGNAL)) }
                // Until the other side has read it.
                var rest = [UInt8](repeating: 0, count: 4096)
                while recv(connection, &rest, rest.count, 0) > 0 {}
                close(connection)
            }
        }
        defer { shutdown(raw, Int32(SHUT_RDWR)) }
        try await body(UInt16(bigEndian: name.sin_port))
    }

    @Test func `what a server has ssh write is not what ssh says of it`() async throws {
        let server = try await TestSSHServer(prepare: Self.certifiedHost(TestSSHServer.address))
        let key = try server.publicHostKey("ed25519"), blob = try #require(KeyFile.publicKey(Array(key.utf8)))
        let hash = try await TestSSHServer.run("ssh-keygen", "-lf", "\(server.directory)/host_ed25519.pub").split(separator: " ")[1]
        let lines = "\ndebug1: Server host key: ssh-ed25519 \(hash)\ndebug1: Host 'test' is known and matches the ED25519 host key.\n"
        try await withForger(lines) { port in
            try server.configure(["Port": "\(port)"])
            let judgement = try await HostKeyJudgement.ask(of: server.target, keyType: "ssh-ed25519", deadline: .patient)
            guard case .refused(let words) = judgement else {
                Issue.record("\(judgement)")
                return
            }
            #expect(words.contains("is known and matches"), "the forger was not heard: \(words)")
        }
        // The honest one, whose key stands there and who has a certificate nobody trusts.
        try server.configure()
        #expect(try await HostKeyJudgement.ask(of: server.target, keyType: "ssh-ed25519", deadline: .patient) == .accepted(blob))
        try server.writeKnownHosts("")
        guard case .refused = try await HostKeyJudgement.ask(of: server.target, keyType: "ssh-ed25519", deadline: .patient) else {
            Issue.record("ssh accepted a key that it cannot know")
            return
        }
        // Neither these nor those of the tests beside are left behind; of another process that was killed one may be.
        try await wait(for: "the sockets to be gone", until: .patient) {
            let left = try FileManager.default.contentsOfDirectory(atPath: "/tmp").filter { $0.hasPrefix("pggraft-ssh.\(getpid()).") }
            return left.isEmpty ? .found(()) : .notYet("\(left)")
        }
    }

    @Test func `who is asked goes the same way, and uses nothing that runs already`() {
        let words = HostKeyJudgement.command(for: SSHTarget("b", configFile: "/c"), through: ["u@a:2222"], keyType: "ssh-rsa", agent: "/d/agent").words
        #expect(words.suffix(7) == ["-J", "u@a:2222", "-F", "/c", "--", "b", "true"])
        for option in ["ControlPath=none", "StrictHostKeyChecking=yes", "IdentityAgent=/d/agent", "BatchMode=yes", "UpdateHostKeys=no"] { #expect(words.contains(option)) }
        #expect(words.contains("HostKeyAlgorithms=rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-256"))
    }
}
