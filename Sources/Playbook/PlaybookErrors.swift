/// Every mistake found in one playbook, in the order of the file.
public struct PlaybookErrors: Error, Sendable, CustomStringConvertible {
    public let file: String
    /// At least one.
    public let errors: [PlaybookError]

    /// All of them as a compiler shows them, a blank line between two; from the 51st on only their number.
    public var description: String {
        let shown = 50
        var parts = errors.prefix(shown).map(\.description)
        if errors.count > shown { parts.append("\(file): error: \(errors.count - shown) more errors, not shown") }
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
public struct PlaybookError: Error, Sendable, Hashable, CustomStringConvertible {
    public let file: String
    /// `nil` when it concerns the file as a whole.
    public let place: Place?
    public let problem: PlaybookProblem
    /// The line of the file, without secrets, and the caret under it.
    let excerpt: String?

    public var description: String {
        var lines = ["\(place?.description ?? file): error: \(subject)\(problem.fact)"]
        if let excerpt { lines.append(excerpt) }
        if let hint = problem.hint { lines.append("HINT: \(hint)") }
        return lines.joined(separator: "\n")
    }

    private var subject: String {
        guard let path = place?.path, !path.isEmpty else { return "" }
        return "\(path): "
    }
}
