import Foundation
import Scratch
import Synchronization

@testable import RemoteHost

/// A loopback port that leads to another one, as far away as is said: what is sent arrives after the delay, each way.
final class DelayedLine: Sendable {
    let port: UInt16
    private let listener: Int32

    init(to target: UInt16, oneWay delay: Duration) throws {
        port = try freePort()
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        let bound = Self.withAddress(port) { bind(listener, $0, $1) }
        guard bound == 0, listen(listener, 16) == 0 else { throw TestSSHServer.SetupFailed("no port for a delayed line") }
        Thread.detachNewThread {
            while case let near = accept(listener, nil, nil), near >= 0 {
                let far = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
                guard Self.withAddress(target, { connect(far, $0, $1) }) == 0 else {
                    close(near)
                    close(far)
                    continue
                }
                var one: Int32 = 1
                for end in [near, far] { setsockopt(end, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4) }
                Self.carry(from: near, to: far, after: delay)
                Self.carry(from: far, to: near, after: delay)
            }
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    private final class Way: Sendable {
        let chunks = Mutex<[(due: ContinuousClock.Instant, bytes: [UInt8])]>([])
        let count = DispatchSemaphore(value: 0)
    }

    private static func carry(from source: Int32, to target: Int32, after delay: Duration) {
        let way = Way()
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 65536)
            var got = 1
            while got > 0 {
                got = recv(source, &buffer, buffer.count, 0)
                let bytes = Array(buffer[..<max(0, got)])
                way.chunks.withLock { $0.append((.now + delay, bytes)) }
                way.count.signal()
            }
        }
        Thread.detachNewThread {
            while true {
                way.count.wait()
                let (due, bytes) = way.chunks.withLock { $0.removeFirst() }
                let pause = ContinuousClock.now.duration(to: due) / .seconds(1)
                if pause > 0 { Thread.sleep(forTimeInterval: pause) }
                guard !bytes.isEmpty, send(target, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
                    shutdown(target, Int32(SHUT_WR))
                    return
                }
            }
        }
    }

    private static func withAddress(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
