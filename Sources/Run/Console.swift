public import Report

/// Whoever runs a procedure: sees what happens, says whether to go on, and may interrupt.
public protocol Console: Sendable {
    func show(_ event: SessionEvent)
    /// Whether the operator wants what was shown; `nil` when nobody is there to say it.
    func wantsToGoOn() -> Bool?
    /// Runs `work`, which is cancelled when the operator interrupts it.
    func interruptibly<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value
}

/// What there is to be seen in a session.
public enum SessionEvent: Sendable {
    /// A look at a step is being made, for a plan.
    case looking(at: String)
    case findings([Finding])
    case plan([Runner.Planned])
    case began(RunHeader, journal: String)
    /// What an undo of the run takes away although it is in use.
    case takesAway(run: String, [String])
    /// What a run that is over has left, and is about to be removed.
    case leavings(RunSummary, [Created])
    /// All that was left of a run is removed, its journal last.
    case removed(run: String)
    /// What of a run that is over could not be removed.
    case notRemoved(run: String, Problem)
    case run(RunEvent)
    /// Something worth a line of its own, beside what steps say.
    case note(String)
}
