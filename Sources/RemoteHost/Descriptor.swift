internal import EventLoop
import Glibc

/// A file descriptor that is closed when nobody holds it any more.
final class Descriptor: Sendable {
    let raw: Int32

    init(owning raw: Int32) { self.raw = raw }

    deinit { Glibc.close(raw) }

    func setNonBlocking() { _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) | O_NONBLOCK) }

    func setOption(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}

/// The whole of a local file; `nil` when there is none.
func readLocalFile(_ path: String) throws -> [UInt8]? {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else {
        if errno == ENOENT || errno == ENOTDIR { return nil }
        throw LocalFileUnreadable(path: path, detail: SystemFailure(code: errno).fact)
    }
    let file = Descriptor(owning: raw)
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
        let count = Glibc.read(file.raw, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw LocalFileUnreadable(path: path, detail: SystemFailure(code: errno).fact) }
        if count == 0 { return content }
        content += chunk[..<count]
    }
}

struct LocalFileUnreadable: Error {
    let path: String
    let detail: String
}
