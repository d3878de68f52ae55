internal import CLibSSH2
internal import EventLoop
import Glibc
import Report

/// libssh2 fed from byte queues: its SEND always takes everything and its RECV never waits, so a libssh2 call never
/// leaves half a packet behind and many channels share one session.
///
/// Lives inside one ``SSHSession``, on its loop.
final class SSHEngine {
    /// `nil` once freed.
    private(set) var handle: OpaquePointer?
    let socket: Descriptor

    private var received: [UInt8] = []
    private var receivedPosition = 0
    private var unsent: [UInt8] = []
    private var unsentPosition = 0
    private var isEnding = false
    private let isTCP: Bool

    /// Why no more bytes come, once the socket has ended.
    private(set) var endOfInput: String?
    /// What the server said when it disconnected.
    private(set) var farewell: String?
    private(set) var lastHeard = ContinuousClock.now
    /// The agent's part of public key authentication: libssh2 asks, we answer on its next call.
    var signature = SignatureExchange.idle

    enum SignatureExchange {
        case idle
        case asked([UInt8])
        case answered([UInt8])
        case declined
    }

    init(socket: Descriptor) throws {
        guard libssh2Started == 0, let handle = libssh2_session_init_ex(nil, nil, nil, nil) else {
            throw SSHEngineFailure(code: LIBSSH2_ERROR_ALLOC, message: "libssh2 could not be started")
        }
        self.handle = handle
        self.socket = socket
        var kind = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let named = withUnsafeMutablePointer(to: &kind) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket.raw, $0, &length) }
        }
        isTCP = named == 0 && kind.ss_family != sa_family_t(AF_UNIX)
        socket.setNonBlocking()
        libssh2_session_set_blocking(handle, 0)
        libssh2_session_abstract(handle).pointee = Unmanaged.passUnretained(self).toOpaque()
        cssh2_set_io(
            handle,
            { _, buffer, count, _, owner in
                SSHEngine.of(owner)?.give(buffer, count) ?? -Int(EPIPE)
            },
            { _, buffer, count, _, owner in
                SSHEngine.of(owner)?.accept(buffer, count) ?? -Int(EPIPE)
            },
            { _, reason, message, length, _, _, owner in
                let text = message.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: Int(max(0, length))), as: UTF8.self) }
                SSHEngine.of(owner)?.farewell = text.map { $0.isEmpty ? "reason \(reason)" : $0 } ?? "reason \(reason)"
            })
    }

    deinit { free() }

    static func of(_ owner: UnsafeMutablePointer<UnsafeMutableRawPointer?>?) -> SSHEngine? {
        owner?.pointee.map { Unmanaged<SSHEngine>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Frees the session with its channels. Nothing of libssh2 may be called afterwards.
    func free() {
        guard let handle else { return }
        isEnding = true
        self.handle = nil
        libssh2_session_free(handle)
    }

    /// Bytes libssh2 has written that the socket has not yet taken.
    var backlog: Int { unsent.count - unsentPosition }

    /// The last error of libssh2, in its words.
    func failure(_ code: Int) -> SSHEngineFailure {
        var text: UnsafeMutablePointer<CChar>?
        var length: Int32 = 0
        if let handle { libssh2_session_last_error(handle, &text, &length, 0) }
        return SSHEngineFailure(code: Int32(code), message: text.map { String(cString: $0) } ?? "libssh2 error \(code)")
    }

    // MARK: The socket

    /// Takes what the socket has.
    func fill() {
        guard endOfInput == nil else { return }
        if receivedPosition == received.count {
            received.removeAll(keepingCapacity: true)
            receivedPosition = 0
        }
        let limit = 262_144
        withUnsafeTemporaryAllocation(byteCount: limit, alignment: 16) { buffer in
            let count = recv(socket.raw, buffer.baseAddress, limit, 0)
            if count > 0 {
                received.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                lastHeard = .now
                // Without it a delayed ACK costs 40 ms on every answer that comes through a jump host.
                if isTCP { socket.setOption(Int32(IPPROTO_TCP), TCP_QUICKACK, 1) }
            } else if count == 0 {
                endOfInput = "the server closed the connection"
            } else if errno != EAGAIN, errno != EINTR {
                endOfInput = SystemFailure(code: errno).fact
            }
        }
    }

    /// Sends what the socket takes now.
    func flush() {
        while unsentPosition < unsent.count {
            let count = unsent.withUnsafeBytes { bytes in
                send(socket.raw, bytes.baseAddress.map { $0 + unsentPosition }, bytes.count - unsentPosition, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if errno != EAGAIN { endOfInput = endOfInput ?? SystemFailure(code: errno).fact }
                break
            }
            unsentPosition += count
        }
        if unsentPosition == unsent.count {
            unsent.removeAll(keepingCapacity: true)
            unsentPosition = 0
        } else if unsentPosition > 1 << 20 {
            unsent.removeFirst(unsentPosition)
            unsentPosition = 0
        }
    }

    private func give(_ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        let available = received.count - receivedPosition
        // While open, the end of the socket is ours to judge: libssh2 would drop packets it has already queued.
        guard available > 0, let buffer else { return isEnding ? 0 : -Int(EAGAIN) }
        let taken = min(available, count)
        received.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { buffer.copyMemory(from: base + receivedPosition, byteCount: taken) }
        }
        receivedPosition += taken
        return taken
    }

    private func accept(_ buffer: UnsafeRawPointer?, _ count: Int) -> Int {
        guard !isEnding, let buffer else { return -Int(EPIPE) }
        unsent.append(contentsOf: UnsafeRawBufferPointer(start: buffer, count: count))
        flush()
        return count
    }
}

/// What libssh2 said when a call of its failed.
struct SSHEngineFailure: Explained {
    let code: Int32
    let message: String

    var fact: String { message }
    var hint: String? { nil }
}

/// `libssh2_init` is not safe to call from two threads: once, as a lazy global.
private let libssh2Started: Int32 = libssh2_init(0)
