public import Foundation
import Glibc
import Report

/// The lock of this machine for one cluster: an advisory lock on a file, gone with the process that holds it.
public final class RunLock: Sendable {
    private let descriptor: Int32
    public let path: String

    /// Takes the lock for `cluster`.
    /// - Parameter holder: who has it, since when and for which run, for whoever is refused.
    /// - Throws: ``LockTaken`` that says who has it.
    public init(cluster: String, in store: RunStore, holder: Holder) throws {
        try store.make()
        path = Self.path(cluster: cluster, in: store)
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.problem("open", path, errno) }
        guard Self.lock(descriptor) else {
            let holder = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
            _ = Glibc.close(descriptor)
            throw LockTaken("another pggraft works on cluster \(cluster)" + (holder.isEmpty ? "" : ": \(holder)"))
        }
        try describe(holder)
    }

    /// Writes down who has the lock now.
    public func describe(_ holder: Holder) throws {
        let bytes = Array(holder.description.utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
            throw Self.problem("write", path, errno)
        }
    }

    private static func problem(_ doing: String, _ path: String, _ code: Int32) -> Problem {
        Problem("cannot \(doing) the lock file \(path): \(String(cString: strerror(code)))", hint: "Make room or mend the permissions, then try again.")
    }

    deinit { _ = Glibc.close(descriptor) }

    /// Somebody who only looks (``isHeld(cluster:in:)``) has it for a moment, too.
    private static func lock(_ descriptor: Int32) -> Bool {
        for _ in 0..<20 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
            usleep(10_000)
        }
        return false
    }

    /// Whether a pggraft of this machine has the lock for `cluster` now.
    static func isHeld(cluster: String, in store: RunStore) -> Bool {
        let descriptor = Glibc.open(Self.path(cluster: cluster, in: store), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { _ = Glibc.close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0
    }

    private static func path(cluster: String, in store: RunStore) -> String { store.directory + "/\(cluster).lock" }
}

/// Who works on a cluster, since when, and in which run.
public struct Holder: Sendable, CustomStringConvertible {
    /// `ann@desk`.
    public let name: String
    public let pid: Int32
    public let since: Date
    /// The run; `nil` before it has a name.
    public var run: String?

    /// This process.
    public init(run: String? = nil) {
        (name, pid, since) = (Self.thisOperator, ProcessInfo.processInfo.processIdentifier, Date())
        self.run = run
    }

    /// `user@host` of this process.
    static var thisOperator: String { NSUserName() + "@" + ProcessInfo.processInfo.hostName }

    /// `ann@desk, pid 4711, since 2026-11-21T07:12:03Z, run 20261121-071203-app`.
    public var description: String { "\(name), pid \(pid), since \(since.formatted(.iso8601)), " + (run.map { "run \($0)" } ?? "before its run") }
}
