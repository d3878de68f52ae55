internal import EventLoop
import Glibc
import Report

/// Names to addresses to connections, off the event loops.
enum Dialer {
    struct Address: Sendable {
        let family: Int32
        let socketAddress: [UInt8]
        /// `192.0.2.1`, `2001:db8::1`.
        let text: String
    }

    struct NameNotFound: Error { let detail: String }

    /// Every TCP address of `name`, the one to try first in front.
    static func resolve(_ name: String, port: UInt16, until deadline: Deadline) async throws -> [Address] {
        try await OffLoop.run("the addresses of \(name)", until: deadline) { try resolve(name, port: port) }
    }

    /// A connection to the first address of `name` that answers.
    static func dial(_ name: String, port: UInt16, host: String, until deadline: Deadline) async throws -> Descriptor {
        let place = "\(name) port \(port)"
        do {
            return try await OffLoop.run("a connection to \(place)", until: deadline) {
                let addresses = try resolve(name, port: port)
                var failure = SystemFailure(code: EHOSTUNREACH)
                for (index, address) in addresses.enumerated() {
                    let share = deadline.remaining / Double(addresses.count - index)
                    do throws(SystemFailure) {
                        return try connect(to: address, until: deadline.orAfter(share))
                    } catch {
                        failure = error
                    }
                }
                throw failure
            }
        } catch let error as NameNotFound {
            throw HostError.unreachable(host: host, address: name, reason: .nameNotFound(error.detail))
        } catch let failure as SystemFailure {
            let reason: HostError.Unreachable =
                switch failure.code {
                case ECONNREFUSED: .refused
                case ETIMEDOUT: .timedOut(after: deadline.budget)
                default: .other(failure.fact)
                }
            throw HostError.unreachable(host: host, address: place, reason: reason)
        } catch is DeadlineExceeded {
            throw HostError.unreachable(host: host, address: place, reason: .timedOut(after: deadline.budget))
        }
    }

    private static func resolve(_ name: String, port: UInt16) throws -> [Address] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(name, String(port), &hints, &list)
        guard result == 0 else { throw NameNotFound(detail: gai_strerror(result).map { String(cString: $0) } ?? "code \(result)") }
        defer { freeaddrinfo(list) }
        var addresses: [Address] = []
        var entry = list
        while let info = entry?.pointee {
            if let address = info.ai_addr {
                var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
                getnameinfo(address, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                addresses.append(
                    Address(
                        family: info.ai_family, socketAddress: Array(UnsafeRawBufferPointer(start: address, count: Int(info.ai_addrlen))),
                        text: String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)))
            }
            entry = info.ai_next
        }
        return addresses
    }

    private static func connect(to address: Address, until deadline: Deadline) throws(SystemFailure) -> Descriptor {
        let raw = socket(address.family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw SystemFailure(code: errno) }
        let connection = Descriptor(owning: raw)
        connection.setOption(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        // Unanswered data for this long means the host was cut off.
        connection.setOption(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, 15_000)
        let started = address.socketAddress.withUnsafeBytes { bytes in
            bytes.baseAddress.map { Glibc.connect(raw, $0.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count)) } ?? -1
        }
        guard started == 0 || errno == EINPROGRESS else { throw SystemFailure(code: errno) }
        var poll = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
        while true {
            let milliseconds = Int32(max(0, min(deadline.remaining.seconds * 1000, 86_400_000)).rounded(.up))
            let ready = Glibc.poll(&poll, 1, milliseconds)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { throw SystemFailure(code: ready == 0 ? ETIMEDOUT : errno) }
            break
        }
        var outcome: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(raw, SOL_SOCKET, SO_ERROR, &outcome, &length)
        guard outcome == 0 else { throw SystemFailure(code: outcome) }
        return connection
    }
}
