import Report

/// What a look at one requirement found, with the numbers.
public struct Finding: Sendable, Hashable {
    public enum Verdict: Sendable, Hashable {
        case met
        /// The run may go on, but the operator should know.
        case note(hint: String?)
        case notMet(hint: String?)
    }

    /// The requirement: `replication slots`.
    public let requirement: String
    /// The node or host it is about; `nil` for the cluster.
    public let place: String?
    /// What was found: `10 of 32 in use, 1 more is needed`.
    public let found: String
    public let verdict: Verdict

    public init(_ requirement: String, on place: String? = nil, _ found: String, _ verdict: Verdict = .met) {
        self.requirement = requirement
        self.place = place
        self.found = found
        self.verdict = verdict
    }

    public var isMet: Bool { if case .notMet = verdict { false } else { true } }

    /// The finding as something that stands in the way; `nil` where it does not.
    public var problem: Problem? {
        guard case .notMet(let hint) = verdict else { return nil }
        return Problem((place.map { "\($0): " } ?? "") + "\(requirement): \(found)", hint: hint)
    }
}
