public import Report

/// Steps that cannot run, with everything that stands in the way.
public struct Blocked: Explained {
    public let problems: [Problem]
    public init(problems: [Problem]) { self.problems = problems }

    /// Of several, each with its own hint.
    public var fact: String { problems.count == 1 ? problems[0].fact : problems.map(\.description).joined(separator: "\n") }
    public var hint: String? { problems.count == 1 ? problems[0].hint : nil }
}

/// What was closed could not be opened again everywhere, and is named in the run's failure.
public struct NotOpened: Explained {
    public let problems: [Problem]
    private let cause: Problem?

    /// - Parameter cause: what had gone wrong before.
    public init(_ problems: [Problem], after cause: (any Error)? = nil) {
        self.problems = problems
        self.cause = cause.map(Problem.init(explaining:))
    }

    public var fact: String { cause?.fact ?? "what was closed is not open everywhere, and nothing else was tried" }
    public var hint: String? { cause?.hint }
}

/// A run that ended before its last step.
public struct RunFailure: Explained {
    public let step: StepID?
    public let title: String
    public let cause: any Error
    /// Ended by the operator (Ctrl-C) rather than by an error.
    public let interrupted: Bool
    /// The brackets that were open when it ended.
    public let opened: [String]
    /// What a bracket closed and could not open again.
    public let notOpened: [Problem]

    public var fact: String {
        let place = step.map { "step \($0) (\(title))" } ?? "the run"
        let head = interrupted ? "interrupted in \(place)" : "\(place) failed: \(Problem(explaining: cause).fact)"
        return ([head] + notOpened.map { "NOT OPENED: \($0.fact)" }).joined(separator: "\n")
    }

    public var hint: String? {
        let hints = [interrupted ? nil : Problem(explaining: cause).hint] + notOpened.map(\.hint)
        let said = hints.compactMap { $0 }
        return said.isEmpty ? nil : said.joined(separator: "\n")
    }
}
