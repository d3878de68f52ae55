/// The mistakes found while a playbook is read.
final class Findings {
    let source: SourceText
    private var found: Set<PlaybookError> = []
    private var unknownKeys: [UnknownKey] = []
    /// Which sections know a key, to tell where one belongs that stands elsewhere.
    private var sectionsKnowing: [String: [String]] = [:]

    private struct UnknownKey {
        var key: String
        var place: Place
        var known: [String]
    }

    init(_ source: SourceText) { self.source = source }

    /// In the order of the file.
    var errors: [PlaybookError] {
        let unknown = unknownKeys.map { error(.unknownKey($0.key, hint(for: $0)), at: $0.place) }
        return found.union(unknown).sorted { left, right in
            guard let one = left.place, let other = right.place else { return left.place == nil && right.place != nil }
            return (one.line, one.column, left.description) < (other.line, other.column, right.description)
        }
    }

    func place(_ mark: TextMark, path: String) -> Place {
        Place(file: source.name, line: mark.line, column: mark.column, path: path)
    }

    func report(_ problem: PlaybookProblem, at place: Place) { found.insert(error(problem, at: place)) }

    func report(_ problem: PlaybookProblem, at mark: TextMark) { report(problem, at: place(mark, path: "")) }

    private func error(_ problem: PlaybookProblem, at place: Place) -> PlaybookError {
        let excerpt = source.excerpt(line: place.line, column: place.column)
        return PlaybookError(file: source.name, place: place, problem: problem, excerpt: excerpt)
    }

    /// Notes which keys a section knows. What belongs elsewhere can only be said once all sections are known.
    func learn(keys: [String], of section: String) {
        for key in keys { sectionsKnowing[key, default: []].append(section) }
    }

    func reportUnknown(key: String, at place: Place, known: [String]) {
        unknownKeys.append(UnknownKey(key: key, place: place, known: known))
    }

    private func hint(for unknown: UnknownKey) -> PlaybookProblem.UnknownKeyHint {
        if unknown.key.lowercased().contains("pass") { return .passwordsStandElsewhere }
        if let near = Spelling.nearest(to: unknown.key, among: unknown.known) { return .didYouMean(near) }
        switch sectionsKnowing[unknown.key]?.first {
        case "": return .belongsAtTop
        case let section?: return .belongsUnder(section)
        case nil: return .known(unknown.known)
        }
    }
}
