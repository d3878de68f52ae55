public import Report

/// What happens in a run, for the terminal, other output and tests.
public enum RunEvent: Sendable {
    case inspecting(StepID, title: String)
    case skipped(StepID, title: String, seen: String)
    case began(StepID, title: String)
    case progress(StepID, String, fraction: Double?)
    case note(StepID, String)
    case done(StepID, title: String, result: String, took: Duration)
    case failed(StepID, title: String, Problem)
    /// A bracket opened everything again on a way out, but for `problems`.
    case released(bracket: String, problems: [Problem])
    case undone(StepID, title: String, lines: [String])
    case left(StepID, title: String, problems: [Problem])
}
