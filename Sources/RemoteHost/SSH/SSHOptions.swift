internal import EventLoop
internal import FoundationEssentials
import Glibc

/// What `ssh -G` says about a host: OpenSSH itself resolves its configuration files.
struct SSHOptions: Hashable, Sendable {
    var hostName: String
    var user: String
    var port: UInt16
    var identityFiles: [String] = []
    var certificateFiles: [String] = []
    var identitiesOnly = false
    /// As written; see ``agentSocket(environment:)``.
    var identityAgent: String?
    var userKnownHostsFiles: [String] = []
    var globalKnownHostsFiles: [String] = []
    var hostKeyAlias: String?
    var proxyJump: [Substring] = []
    /// With its tokens filled in.
    var proxyCommand: String?
    /// Whether `ssh` knows host keys by more than lines of known_hosts: by a command, or by records of the name's zone.
    var knowsKeysOtherwise = false
    /// Whether the program of ``proxyCommand`` passes a connected socket instead.
    var usesFileDescriptor = false
    /// Whether a file says which keys are stolen.
    var revokesKeys = false

    /// The names to look up in known_hosts, in order.
    var knownHostsNames: [String] {
        if let hostKeyAlias { return [hostKeyAlias.lowercased()] }
        let name = KnownHosts.name(host: hostName, port: port)
        return port == 22 ? [name] : [name, KnownHosts.name(host: hostName, port: 22)]
    }

    static func command(for target: SSHTarget) -> Command {
        Command(words: ["ssh", "-G"] + target.arguments)
    }

    static func resolve(_ target: SSHTarget, host: String, deadline: Deadline) async throws -> SSHOptions {
        let result = try await LocalHost().run(command(for: target), deadline: deadline)
        guard result.succeeded, let options = SSHOptions(result.text, alias: target.alias) else {
            throw HostError.configurationUnreadable(
                host: host, detail: result.errorText.isEmpty ? "`\(Shell.line(command(for: target).words))` gave \(result.status)" : result.errorText)
        }
        return options
    }

    /// Reads the output of `ssh -G`; `nil` when the host's name, user or port is missing.
    /// - Parameter alias: what `ssh` was given.
    init?(_ text: String, alias: String = "") {
        var values: [String: [String]] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let space = line.firstIndex(of: " ") else { continue }
            values[line[..<space].lowercased(), default: []].append(String(line[line.index(after: space)...]))
        }
        func single(_ name: String) -> String? {
            values[name]?.first.flatMap { $0 == "none" || $0.isEmpty ? nil : $0 }
        }
        guard let hostName = single("hostname"), let user = single("user"), let port = single("port").flatMap({ UInt16($0) }) else { return nil }
        self.hostName = hostName
        self.user = user
        self.port = port
        let expand = { (path: String) in Self.expanded(path, hostName: hostName, user: user, port: port) }
        certificateFiles = (values["certificatefile"] ?? []).filter { $0 != "none" }.map(expand)
        identityFiles = (values["identityfile"] ?? []).filter { $0 != "none" }.map(expand)
        identitiesOnly = single("identitiesonly") == "yes"
        // Here "none" means something: no agent.
        identityAgent = values["identityagent"]?.first
        userKnownHostsFiles = Self.words(values["userknownhostsfile"]?.first).map(expand)
        globalKnownHostsFiles = Self.words(values["globalknownhostsfile"]?.first).map(expand)
        hostKeyAlias = single("hostkeyalias")
        proxyJump = single("proxyjump")?.split(separator: ",") ?? []
        proxyCommand = single("proxycommand").map { Self.filled($0, ["%": "%", "h": hostName, "n": alias, "p": "\(port)", "r": user]) }
        usesFileDescriptor = single("proxyusefdpass") == "yes"
        knowsKeysOtherwise = single("knownhostscommand") != nil || !["no", "false", nil].contains(single("verifyhostkeydns"))
        revokesKeys = single("revokedhostkeys") != nil
    }

    private static func words(_ list: String?) -> [String] {
        list?.split(separator: " ").map(String.init).filter { $0 != "none" } ?? []
    }

    /// The agent's socket, if there is one to ask.
    func agentSocket(environment: [String: String] = ProcessInfo.processInfo.environment) -> String? {
        let socket: String? =
            switch identityAgent {
            case nil, "SSH_AUTH_SOCK": environment["SSH_AUTH_SOCK"]
            case "none": nil
            case let path? where path.hasPrefix("$"):
                environment[path.dropFirst().trimmingPrefix("{").prefix { $0 != "}" }.description]
            case let path?: Self.expanded(path, hostName: hostName, user: user, port: port)
            }
        return socket.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// `~` and the tokens `ssh -G` leaves in file names.
    private static func expanded(_ path: String, hostName: String, user: String, port: UInt16) -> String {
        let account = getpwuid(getuid())
        let home = account.map { String(cString: $0.pointee.pw_dir) } ?? "/"
        let localUser = account.map { String(cString: $0.pointee.pw_name) } ?? ""
        let isAtHome = path == "~" || path.hasPrefix("~/")
        return (isAtHome ? home : "")
            + filled(
                isAtHome ? String(path.dropFirst()) : path,
                ["%": "%", "d": home, "h": hostName, "i": "\(getuid())", "p": "\(port)", "r": user, "u": localUser])
    }

    /// `text` with its tokens; one that nobody knows stays.
    private static func filled(_ text: String, _ tokens: [Character: String]) -> String {
        var result = "", rest = text[...]
        while let character = rest.popFirst() {
            guard character == "%", let token = rest.popFirst() else {
                result.append(character)
                continue
            }
            result += tokens[token] ?? "%\(token)"
        }
        return result
    }
}
