internal import CEpoll
internal import EventLoop
import Glibc

/// What `ssh` itself says of a host key that known_hosts alone cannot tell of: it knows certificates of authorities, KnownHostsCommand and
/// lists of revoked keys, which libssh2 does not.
///
/// `ssh` connects as it always does, with an agent of ours. It turns to its agent once it has accepted the host's key, and says first which one
/// that is (`session-bind@openssh.com`, from OpenSSH 8.9 on). What it writes cannot be believed: a server can have it write any line.
enum HostKeyJudgement: Sendable, Equatable {
    /// It has accepted this key: the plain one, where it was certified.
    case accepted([UInt8])
    /// It has not, or did not get so far; its own words.
    case refused(String)

    /// - Parameters:
    ///   - jumps: the hosts that the way leads through, where the configuration of `target` does not say so itself.
    ///   - keyType: of the key, without a certificate: `ssh-ed25519`.
    /// - Throws: `DeadlineExceeded`, `CancellationError`, `HostError` where there is no `ssh`.
    static func ask(of target: SSHTarget, through jumps: [String] = [], keyType: String, deadline: Deadline) async throws -> HostKeyJudgement {
        let door = try AgentDoor()
        defer { door.close() }
        let command = command(for: target, through: jumps, keyType: keyType, agent: door.path)
        return try await withThrowingTaskGroup(of: HostKeyJudgement?.self) { group in
            group.addTask {
                let result = try await LocalHost().run(command, deadline: deadline)
                return .refused(result.errorText.split(whereSeparator: \.isNewline).suffix(3).joined(separator: "; "))
            }
            group.addTask {
                let bound = try await OffLoop.run("ssh to accept a host key", until: deadline) { door.boundKey() }
                return bound.map { .accepted(SSHWire.certifiedKey(of: $0) ?? $0) }
            }
            defer { group.cancelAll() }
            // A door that nobody came to says nothing.
            while let judgement = try await group.next() {
                if let judgement { return judgement }
            }
            return .refused("")
        }
    }

    static func command(for target: SSHTarget, through jumps: [String], keyType: String, agent: String) -> Command {
        let plain = keyType == "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [keyType]
        let algorithms = plain.map { "\($0)-cert-v01@openssh.com" } + plain
        let options = [
            "BatchMode=yes", "ClearAllForwardings=yes", "ControlMaster=no", "ControlPath=none", "ForwardAgent=no",
            "HostKeyAlgorithms=\(algorithms.joined(separator: ","))", "IdentityAgent=\(agent)", "PermitLocalCommand=no", "PreferredAuthentications=publickey",
            "PubkeyAuthentication=yes", "RemoteCommand=none", "StrictHostKeyChecking=yes", "UpdateHostKeys=no",
        ]
        var words = ["ssh", "-n", "-T"] + options.flatMap { ["-o", $0] }
        if !jumps.isEmpty { words += ["-J", jumps.joined(separator: ",")] }
        return Command(words: words + target.arguments + ["true"])
    }
}

/// A socket that `ssh` takes for an agent's, in a directory that nobody else may look into: it is heard once, and never answered.
private final class AgentDoor: Sendable {
    let path: String
    private let directory: String
    private let listener: Descriptor
    private let (stopRead, stopWrite): (Descriptor, Descriptor)

    /// - Throws: `SystemFailure`.
    init() throws {
        // Of a process that is killed it stays, empty but for the socket; the number says whose it was.
        var name = Array("/tmp/pggraft-ssh.\(getpid()).XXXXXX".utf8CString)
        guard mkdtemp(&name) != nil else { throw SystemFailure(code: errno) }
        directory = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        path = directory + "/agent"
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemFailure(code: errno) }
        (stopRead, stopWrite) = (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemFailure(code: errno) }
        listener = Descriptor(owning: raw)
        guard withUnixAddress(path, { bind(raw, $0, $1) }) == 0, listen(raw, 1) == 0 else { throw SystemFailure(code: errno) }
    }

    deinit {
        unlink(path)
        rmdir(directory)
    }

    /// Lets go of who waits in ``boundKey()``.
    func close() { _ = write(stopWrite.raw, [0], 1) }

    /// The host key that the first who comes binds its session to; `nil` where nobody comes, or says something else.
    func boundKey() -> [UInt8]? {
        guard isReadable(listener.raw) else { return nil }
        let raw = accept(listener.raw, nil, nil)
        guard raw >= 0 else { return nil }
        let connection = Descriptor(owning: raw)
        var bytes: [UInt8] = []
        while bytes.count < 1 << 18 {
            guard isReadable(connection.raw) else { return nil }
            var chunk = [UInt8](repeating: 0, count: 16384)
            let count = recv(connection.raw, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            bytes += chunk[..<count]
            var reader = SSHWire.Reader(bytes)
            guard let message = reader.string() else { continue }
            var inner = SSHWire.Reader(message)
            guard inner.byte() == 27, inner.text() == "session-bind@openssh.com" else { return nil }
            return inner.string()
        }
        return nil
    }

    /// Waits; `false` once nobody needs the answer any more.
    private func isReadable(_ descriptor: Int32) -> Bool {
        var both = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: stopRead.raw, events: Int16(POLLIN), revents: 0)]
        while poll(&both, 2, -1) < 0 {
            guard errno == EINTR else { return false }
        }
        return both[1].revents == 0
    }
}
