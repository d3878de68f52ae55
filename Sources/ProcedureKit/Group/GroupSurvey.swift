import Report
import Run

/// The look at a group that its requirements share.
public actor GroupSurvey {
    private let group: Group
    private let survey: Survey
    private var look: Task<GroupView, any Error>?

    public init(_ group: Group, _ survey: Survey) { (self.group, self.survey) = (group, survey) }

    /// - Throws: ``NotLooked`` where a host was not reached.
    public func view() async throws -> GroupView {
        try await survey.require(group.nodes)
        if let look { return try await look.value }
        let group = group, new = Task { try await group.look() }
        look = new
        return try await new.value
    }
}
