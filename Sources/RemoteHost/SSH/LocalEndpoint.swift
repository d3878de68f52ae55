internal import CEpoll
internal import EventLoop
import Glibc

/// An IPv4 address and port of this machine.
struct LocalEndpoint: Hashable, Sendable {
    /// In host byte order: 127.0.0.1 is `0x7F00_0001`.
    var address: UInt32
    var port: UInt16

    var addressText: String {
        [24, 16, 8, 0].map { String(address >> UInt32($0) & 0xFF) }.joined(separator: ".")
    }

    private init(_ socket: sockaddr_in) {
        address = UInt32(bigEndian: socket.sin_addr.s_addr)
        port = UInt16(bigEndian: socket.sin_port)
    }

    init(address: UInt32, port: UInt16) {
        self.address = address
        self.port = port
    }

    // MARK: Listening

    /// A listener on a random address of 127.64.0.0/10, on a port that the system chooses: a server of this machine that listens on every
    /// address could not start where its own port was taken on one.
    static func listen() throws(SystemFailure) -> (socket: Descriptor, endpoint: LocalEndpoint) {
        var failure = SystemFailure(code: EADDRINUSE)
        for _ in 0..<8 {
            let address: UInt32 = 127 << 24 | 64 << 16 | UInt32.random(in: 1..<(1 << 22) - 1)
            do {
                return try listen(LocalEndpoint(address: address, port: 0))
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private static func listen(_ wanted: LocalEndpoint) throws(SystemFailure) -> (Descriptor, LocalEndpoint) {
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemFailure(code: errno) }
        let listener = Descriptor(owning: raw)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = wanted.port.bigEndian
        name.sin_addr.s_addr = wanted.address.bigEndian
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard bound == 0, Glibc.listen(raw, 64) == 0 else { throw SystemFailure(code: errno) }
        guard let endpoint = named(getsockname, raw) else { throw SystemFailure(code: errno) }
        return (listener, endpoint)
    }

    private static func named(
        _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32, _ raw: Int32
    ) -> LocalEndpoint? {
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(raw, $0, &length) }
        }
        return result == 0 ? LocalEndpoint(name) : nil
    }

    /// The next connection that waits at a non-blocking `listener`, and where it comes from.
    static func accept(_ listener: Descriptor) -> (Descriptor, LocalEndpoint)? {
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let raw = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                accept4(listener.raw, $0, &length, Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue))
            }
        }
        guard raw >= 0 else { return nil }
        let connection = Descriptor(owning: raw)
        connection.setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return (connection, LocalEndpoint(name))
    }

    // MARK: Who is there

    /// Who else than this process's user connected from `peer` to `local`, as an error says it; `nil` where nobody else did.
    static func stranger(from peer: LocalEndpoint, at local: LocalEndpoint, until deadline: Deadline) async throws -> String? {
        let owner: UInt32? = try await OffLoop.run("the owner of a local connection", until: deadline) { try Self.owner(ofConnectionFrom: peer, to: local) }
        guard owner != getuid() else { return nil }
        return "a connection by \(owner.map { "another local user (uid \($0))" } ?? "an unknown local user") was turned away"
    }

    /// The uid of the process on this machine that connected from `peer` to `local`; `nil` when it is not found.
    static func owner(ofConnectionFrom peer: LocalEndpoint, to local: LocalEndpoint) throws -> UInt32? {
        // A dual-stack socket of the client stands in the other table.
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            guard let content = try readLocalFile(table) else { continue }
            if let owner = owner(ofConnectionFrom: peer, to: local, in: String(decoding: content, as: UTF8.self)) { return owner }
        }
        return nil
    }

    /// The same, in the text of `/proc/net/tcp` or `/proc/net/tcp6`.
    static func owner(ofConnectionFrom peer: LocalEndpoint, to local: LocalEndpoint, in table: String) -> UInt32? {
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            // A connection that its process has let go of has no inode, and would look like root's.
            guard fields.count > 9, fields[9] != "0", LocalEndpoint(tableEntry: fields[1]) == peer,
                LocalEndpoint(tableEntry: fields[2]) == local
            else { continue }
            return UInt32(fields[7])
        }
        return nil
    }

    /// `0100007F:1538`: the address's bytes as this machine keeps them in a word. An IPv6 entry counts when it maps an IPv4 address.
    init?(tableEntry: Substring) {
        let parts = tableEntry.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16) else { return nil }
        var address = parts[0]
        if address.count == 32 {
            guard UInt32(address.prefix(8), radix: 16) == 0, UInt32(address.dropFirst(8).prefix(8), radix: 16) == 0,
                UInt32(address.dropFirst(16).prefix(8), radix: 16) == UInt32(bigEndian: 0x0000_FFFF)
            else { return nil }
            address = address.suffix(8)
        }
        guard address.count == 8, let word = UInt32(address, radix: 16) else { return nil }
        self.init(address: UInt32(bigEndian: word), port: port)
    }
}

extension Descriptor {
    /// Makes the close of this connection an abort, so that the other side does not take it for an orderly end.
    func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
}
