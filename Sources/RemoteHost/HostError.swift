internal import EventLoop
public import Report

/// What can go wrong between this process and a host. Each case carries the facts; ``fact`` and ``hint`` word them.
public enum HostError: Explained, Hashable {
    // MARK: Before there is a connection
    /// `ssh -G` could not tell how to reach the host.
    case configurationUnreadable(host: String, detail: String)
    /// The SSH configuration asks for something pggraft does not do.
    case configurationUnsupported(host: String, option: String, hint: String)
    /// No connection to the host's SSH port.
    case unreachable(host: String, address: String, reason: Unreachable)
    /// The far side speaks no key exchange, cipher, MAC or host key type that libssh2 speaks.
    case noCommonAlgorithm(host: String, detail: String)
    case hostKeyUnknown(host: String, sighting: HostKeySighting)
    /// known_hosts has another key of the same type.
    case hostKeyChanged(host: String, sighting: HostKeySighting)
    /// known_hosts has the key marked `@revoked`.
    case hostKeyRevoked(host: String, sighting: HostKeySighting)
    /// known_hosts has the key, and RevokedHostKeys may have it too: `ssh` did not accept it when it was asked.
    case hostKeyNotJudged(host: String, sighting: HostKeySighting)
    /// No key let us in. `offered` is what the server accepts, in its own words.
    case authenticationFailed(host: String, user: String, attempts: [AuthenticationAttempt], offered: [String])

    // MARK: On a connection
    /// The connection ended or the host fell silent. Whether the program that was running has ended is not known.
    case connectionLost(host: String, detail: String, during: String?)
    /// The host, or this side of the connection, was closed before.
    case closed(host: String)
    /// The server would not open one more channel.
    case channelRefused(host: String, detail: String)
    /// The login shell did not run our command line.
    case shellRefused(host: String, user: String, answer: String)
    /// The program was started, and its channel ended without the program's status.
    case outcomeUnknown(host: String, words: [String], detail: String)
    case commandTooLong(host: String, bytes: Int, limit: Int)
    /// `sudo` would not run the command without a password, or at all.
    case sudoRefused(host: String, loginUser: String, user: String, answer: String)
    case noSuchUser(host: String, user: String)
    case forwardRefused(host: String, address: String, port: UInt16, detail: String)
    /// The host's Unix-domain socket was not reached as that user.
    case socketRefused(host: String, path: HostPath, user: String, detail: String)
    /// Nothing is there that could connect to a Unix-domain socket as that user.
    case noSocketRelay(host: String, loginUser: String, user: String, detail: String)
    /// No local address could be opened for a forwarded port.
    case forwardNotOpened(host: String, detail: String)

    // MARK: On files
    case permissionDenied(host: String, path: HostPath, user: String, detail: String)
    case fileFailed(host: String, operation: String, path: HostPath, detail: String)

    /// Why the SSH port was not reached.
    public enum Unreachable: Sendable, Hashable {
        case nameNotFound(String)
        case refused
        /// Nothing answered within the time.
        case timedOut(after: Duration)
        /// The program of `ProxyCommand` brought no connection.
        case proxyFailed(String, words: String)
        case other(String)
    }

    /// The host the error is about.
    public var host: String {
        switch self {
        case .configurationUnreadable(let host, _), .configurationUnsupported(let host, _, _), .unreachable(let host, _, _),
            .noCommonAlgorithm(let host, _), .hostKeyUnknown(let host, _), .hostKeyChanged(let host, _),
            .hostKeyRevoked(let host, _), .hostKeyNotJudged(let host, _), .authenticationFailed(let host, _, _, _), .connectionLost(let host, _, _),
            .closed(let host), .channelRefused(let host, _), .shellRefused(let host, _, _), .outcomeUnknown(let host, _, _),
            .commandTooLong(let host, _, _), .sudoRefused(let host, _, _, _), .noSuchUser(let host, _),
            .forwardRefused(let host, _, _, _), .forwardNotOpened(let host, _), .permissionDenied(let host, _, _, _),
            .fileFailed(let host, _, _, _), .socketRefused(let host, _, _, _), .noSocketRelay(let host, _, _, _):
            host
        }
    }

    public var fact: String {
        switch self {
        case .configurationUnreadable(let host, let detail):
            return "\(host): the SSH configuration could not be resolved: \(detail)"
        case .configurationUnsupported(let host, let option, _):
            return "\(host): the SSH configuration asks for \(option), which pggraft does not do"
        case .unreachable(let host, let address, let reason):
            return switch reason {
            case .nameNotFound(let detail): "\(host): the name \(address) does not resolve: \(detail)"
            case .refused: "\(host): \(address) refused the connection"
            case .timedOut(let time): "\(host): no answer from \(address) within \(time.inSeconds)"
            case .proxyFailed(let command, let words): "\(host): the ProxyCommand brings no connection to it: \(Redaction.redacted(command)): \(Redaction.redacted(words))"
            case .other(let detail): "\(host): no connection to \(address): \(detail)"
            }
        case .noCommonAlgorithm(let host, let detail):
            return "\(host): no common SSH algorithm with the server: \(detail)"
        case .hostKeyUnknown(let host, let seen):
            return "\(host): the host key of \(seen.name) is not known: \(seen.keyType) \(seen.fingerprint), looked in \(seen.places)"
                + (seen.knownTypes.isEmpty ? "" : ", which knows only \(seen.knownTypes.joined(separator: ", ")) for it")
                + seen.remarks
        case .hostKeyChanged(let host, let seen):
            return "\(host): THE HOST KEY OF \(seen.name) HAS CHANGED: the server shows \(seen.keyType) \(seen.fingerprint), "
                + "another \(seen.keyType) key stands in \(seen.places)" + seen.remarks
        case .hostKeyRevoked(let host, let seen):
            return "\(host): the host key of \(seen.name) is revoked: \(seen.keyType) \(seen.fingerprint), marked @revoked in \(seen.places)"
        case .hostKeyNotJudged(let host, let seen):
            return "\(host): the host key of \(seen.name) stands in known_hosts, RevokedHostKeys is set, and `ssh`, which was asked whether the key is revoked, "
                + "does not accept it: \(seen.keyType) \(seen.fingerprint)" + seen.saidOfIt
        case .authenticationFailed(let host, let user, let attempts, let offered):
            let tried = attempts.isEmpty ? "no key to try" : attempts.map(\.description).joined(separator: "; ")
            return "\(host): no login as \(user): \(tried)"
                + " (the server accepts \(offered.isEmpty ? "nothing" : offered.joined(separator: ", ")))"
        case .connectionLost(let host, let detail, let during):
            return "\(host): connection lost: \(detail)" + (during.map { ", during: \($0)" } ?? "")
        case .closed(let host):
            return "\(host): the connection has been closed"
        case .channelRefused(let host, let detail):
            return "\(host): the SSH server opens no session: \(detail)"
        case .shellRefused(let host, let user, let answer):
            return "\(host): the login shell of \(user) did not run the command: \(answer.isEmpty ? "no answer" : answer)"
        case .outcomeUnknown(let host, let words, let detail):
            return "\(host): whether this succeeded is not known: \(Shell.line(words)): \(detail)"
        case .commandTooLong(let host, let bytes, let limit):
            return "\(host): a command line of \(bytes) bytes is too long, the limit is \(limit)"
        case .sudoRefused(let host, let loginUser, let user, let answer):
            return "\(host): sudo does not let \(loginUser) run commands as \(user): \(answer)"
        case .noSuchUser(let host, let user):
            return "\(host): there is no user \(user)"
        case .forwardRefused(let host, let address, let port, let detail):
            return "\(host): \(address) port \(port) cannot be reached from the host: \(detail)"
        case .socketRefused(let host, let path, let user, let detail):
            return "\(host): the socket \(path) cannot be reached as \(user): \(detail)"
        case .noSocketRelay(let host, _, let user, let detail):
            return "\(host): no connection to a Unix-domain socket as \(user): \(detail)"
        case .forwardNotOpened(let host, let detail):
            return "\(host): no local address for a forwarded port: \(detail)"
        case .permissionDenied(let host, let path, let user, let detail):
            return "\(host): \(user) may not access \(path): \(detail)"
        case .fileFailed(let host, let operation, let path, let detail):
            return "\(host): cannot \(operation) \(path): \(detail)"
        }
    }

    public var hint: String? {
        switch self {
        case .configurationUnreadable:
            return "install the OpenSSH client; run `ssh -G HOST` to see the same message"
        case .configurationUnsupported(_, _, let hint):
            return hint
        case .unreachable(_, _, let reason):
            return switch reason {
            case .nameNotFound: "check the host's name in the playbook, and HostName in the SSH configuration"
            case .refused: "is sshd running there, and on this port? say another with `ssh: HOST:PORT` in the playbook, or Port in ~/.ssh/config"
            case .timedOut: "is the host up, and does a firewall drop the connection? a host behind another one needs ProxyJump"
            case .proxyFailed: "`ssh` runs the same program: see what it says there"
            case .other: "check the route to the host"
            }
        case .noCommonAlgorithm:
            return SSHLibrary.isModern
                ? "libssh2 \(SSHLibrary.version) needs an ed25519, ECDSA or RSA host key: on the host look at HostKeyAlgorithms, KexAlgorithms, Ciphers and MACs in sshd_config"
                : "libssh2 \(SSHLibrary.version) needs an ed25519 or ECDSA host key (1.11 also checks RSA keys with SHA-2), a CTR or CBC cipher and an "
                    + "hmac-sha2 MAC: on the host run `ssh-keygen -A`, and look at HostKeyAlgorithms, Ciphers and MACs in sshd_config"
        case .hostKeyUnknown(_, let seen):
            return "compare the fingerprint with `ssh-keygen -lf \(seen.keyFileOnHost)` on the host's own console, then add the key: "
                + "\(seen.keyscan) >> \(seen.writableFile)"
        case .hostKeyChanged(_, let seen):
            return "either the host was installed anew or somebody sits in between: compare with `ssh-keygen -lf \(seen.keyFileOnHost)` "
                + "on the host's own console; only then remove the old key with "
                + "`ssh-keygen -R \(Shell.quote(seen.name)) -f \(Shell.quote(seen.foundIn ?? seen.writableFile))`"
        case .hostKeyRevoked:
            return "somebody declared this key stolen: give the host a new key, and do not connect until then"
        case .hostKeyNotJudged(let host, _):
            return "do not connect while that stands: `ssh -v \(host)` says whether the key is revoked, or `ssh` only could not connect"
        case .authenticationFailed(_, _, let attempts, let offered):
            if attempts.contains(where: { $0.outcome == .rsaFileUnusable }) {
                return "libssh2 \(SSHLibrary.version) cannot sign with an RSA key file as today's servers ask (1.11 can): load it into ssh-agent "
                    + "(`ssh-add FILE`), or use an ed25519 key"
            }
            if attempts.contains(where: { $0.outcome == .passphraseMissing }) {
                return "the key is locked, and no passphrase was given: load it into ssh-agent (`ssh-add FILE`), or run pggraft in a terminal, where it asks"
            }
            if attempts.contains(where: { if case .disconnected = $0.outcome { true } else { false } }) {
                return "the server counts every key offered: set IdentitiesOnly yes and IdentityFile for this host"
            }
            if !offered.contains("publickey") {
                return "pggraft logs in with keys only: allow PubkeyAuthentication in the host's sshd_config"
            }
            return "add the public key to ~/.ssh/authorized_keys of that user on the host, and see sshd's log there for the reason"
        case .connectionLost:
            return "a program that was running may still run on the host: look before doing it again"
        case .closed: return nil
        case .channelRefused:
            return "see MaxSessions in the host's sshd_config; programs left running by earlier sessions count too"
        case .shellRefused:
            return "the login user needs a POSIX shell and no forced command; try `ssh HOST true`"
        case .outcomeUnknown:
            return "look at the host's state before doing it again"
        case .commandTooLong:
            return "pass long values by standard input"
        case .sudoRefused(_, let loginUser, let user, _):
            return "allow it without a password, in a file of /etc/sudoers.d: `\(loginUser) ALL=(\(user)) NOPASSWD: ALL`, "
                + "or log in as \(user) or root"
        case .noSuchUser:
            return "check the user in the playbook"
        case .forwardRefused:
            return "is the server running and listening on that address? sshd must allow it too (AllowTcpForwarding, PermitOpen)"
        case .socketRefused:
            return "is the server running, and does it listen there (unix_socket_directories)?"
        case .noSocketRelay(_, let loginUser, let user, _):
            return loginUser == user
                ? "allow it in the host's sshd_config (AllowStreamLocalForwarding), or install perl, python3, socat or an nc that knows -U there"
                : "install perl, python3, socat or an nc that knows -U on the host, or log in as \(user)"
        case .forwardNotOpened:
            return "127.64.0.0/10 must be usable on this machine, as it is on Linux by default"
        case .permissionDenied(_, _, let user, _):
            return user == "root" ? "is the file system mounted read-only, or the file immutable (`lsattr`)?" : nil
        case .fileFailed: return nil
        }
    }
}

/// A host key a server showed, and where we looked for it.
public struct HostKeySighting: Sendable, Hashable {
    /// The name looked up, as known_hosts writes it: `host` or `[host]:port`.
    public var name: String
    public var keyType: String
    /// `SHA256:…`, as OpenSSH prints it.
    public var fingerprint: String
    /// The known_hosts files looked in, the user's first.
    public var files: [String]
    /// The file with the entry that speaks against the key.
    public var foundIn: String?
    /// The types of the keys known for the name.
    public var knownTypes: [String]
    /// Lines of the files that make no sense.
    public var badLines: Int
    /// `@cert-authority` lines for the name.
    public var authorities: Int
    /// What `ssh` said of the key, where it was asked.
    public var judgement: String?
    /// The arguments `ssh-keyscan` takes to see the key.
    public var scanArguments: [String]

    public init(
        name: String, keyType: String, fingerprint: String, files: [String], foundIn: String? = nil,
        knownTypes: [String] = [], badLines: Int = 0, authorities: Int = 0, scanArguments: [String] = []
    ) {
        self.name = name
        self.keyType = keyType
        self.fingerprint = fingerprint
        self.files = files
        self.foundIn = foundIn
        self.knownTypes = knownTypes
        self.badLines = badLines
        self.authorities = authorities
        self.scanArguments = scanArguments
    }

    var places: String { foundIn ?? (files.isEmpty ? "no file" : files.joined(separator: ", ")) }
    var writableFile: String { files.first ?? "~/.ssh/known_hosts" }
    var keyscan: String { "`" + Shell.line(["ssh-keyscan"] + scanArguments) + "`" }
    var keyFileOnHost: String {
        let kind = keyType.hasPrefix("ecdsa") ? "ecdsa" : keyType.split(separator: "-").last.map(String.init) ?? "ed25519"
        return "/etc/ssh/ssh_host_\(kind)_key.pub"
    }
    var saidOfIt: String { judgement.map { $0.isEmpty ? "" : ": \($0)" } ?? "" }
    var remarks: String {
        (badLines > 0 ? "; \(badLines) lines there make no sense and were skipped" : "")
            + (judgement == nil ? "" : "; `ssh` was asked, and does not accept it either" + saidOfIt)
    }
}

/// One key offered to a server, and what came of it.
public struct AuthenticationAttempt: Sendable, Hashable, CustomStringConvertible {
    public enum Outcome: Sendable, Hashable {
        /// The server does not accept the key for this user.
        case refused
        /// The server takes the key and not the signature made with it.
        case signatureRefused
        /// An RSA key in a file: libssh2 signs with SHA-1 only, which servers refuse.
        case rsaFileUnusable
        case passphraseMissing
        case passphraseWrong
        case unreadable(String)
        case agentFailed(String)
        /// The server ended the connection instead of answering.
        case disconnected(String)
        case unsupported(String)
    }

    /// What was offered: `agent key SHA256:… (comment)`, `key file /path`.
    public var key: String
    public var outcome: Outcome

    public init(key: String, outcome: Outcome) {
        self.key = key
        self.outcome = outcome
    }

    public var description: String {
        let result =
            switch outcome {
            case .refused: "refused by the server"
            case .signatureRefused: "signature refused by the server"
            case .rsaFileUnusable: "RSA key files cannot be used"
            case .passphraseMissing: "no passphrase given"
            case .passphraseWrong: "wrong passphrase"
            case .unreadable(let why): "not readable: \(why)"
            case .agentFailed(let why): "ssh-agent: \(why)"
            case .disconnected(let why): "the server disconnected: \(why)"
            case .unsupported(let why): "not supported: \(why)"
            }
        return "\(key): \(result)"
    }
}

extension HostError {
    /// Whether it is not known any more how far the host got; otherwise the host has answered, with a refusal.
    public var isOfConnection: Bool {
        switch self {
        case .permissionDenied, .fileFailed, .socketRefused, .noSocketRelay: false
        default: true
        }
    }
}
