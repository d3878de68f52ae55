public import Report

/// Every mistake found in one playbook, in the order of the file.
public struct PlaybookErrors: Explained {
    public let file: String
    /// At least one.
    public let errors: [PlaybookError]

    /// What comes behind these is only counted.
    private static let limit = 50

    /// A blank line between two.
    public var fact: String { shown(as: \.fact) }

    /// Where there are several mistakes, each hint behind the place it is for.
    public var hint: String? {
        let hints = errors.prefix(Self.limit).compactMap { error in
            error.hint.map { errors.count > 1 ? "\(error.position): \($0)" : $0 }
        }
        return hints.isEmpty ? nil : hints.joined(separator: "\n")
    }

    /// As a compiler shows them: each hint stands under its own mistake.
    public var description: String { shown(as: \.description) }

    private func shown(as text: (PlaybookError) -> String) -> String {
        var parts = errors.prefix(Self.limit).map(text)
        if errors.count > Self.limit { parts.append("\(file): error: \(errors.count - Self.limit) more errors, not shown") }
        return parts.joined(separator: "\n\n")
    }
}

/// One mistake in a playbook.
///
/// ```
/// spock-add-node.yaml:12:13: error: cluster.nodes.n1.port: expected a port from 1 to 65535, found "70000"
///       port: 70000
///             ^
/// ```
public struct PlaybookError: Explained, Hashable {
    public let file: String
    /// `nil` when it concerns the file as a whole.
    public let place: Place?
    public let problem: PlaybookProblem
    /// The line of the file, without secrets, and the caret under it.
    let excerpt: String?

    public var fact: String { "\(position): error: \(subject)\(problem.fact)" + (excerpt.map { "\n\($0)" } ?? "") }
    public var hint: String? { problem.hint }

    fileprivate var position: String { place?.description ?? file }

    private var subject: String {
        guard let path = place?.path, !path.isEmpty else { return "" }
        return "\(path): "
    }
}
