internal import Yams

extension Findings {
    /// The text's YAML as a tree; `nil` when there is none, which has been reported then.
    func compose() -> YAMLNode? {
        guard source.text.utf8.count <= SourceText.limit.bytes else {
            report(.tooLarge(limit: SourceText.limit), at: TextMark(line: 1, column: 1))
            return nil
        }
        guard reportControlCharacters() == 0 else { return nil }

        var lines = source.lines
        var repeats: [TextMark: String] = [:]
        while true {
            let text = SourceText.text(of: lines)
            do {
                // The parser owns the anchors; without it they would be gone from the nodes.
                let parser = try Parser(yaml: text, encoding: .utf8)
                return try withExtendedLifetime(parser) {
                    guard let root = try parser.singleRoot() else {
                        report(.empty, at: TextMark(line: 1, column: 1))
                        return nil
                    }
                    return node(root, repeats)
                }
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                // Yams stops at the first mapping with a repeated key. To see the rest of the file too, the first of
                // the two is renamed in place, which leaves all marks where they are.
                let mark = TextMark(line: context.mark.line, column: context.mark.column)
                guard let key = keys.first, repeats.count < 1000,
                    let renamed = rename(key, at: mark, to: repeats.count, in: &lines)
                else {
                    report(.repeatedKey(keys.first ?? "", line: nil), at: mark)
                    return nil
                }
                repeats[renamed] = key
            } catch {
                reportSyntax(error)
                return nil
            }
        }
    }

    private func reportControlCharacters() -> Int {
        var count = 0
        for (index, line) in source.lines.enumerated() {
            guard let column = line.firstIndex(where: { $0.properties.generalCategory == .control && $0 != "\t" || $0.value & 0xFFFE == 0xFFFE })
            else { continue }
            report(.controlCharacter(line[column]), at: TextMark(line: index + 1, column: column + 1))
            count += 1
        }
        return count
    }

    /// Puts a private character in place of the key's first. `nil` where the key does not stand there as it reads.
    private func rename(_ key: String, at mark: TextMark, to number: Int, in lines: inout [[Unicode.Scalar]]) -> TextMark? {
        guard lines.indices.contains(mark.line - 1), let substitute = Unicode.Scalar(UInt32(0xE000 + number)) else { return nil }
        let line = lines[mark.line - 1]
        var start = mark.column - 1
        if line.indices.contains(start), line[start] == "\"" || line[start] == "'" { start += 1 }
        guard !key.isEmpty, start <= line.count, line[start...].starts(with: key.unicodeScalars) else { return nil }
        lines[mark.line - 1][start] = substitute
        return mark
    }

    // MARK: Yams' nodes to ours

    private func node(_ node: Node, _ repeats: [TextMark: String]) -> YAMLNode {
        let mark = node.mark.map { TextMark(line: $0.line, column: $0.column) } ?? TextMark(line: 1, column: 1)
        guard node.anchor == nil else {
            report(.anchor, at: mark)
            return YAMLNode(mark: mark, content: .refused)
        }
        switch node {
        case .scalar(let scalar):
            return YAMLNode(mark: mark, content: content(of: scalar, at: mark))
        case .mapping(let mapping):
            guard accepts(mapping.tag, at: mark) else { return YAMLNode(mark: mark, content: .refused) }
            return YAMLNode(mark: mark, content: .mapping(entries(of: mapping, repeats)))
        case .sequence, .alias:
            return YAMLNode(mark: mark, content: .sequence)
        }
    }

    private func content(of scalar: Node.Scalar, at mark: TextMark) -> YAMLNode.Content {
        let plain = scalar.style == .plain
        if plain, !accepts(scalar.tag, at: mark) { return .refused }
        if plain, ["", "~", "null", "Null", "NULL"].contains(scalar.string) { return .null }
        return .scalar(scalar.string)
    }

    /// Yams gives quoted scalars the tag `str`, and what has no tag an empty one.
    private func accepts(_ tag: Tag, at mark: TextMark) -> Bool {
        guard !["", "!", Tag.Name.str.rawValue].contains(tag.rawValue) else { return true }
        report(.tag(tag.rawValue), at: mark)
        return false
    }

    private func entries(of mapping: Node.Mapping, _ repeats: [TextMark: String]) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = [], lines: [String: Int] = [:]
        for (keyNode, valueNode) in mapping {
            let mark = keyNode.mark.map { TextMark(line: $0.line, column: $0.column) } ?? TextMark(line: 1, column: 1)
            let value = node(valueNode, repeats)
            guard keyNode.anchor == nil else {
                report(.anchor, at: mark)
                continue
            }
            guard let text = keyNode.scalar?.string else {
                report(.keyIsNoText, at: mark)
                continue
            }
            let key = repeats[mark] ?? text
            guard key != "<<" else {
                report(.merge, at: mark)
                continue
            }
            if let line = lines[key] {
                report(.repeatedKey(key, line: line), at: mark)
                continue
            }
            lines[key] = mark.line
            entries.append(YAMLNode.Entry(key: key, keyMark: mark, value: value))
        }
        return entries
    }

    // MARK: What is not YAML

    private func reportSyntax(_ error: any Error) {
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _), YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let mark = TextMark(line: mark.line, column: mark.column)
            if problem == "but found another document" {
                report(.severalDocuments, at: mark)
                return
            }
            let since = context.map { $0.mark.line == mark.line ? $0.text : "\($0.text) that begins in line \($0.mark.line)" }
            report(.syntax(problem, context: since, hint: syntaxHint(problem, at: mark)), at: mark)
        default:
            report(.syntax("\(error)", context: nil, hint: nil), at: TextMark(line: 1, column: 1))
        }
    }

    private func syntaxHint(_ problem: String, at mark: TextMark) -> String? {
        let line = source.lines.indices.contains(mark.line - 1) ? source.lines[mark.line - 1] : []
        if line.prefix(while: { $0 == " " || $0 == "\t" }).contains("\t") {
            return "YAML indents with spaces; this line begins with a tab"
        }
        return switch problem {
        case "mapping values are not allowed in this context":
            "check the indentation; a value that holds \": \" must be in quotes"
        case "could not find expected ':'": "write `key: value`, with a space after the colon"
        case "did not find expected key": "check the indentation: keys of one section begin in the same column"
        case "found character that cannot start any token": "put the value in quotes"
        case "found undefined alias": "a value that begins with * must be in quotes"
        case let problem where problem.contains("end of stream"): "a quote or a bracket is not closed"
        default: nil
        }
    }
}
