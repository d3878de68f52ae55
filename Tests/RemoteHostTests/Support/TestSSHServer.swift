import EventLoop
import Foundation
import Scratch
import Testing

@testable import RemoteHost

/// A real sshd on a loopback port with keys and known_hosts of its own, in a directory that goes away with it.
final class TestSSHServer: Sendable {
    /// The user names an `SSHTarget` in ``configFile`` logs in as.
    static let user = LocalHost().loginUser
    static let address = "127.0.0.1"

    let directory: String
    let port: UInt16
    /// The process that listens.
    let process: Int32

    /// - Parameters:
    ///   - hostKeys: the types of the host keys.
    ///   - settings: more lines of sshd_config.
    ///   - prepare: makes more of the keys in the directory, and says more lines.
    init(hostKeys: [String] = ["ed25519"], settings: [String] = [], prepare: (_ directory: String) async throws -> [String] = { _ in [] }) async throws {
        let directory = NSTemporaryDirectory() + "pggraft-ssh-" + UUID().uuidString.prefix(8)
        self.directory = directory
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "/run/sshd", withIntermediateDirectories: true)
        for type in Set(hostKeys) { try await Self.generateKey(type, at: "\(directory)/host_\(type)") }
        try await Self.generateKey("ed25519", at: "\(directory)/user")
        try FileManager.default.copyItem(atPath: "\(directory)/user.pub", toPath: "\(directory)/authorized_keys")
        let settings = settings + (try await prepare(directory))
        // Somebody else may be faster at a port that was free a moment ago.
        for _ in 1...5 {
            let port = try freePort()
            if let process = try await Self.start(in: directory, port: port, hostKeys: hostKeys, settings: settings) {
                (self.port, self.process) = (port, process)
                for type in Set(hostKeys) { try know(type) }
                try configure()
                return
            }
        }
        throw SetupFailed("no free port for sshd")
    }

    /// - Returns: the process that listens; `nil` when the port is taken.
    private static func start(in directory: String, port: UInt16, hostKeys: [String], settings: [String]) async throws -> Int32? {
        // The first value given to a keyword is the one that counts.
        let lines =
            settings + [
                "Port \(port)", "ListenAddress \(address)", "PidFile \(directory)/pid", "StrictModes no", "PasswordAuthentication no",
                "KbdInteractiveAuthentication no", "UsePAM no", "PermitRootLogin yes", "AuthorizedKeysFile \(directory)/authorized_keys",
                "LogLevel VERBOSE", "MaxStartups 100",
            ] + hostKeys.map { "HostKey \(directory)/host_\($0)" }
        try (lines.joined(separator: "\n") + "\n").write(toFile: "\(directory)/sshd_config", atomically: true, encoding: .utf8)

        // Without -D it goes into the background by itself.
        try await run("/usr/sbin/sshd", "-f", "\(directory)/sshd_config", "-E", "\(directory)/log")
        return try await wait(for: "sshd on port \(port)", until: .patient) {
            let log = (try? String(contentsOfFile: "\(directory)/log", encoding: .utf8)) ?? ""
            if log.contains("Cannot bind any address") { return .found(nil) }
            let text = try? String(contentsOfFile: "\(directory)/pid", encoding: .utf8)
            guard let pid = text.flatMap({ Int32($0.dropLast()) }) else { return .notYet(log) }
            return isListening(port) ? .found(pid) : .notYet("not listening")
        }
    }

    deinit { end() }

    func end() {
        // With a killed process nothing is written any more while the directory goes.
        let connections = connectionProcesses()
        kill(process, SIGKILL)
        for connection in connections { kill(connection, SIGKILL) }
        try? FileManager.default.removeItem(atPath: directory)
    }

    struct SetupFailed: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    var log: String { (try? String(contentsOfFile: "\(directory)/log", encoding: .utf8)) ?? "" }

    // MARK: What the client reads

    var configFile: String { "\(directory)/ssh_config" }
    var knownHostsFile: String { "\(directory)/known_hosts" }
    var target: SSHTarget { SSHTarget("test", configFile: configFile) }

    /// Writes the client's configuration: a `Host test` with `options` instead of or beside the usual ones.
    func configure(_ options: [String: String] = [:], more: String = "") throws {
        var all = [
            "HostName": Self.address, "Port": String(port), "User": Self.user, "IdentityFile": "\(directory)/user", "IdentitiesOnly": "yes",
            "IdentityAgent": "none", "UserKnownHostsFile": knownHostsFile, "GlobalKnownHostsFile": "/dev/null",
        ]
        all.merge(options) { $1 }
        let text = "Host test\n" + all.sorted { $0.key < $1.key }.map { "  \($0.key) \($0.value)\n" }.joined() + more
        try text.write(toFile: configFile, atomically: true, encoding: .utf8)
    }

    func publicHostKey(_ type: String) throws -> String {
        let fields = try String(contentsOfFile: "\(directory)/host_\(type).pub", encoding: .utf8).split(separator: " ")
        return "\(fields[0]) \(fields[1])"
    }

    /// Adds a host key to known_hosts.
    func know(_ type: String) throws {
        let old = (try? String(contentsOfFile: knownHostsFile, encoding: .utf8)) ?? ""
        try writeKnownHosts(old + "[\(Self.address)]:\(port) \(try publicHostKey(type))\n")
    }

    func writeKnownHosts(_ text: String) throws {
        try text.write(toFile: knownHostsFile, atomically: true, encoding: .utf8)
    }

    func authorize(_ publicKeyFile: String) throws {
        let old = try String(contentsOfFile: "\(directory)/authorized_keys", encoding: .utf8)
        try (old + String(contentsOfFile: publicKeyFile, encoding: .utf8))
            .write(toFile: "\(directory)/authorized_keys", atomically: true, encoding: .utf8)
    }

    // MARK: The server's processes

    /// The processes that serve one connection each.
    func connectionProcesses() -> [Int32] { Self.children(of: process) }

    static func children(of parent: Int32) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { child in
            guard let status = try? String(contentsOfFile: "/proc/\(child)/status", encoding: .utf8) else { return false }
            return status.split(separator: "\n").contains { $0.hasPrefix("PPid:\t\(parent)") && $0 == "PPid:\t\(parent)" }
        }
    }

    // MARK: Tools

    static func generateKey(_ type: String, at path: String, passphrase: String = "") async throws {
        try await run("ssh-keygen", "-q", "-t", type, "-N", passphrase, "-C", "\(type) key of the tests", "-f", path)
    }

    @discardableResult
    static func run(_ words: String...) async throws -> String {
        try await LocalHost().require(Command(words: words), deadline: .patient).text
    }

    static func isListening(_ port: UInt16) -> Bool {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(raw) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        } == 0
    }
}

extension Deadline {
    /// Long enough for any test on a slow day.
    static var patient: Deadline { .after(.seconds(60)) }
}

/// A connected host for the time of `body`, closed afterwards.
@discardableResult
func withHost<Value>(_ server: TestSSHServer, keepsShells: Bool = true, _ body: (SSHHost) async throws -> Value) async throws -> Value {
    let host = try await SSHHost.connect(server.target, name: "n1", keepsShells: keepsShells, deadline: .patient)
    do {
        let value = try await body(host)
        await host.close()
        return value
    } catch {
        await host.close()
        throw error
    }
}

/// What plays a security key; fixtures/install brings it.
let securityKeyProvider = "/usr/local/lib/pggraft/security-key/sk-dummy.so"

/// An ssh-agent with keys in it, for the time of `body`.
func withAgent(_ directory: String, keys: [String], _ body: (String) async throws -> Void) async throws {
    let socket = "\(directory)/agent"
    let text = try await TestSSHServer.run("ssh-agent", "-P", securityKeyProvider, "-a", socket)
    let pid = try #require(text.split(separator: ";").first { $0.contains("SSH_AGENT_PID=") }?.split(separator: "=").last.flatMap { Int32($0) })
    defer { kill(pid, SIGTERM) }
    for key in keys {
        try await LocalHost().require(Command("ssh-add", "-q", key).with("SSH_AUTH_SOCK", socket).with("SSH_SK_PROVIDER", securityKeyProvider), deadline: .patient)
    }
    try await body(socket)
}
