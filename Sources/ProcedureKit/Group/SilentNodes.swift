public import EventLoop
import Synchronization

/// Nodes that gave no answer when they were asked last: they are not waited for as long again, because others may be waiting.
public final class SilentNodes: Sendable {
    private let names = Mutex<Set<String>>([])

    public init() {}

    public func contains(_ name: String) -> Bool { names.withLock { $0.contains(name) } }
    public func add(_ name: String) { names.withLock { _ = $0.insert(name) } }
    public func remove(_ name: String) { names.withLock { _ = $0.remove(name) } }

    /// For how long a node is waited for: `time`, or a moment where it was silent.
    public func deadline(for name: String, _ time: Duration) -> Deadline { .after(contains(name) ? min(time, .seconds(2)) : time) }
}
