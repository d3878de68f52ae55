import Report

/// A text that only a server may see: it prints as `‹redacted›`, wherever and however it is printed.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let text: String

    public init(_ text: String) { self.text = text }

    /// The text itself. The caller answers for where it goes.
    public func reveal() -> String { text }

    public var description: String { Redaction.mark }
    public var debugDescription: String { Redaction.mark }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
