internal import EventLoop
import Glibc

/// A running ssh-agent (draft-miller-ssh-agent): which keys it holds, and a signature by one of them.
struct SSHAgent: Sendable {
    let socketPath: String

    struct Key: Sendable, Hashable {
        var blob: [UInt8]
        var comment: String

        var type: String { SSHWire.keyType(of: blob) ?? "unknown" }

        /// The key as it is offered: RSA keys ask for SHA-2, which libssh2 takes from the blob's type.
        var offer: [UInt8] {
            guard type == "ssh-rsa" else { return blob }
            var reader = SSHWire.Reader(blob)
            _ = reader.string()
            return SSHWire.string(Array("rsa-sha2-256".utf8)) + reader.remaining
        }

    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    func keys(until deadline: Deadline) async throws -> [Key] {
        let answer = try await ask([11], until: deadline)
        var reader = SSHWire.Reader(answer)
        guard reader.byte() == 12, let count = reader.number() else { throw Failure(description: "it does not list its keys") }
        return try (0..<count).map { _ in
            guard let blob = reader.string(), let comment = reader.text() else { throw Failure(description: "a broken list of keys") }
            return Key(blob: blob, comment: comment)
        }
    }

    /// The bare signature of `data`, without the name of its algorithm; of a security key with what stands behind it, its flags and its counter.
    func sign(_ data: [UInt8], with key: Key, until deadline: Deadline) async throws -> [UInt8] {
        let sha256: UInt32 = 2
        let flags = key.type == "ssh-rsa" ? sha256 : 0
        let answer = try await ask([13] + SSHWire.string(key.blob) + SSHWire.string(data) + SSHWire.number(flags), until: deadline)
        var reader = SSHWire.Reader(answer)
        guard reader.byte() == 14, let signature = reader.string() else { throw Failure(description: "it refused to sign") }
        var inner = SSHWire.Reader(signature)
        guard inner.string() != nil else { throw Failure(description: "a broken signature") }
        if key.type.hasPrefix("sk-") { return inner.remaining }
        guard let bare = inner.string() else { throw Failure(description: "a broken signature") }
        return bare
    }

    private func ask(_ request: [UInt8], until deadline: Deadline) async throws -> [UInt8] {
        let path = socketPath
        return try await OffLoop.run("ssh-agent", until: deadline) { try Self.exchange(SSHWire.string(request), path: path) }
    }

    private static func exchange(_ request: [UInt8], path: String) throws -> [UInt8] {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw Failure(description: SystemFailure(code: errno).fact) }
        let connection = Descriptor(owning: raw)
        guard let connected = withUnixAddress(path, { connect(raw, $0, $1) }) else { throw Failure(description: "the socket's path is too long") }
        guard connected == 0 else { throw Failure(description: "\(path): \(SystemFailure(code: errno).fact)") }
        var sent = 0
        while sent < request.count {
            let count = request.withUnsafeBytes { send(raw, $0.baseAddress.map { $0 + sent }, request.count - sent, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Failure(description: SystemFailure(code: errno).fact) }
            sent += count
        }
        func receive(_ wanted: Int) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: wanted)
            var got = 0
            while got < wanted {
                let count = bytes.withUnsafeMutableBytes { recv(connection.raw, $0.baseAddress.map { $0 + got }, wanted - got, 0) }
                guard count > 0 else { throw Failure(description: count == 0 ? "it closed the connection" : SystemFailure(code: errno).fact) }
                got += count
            }
            return bytes
        }
        var header = SSHWire.Reader(try receive(4))
        guard let length = header.number(), length <= 1 << 20 else { throw Failure(description: "a broken answer") }
        return try receive(Int(length))
    }
}

/// What `body` makes of the address of the Unix-domain socket at `path`; `nil` where the path is too long for one.
func withUnixAddress<Value>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value? {
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    let text = Array(path.utf8)
    guard text.count < MemoryLayout.size(ofValue: name.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: text) }
    return withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
}
