public import Report

/// How a command ended that worked on a procedure.
public enum Ending: Sendable {
    case mayRun(requirements: Int)
    case mayNotRun(unmet: Int, requirements: Int)
    case planned
    /// A step of the plan cannot run.
    case planIsBlocked
    /// Everything is as it shall be already.
    case nothingToDo
    /// The operator said no.
    case declined
    /// The run reached its end; what is said then.
    case done(run: String, words: [String])
    /// The run failed, or was interrupted, and stays as it is; the words say what state that is.
    case failed(run: String, RunFailure, words: String)
    /// The run failed, or was interrupted, and was taken back but for what was left.
    case takenBack(run: String, RunFailure, left: [Problem])
    case undone(run: String, left: [Problem])
    case undoInterrupted(run: String)
    /// So many runs were removed, and so many could not be.
    case cleaned(runs: Int, left: Int)

    /// 0 where what was wanted is so, 130 where the operator has interrupted it, else 1.
    public var exitStatus: Int32 {
        switch self {
        case .mayRun, .planned, .nothingToDo, .declined, .done: 0
        case .mayNotRun, .planIsBlocked: 1
        case .failed(_, let failure, _): failure.interrupted ? 130 : 1
        case .takenBack(_, let failure, let left): failure.interrupted && left.isEmpty ? 130 : 1
        case .undone(_, let left): left.isEmpty ? 0 : 1
        case .undoInterrupted: 130
        case .cleaned(_, let left): left == 0 ? 0 : 1
        }
    }
}
