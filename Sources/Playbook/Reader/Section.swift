import Report

/// A mapping of a playbook while it is read.
///
/// It is asked for keys by name, and notes every mistake instead of stopping at the first. What was never asked for is
/// an unknown key, so a type asks for **all** its keys first, and only then gives up if one of them could not be read:
///
/// ```swift
/// init?(_ section: Section) {
///     let name = section.required("name", .clusterName, example: "app")
///     let port = section.optional("port", .port, default: 5432)
///     guard let name, let port else { return nil }
///     (_name, _port) = (name, port)
/// }
/// ```
final class Section {
    /// The section itself; its mark is that of the key that names it.
    let place: Place
    private let entries: [YAMLNode.Entry]
    private let findings: Findings
    /// Reads nothing and reports nothing: only to learn the keys of a section that is not there.
    private let isSilent: Bool
    private var known: [String] = []
    private var absent: [(key: String, hint: String)] = []
    private var ignoresOtherKeys = false

    private init(_ entries: [YAMLNode.Entry], at place: Place, _ findings: Findings, isSilent: Bool = false) {
        self.entries = entries
        self.place = place
        self.findings = findings
        self.isSilent = isSilent
    }

    /// Reads the whole file.
    static func read<Value>(root: YAMLNode, _ findings: Findings, _ read: (Section) -> Value?) -> Value? {
        guard case .mapping(let entries) = root.content else {
            if case .null = root.content {
                findings.report(.empty)
            } else if let found = description(of: root.content) {
                let expected = PlaybookProblem.unexpected(
                    expected: "keys and values", found: found, hint: "a playbook begins with `procedure: add-spock-node`")
                findings.report(expected, at: root.mark)
            }
            return nil
        }
        return Section(entries, at: findings.place(root.mark, path: ""), findings).finish(read)
    }

    // MARK: Values

    /// The value of `key`, which must be there; `example` is shown where it is not.
    func required<Value>(_ key: String, _ scalar: Scalar<Value>, example: String) -> Located<Value>? {
        guard let entry = ask(key) else {
            absent.append((key, "add `\(key): \(example)`"))
            return nil
        }
        return read(entry, scalar)
    }

    /// The value of `key`, or `defaultValue` where the playbook does not give one.
    func optional<Value>(_ key: String, _ scalar: Scalar<Value>, default defaultValue: Value) -> Located<Value>? {
        guard let entry = ask(key) else { return Located(defaultValue, at: place(of: key)) }
        return read(entry, scalar)
    }

    /// The value of `key`, or `nil` inside where the playbook does not give one.
    func optional<Value>(_ key: String, _ scalar: Scalar<Value>) -> Located<Value?>? {
        guard let entry = ask(key) else { return Located(nil, at: place(of: key)) }
        return read(entry, scalar).map { Located($0.wrappedValue, at: $0.place) }
    }

    /// The values of a section whose keys are names of the operator's, one of each.
    func values<Value>(_ scalar: Scalar<Value>) -> [String: Located<Value>]? {
        let found = entries.map { entry in (entry.key, ask(entry.key).flatMap { read($0, scalar) }) }
        let values = Dictionary(found.compactMap { key, value in value.map { (key, $0) } }) { first, _ in first }
        return values.count == entries.count ? values : nil
    }

    private func read<Value>(_ entry: YAMLNode.Entry, _ scalar: Scalar<Value>) -> Located<Value>? {
        let node = entry.value
        let place = findings.place(node.mark, path: path(of: entry.key))
        guard case .scalar(let text) = node.content else {
            if case .null = node.content {
                report(.noValue, at: findings.place(entry.keyMark, path: place.path))
            } else if let found = Section.description(of: node.content) {
                report(.unexpected(expected: scalar.expected, found: found, hint: nil), at: place)
            }
            return nil
        }
        switch scalar.reading(of: text) {
        case .value(let value): return Located(value, at: place)
        case .malformed(let hint):
            report(.unexpected(expected: scalar.expected, found: Section.quoted(text), hint: hint), at: place)
        case .refused(let fact, let hint): report(.rule(fact, hint: hint), at: place)
        }
        return nil
    }

    // MARK: Sections in it

    /// What `read` makes of the section `key`, which must be there.
    func required<Value>(_ key: String, _ read: (Section) -> Value?) -> Value? {
        guard let entry = ask(key) else {
            let inside = Section([], at: place(of: key), findings, isSilent: true)
            _ = inside.finish(read)
            let needed = inside.absent.isEmpty ? inside.known : inside.absent.map(\.key)
            absent.append((key, "add the section `\(key):` with \(needed.joined(separator: ", "))"))
            return nil
        }
        return section(entry, read)
    }

    /// As ``required(_:_:)``; where a single word stands there, what that means.
    func required<Value>(_ key: String, _ word: Scalar<Value>, _ read: (Section) -> Value?) -> Value? {
        if let entry = ask(key), case .scalar = entry.value.content { return self.read(entry, word)?.wrappedValue }
        return required(key, read)
    }

    /// What `read` makes of the section `key`; one that is not there is read as an empty one.
    func optional<Value>(_ key: String, _ read: (Section) -> Value?) -> Value? {
        guard let entry = ask(key) else {
            return Section([], at: place(of: key), findings, isSilent: isSilent).finish(read)
        }
        return section(entry, read)
    }

    /// As ``optional(_:_:)``; where a single word stands there, what that means, and `defaultValue` where nothing does.
    func optional<Value>(_ key: String, _ word: Scalar<Value>, default defaultValue: Value, _ read: (Section) -> Value?) -> Value? {
        guard let entry = ask(key) else {
            // For the keys that it would know.
            _ = Section([], at: place(of: key), findings, isSilent: true).finish(read)
            return defaultValue
        }
        if case .scalar = entry.value.content { return self.read(entry, word)?.wrappedValue }
        return section(entry, read)
    }

    /// What `read` makes of each section under `key`, of which there must be one at least; their keys are names.
    func each<Value>(
        _ key: String, _ name: Scalar<String>, example: String, _ read: (Located<String>, Section) -> Value?
    ) -> [Value]? {
        guard let entry = ask(key) else {
            absent.append((key, "add the section `\(key):` with for example `\(example)`"))
            return nil
        }
        let path = path(of: key), keyPlace = findings.place(entry.keyMark, path: path)
        switch entry.value.content {
        case .mapping(let entries) where !entries.isEmpty:
            var values: [Value] = [], complete = true
            for entry in entries {
                let inside = path + "." + entry.key, place = findings.place(entry.keyMark, path: inside)
                switch name.reading(of: entry.key) {
                case .value(let name):
                    if let value = section(entry, at: place, { read(Located(name, at: place), $0) }) {
                        values.append(value)
                    } else {
                        complete = false
                    }
                case .malformed(let hint):
                    report(.unexpected(expected: name.expected, found: Section.quoted(entry.key), hint: hint), at: place)
                    complete = false
                case .refused(let fact, let hint):
                    report(.rule(fact, hint: hint), at: place)
                    complete = false
                }
            }
            return complete ? values : nil
        case .mapping, .null: report(.noValue, at: keyPlace)
        case let other:
            if let found = Section.description(of: other) {
                let expected = PlaybookProblem.unexpected(expected: "names, each with keys below", found: found, hint: "write `\(example)` below it")
                report(expected, at: findings.place(entry.value.mark, path: path))
            }
        }
        return nil
    }

    private func section<Value>(_ entry: YAMLNode.Entry, _ read: (Section) -> Value?) -> Value? {
        section(entry, at: findings.place(entry.keyMark, path: path(of: entry.key)), read)
    }

    private func section<Value>(_ entry: YAMLNode.Entry, at place: Place, _ read: (Section) -> Value?) -> Value? {
        switch entry.value.content {
        case .mapping(let entries): return Section(entries, at: place, findings).finish(read)
        // A section whose lines are all commented out.
        case .null: return Section([], at: place, findings).finish(read)
        case let other:
            let inside = Section([], at: place, findings, isSilent: true)
            _ = inside.finish(read)
            if let found = Section.description(of: other) {
                let expected = "the keys " + inside.known.joined(separator: ", ")
                let valuePlace = findings.place(entry.value.mark, path: place.path)
                report(.unexpected(expected: expected, found: found, hint: "write them below it, indented"), at: valuePlace)
            }
            return nil
        }
    }

    // MARK: Rules

    /// Where `key` stands, if the playbook gives it: for keys that exclude each other.
    func given(_ key: String) -> Place? { ask(key).map { findings.place($0.keyMark, path: path(of: key)) } }

    /// Notes that a rule does not hold.
    func report(_ fact: String, hint: String, at place: Place) { report(.rule(fact, hint: hint), at: place) }

    func ignoreOtherKeys() { ignoresOtherKeys = true }

    // MARK: The end

    private func finish<Value>(_ read: (Section) -> Value?) -> Value? {
        let value = read(self)
        findings.learn(keys: known, of: place.path)
        guard !isSilent else { return nil }
        let unknown = ignoresOtherKeys ? [] : entries.filter { !known.contains($0.key) }
        for entry in unknown {
            findings.reportUnknown(key: entry.key, at: findings.place(entry.keyMark, path: place.path), known: known)
        }
        // A misspelled key is one mistake, not an unknown key and a missing one.
        let meant = Set(unknown.compactMap { Spelling.nearest(to: $0.key, among: known) })
        for (key, hint) in absent where !meant.contains(key) { report(.missing(key, hint: hint), at: place) }
        return value
    }

    private func ask(_ key: String) -> YAMLNode.Entry? {
        if !known.contains(key) { known.append(key) }
        return entries.first { $0.key == key }
    }

    private func report(_ problem: PlaybookProblem, at place: Place) {
        if !isSilent { findings.report(problem, at: place) }
    }

    private func path(of key: String) -> String { place.path.isEmpty ? key : place.path + "." + key }

    private func place(of key: String) -> Place {
        Place(file: place.file, line: place.line, column: place.column, path: path(of: key))
    }

    /// What stands there, as it reads after "found"; `nil` where that has been reported already.
    private static func description(of content: YAMLNode.Content) -> String? {
        switch content {
        case .scalar(let text): quoted(text)
        case .null: "nothing"
        case .mapping: "keys and values"
        case .sequence: "a list"
        case .refused: nil
        }
    }

    private static func quoted(_ text: String) -> String {
        let line = Redaction.redacted(String(text.prefix(60)), byAnyMention: true)
        let printable = line.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : String($0) }
        return "\"\(printable.joined())\(text.count > 60 ? "…" : "")\""
    }
}
