public import Report

/// What a look at the real systems found.
public enum Inspection: Sendable {
    /// Nothing to do; the text says what was seen.
    case done(String)
    /// These changes would be made.
    case needed([Change])
    /// The step cannot run.
    case blocked([Problem])
}

/// One thing a step would change.
public struct Change: Sendable, Hashable {
    /// What changes, and where: `n1: create the stanza app`.
    public let text: String
    /// A unified diff, for a change to a file.
    public let diff: String?

    public init(_ text: String, diff: String? = nil) {
        self.text = text
        self.diff = diff
    }
}

/// What ``Step/undo(_:)`` came to.
public enum UndoOutcome: Sendable {
    /// What was taken back, a line each; none where the run had left nothing.
    case undone([String])
    /// The step never leaves anything, and why.
    case nothing(because: String)
    /// Something was left as it is, and why. The run is not wholly undone.
    case left([Problem], undone: [String] = [])
}

extension UndoOutcome {
    /// What was taken back.
    public var lines: [String] {
        switch self {
        case .undone(let lines), .left(_, let lines): lines
        case .nothing: []
        }
    }

    /// What was left as it is.
    public var problems: [Problem] { if case .left(let problems, _) = self { problems } else { [] } }

    /// Both together, this one first.
    public func and(_ other: UndoOutcome) -> UndoOutcome {
        let problems = problems + other.problems, lines = lines + other.lines
        return problems.isEmpty ? .undone(lines) : .left(problems, undone: lines)
    }
}
