/// An error as an operator reads it: a fact, and what to do about it.
///
/// Every error of pggraft has this form, from where it arises up to the terminal, so that nothing has to be recovered from a text.
///
/// ```swift
/// extension ArchiveError: Explained {
///     var fact: String { "\(node): archive_mode is off" }
///     var hint: String? { "set archive_mode = on and restart \(node)" }
/// }
/// ```
public protocol Explained: Error, Sendable, CustomStringConvertible {
    /// What happened, and where: lower case, without a full stop. Further lines are details, such as a server's own.
    var fact: String { get }
    /// What to do, a line each; `nil` where that is plain from the fact.
    var hint: String? { get }
}

extension Explained {
    /// The fact, and under it each line of the hint behind `HINT:`.
    public var description: String {
        let hints = (hint ?? "").split(separator: "\n").map { "\n  HINT: \($0)" }
        return fact + hints.joined()
    }
}

/// Something that stands in the way: a fact, and what to do about it.
public struct Problem: Explained, Hashable {
    public let fact: String
    public let hint: String?

    public init(_ fact: String, hint: String? = nil) {
        self.fact = fact
        self.hint = hint
    }

    /// `fact`, because of `error`. Of what the error says to do, that comes after `hint`.
    public init(_ fact: String, because error: any Error, hint: String? = nil) {
        let cause = Problem(explaining: error)
        let hints = [hint, cause.hint].compactMap { $0 }
        self.init("\(fact): \(cause.fact)", hint: hints.isEmpty ? nil : hints.joined(separator: "\n"))
    }

    /// What `error` says, and under it the state that things are in by now. What that says to do comes before what the error does.
    public init(explaining error: any Error, leaving state: String, hint: String? = nil) {
        let cause = Problem(explaining: error), hints = [hint, cause.hint].compactMap { $0 }
        self.init("\(cause.fact)\n\(state)", hint: hints.isEmpty ? nil : hints.joined(separator: "\n"))
    }

    /// What `error` says, whatever it is.
    public init(explaining error: any Error) {
        if let explained = error as? any Explained {
            self.init(explained.fact, hint: explained.hint)
        } else if error is CancellationError {
            self.init("interrupted")
        } else {
            self.init("\(error)")
        }
    }
}
