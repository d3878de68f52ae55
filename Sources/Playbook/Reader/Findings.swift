import Report

/// The mistakes found while a playbook is read.
final class Findings {
    let source: SourceText
    private var found: [PlaybookError] = []
    private var seen: Set<PlaybookError> = []
    private var unknownKeys: [UnknownKey] = []
    /// Which sections know a key, to tell where one belongs that stands elsewhere.
    private var sectionsKnowing: [String: [String]] = [:]

    private struct UnknownKey {
        var key: String
        var place: Place
        var known: [String]
    }

    init(_ source: SourceText) { self.source = source }

    /// In the order of the file; what is wrong at one place in the order in which it was found.
    var errors: [PlaybookError] {
        let all = found + unknownKeys.map { error(.unknownKey($0.key, hint(for: $0)), at: $0.place) }
        return all.enumerated().map { (mark: mark(of: $0.element), index: $0.offset, error: $0.element) }
            .sorted { ($0.mark, $0.index) < ($1.mark, $1.index) }
            .map(\.error)
    }

    private func mark(of error: PlaybookError) -> TextMark {
        TextMark(line: error.place?.line ?? 0, column: error.place?.column ?? 0)
    }

    func place(_ mark: TextMark, path: String) -> Place {
        Place(file: source.name, line: mark.line, column: mark.column, path: path)
    }

    func report(_ problem: PlaybookProblem, at place: Place) {
        let error = error(problem, at: place)
        // An alias stands for the same node as often as it is used.
        if seen.insert(error).inserted { found.append(error) }
    }

    func report(_ problem: PlaybookProblem, at mark: TextMark) { report(problem, at: place(mark, path: "")) }

    /// Reports what concerns the file as a whole.
    func report(_ problem: PlaybookProblem) {
        found.append(PlaybookError(file: source.name, place: nil, problem: problem, excerpt: nil))
    }

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
        guard let sections = sectionsKnowing[unknown.key], let section = sections.first, Set(sections).count == 1 else {
            return .known(unknown.known)
        }
        return section.isEmpty ? .belongsAtTop : .belongsUnder(section)
    }
}
