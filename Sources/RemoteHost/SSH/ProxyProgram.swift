internal import CEpoll
internal import EventLoop
import Glibc

/// A program that carries the connection to a host's SSH port through its standard input and output, as `ProxyCommand` asks for.
final class ProxyProgram: Sendable {
    /// Our end of the connection.
    let socket: Descriptor
    private let child: pid_t
    /// What it writes to its standard error: a file without a name.
    private let complaints: Descriptor

    /// Starts `command` as `ssh` does: by the operator's own shell.
    /// - Throws: `SystemFailure` when there is no process.
    init(_ command: String, shell: String?) throws(SystemFailure) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { throw SystemFailure(code: errno) }
        let (ours, theirs) = (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
        var name = Array("/tmp/pggraft-proxy.XXXXXX".utf8CString)
        let raw = mkostemp(&name, O_CLOEXEC)
        guard raw >= 0 else { throw SystemFailure(code: errno) }
        unlink(name)
        let complaints = Descriptor(owning: raw)
        let program = shell.flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/bin/sh"
        do {
            child = try ChildProgram.start(program, [program, "-c", "exec \(command)"], streams: [theirs, theirs, complaints])
        } catch let failure as SystemFailure {
            throw failure
        } catch {
            throw SystemFailure(code: EIO)
        }
        (socket, self.complaints) = (ours, complaints)
    }

    /// The end of what it has complained of; empty where it said nothing.
    var lastWords: String {
        let size = lseek(complaints.raw, 0, SEEK_END), limit = 2000
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = pread(complaints.raw, &bytes, limit, max(0, size - limit))
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    /// Ends it, as `ssh` does; one that does not heed that for a second is killed.
    func end() {
        kill(-child, SIGHUP)
        ChildProgram.reap(child, killing: .seconds(1))
    }
}
