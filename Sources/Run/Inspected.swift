/// What a step has found by its inspection, for its performance, which follows at once: it need not look again.
///
/// Whoever changes something by it says what was there when it was looked at, so that nothing is overwritten that has changed meanwhile.
public actor Inspected<Found: Sendable> {
    private var found: Found?

    public init() {}

    /// Keeps what was found, or that there is nothing to go by.
    public func keep(_ found: Found?) { self.found = found }

    /// What was found last, once.
    public func take() -> Found? {
        defer { found = nil }
        return found
    }
}
