internal import Yams

extension Findings {
    /// The text's YAML as a tree; `nil` when there is none, which has been reported then.
    func compose() -> YAMLNode? {
        guard source.text.utf8.count <= SourceText.limit.bytes else {
            report(.tooLarge(limit: SourceText.limit))
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
                        report(.empty)
                        return nil
                    }
                    return node(root, at: "", repeats)
                }
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                // Yams stops at the first mapping with a repeated key. To see the rest of the file too, the first of
                // the two is renamed in place, which leaves all marks where they are.
                let mark = TextMark(line: context.mark.line, column: context.mark.column)
                guard let key = keys.first else {
                    report(.keyIsNoText, at: mark)
                    return nil
                }
                let renamed = repeats.count < 20 && rename(key, at: mark, to: repeats.count, in: &lines)
                repeats[mark] = key
                guard renamed else {
                    for (mark, key) in repeats { report(.repeatedKey(key, line: nil), at: mark) }
                    return nil
                }
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

    /// Puts a private character in place of the key's first; not where the key does not stand there as it reads.
    private func rename(_ key: String, at mark: TextMark, to number: Int, in lines: inout [[Unicode.Scalar]]) -> Bool {
        guard lines.indices.contains(mark.line - 1), let substitute = Unicode.Scalar(UInt32(0xE000 + number)) else { return false }
        let line = lines[mark.line - 1]
        var start = mark.column - 1
        if line.indices.contains(start), line[start] == "\"" || line[start] == "'" { start += 1 }
        guard !key.isEmpty, start <= line.count, line[start...].starts(with: key.unicodeScalars) else { return false }
        lines[mark.line - 1][start] = substitute
        return true
    }

    // MARK: Yams' nodes to ours

    private func node(_ node: Node, at path: String, _ repeats: [TextMark: String]) -> YAMLNode {
        let place = place(mark(of: node), path: path)
        return YAMLNode(mark: mark(of: node), content: content(of: node, at: place, repeats))
    }

    private func mark(of node: Node) -> TextMark {
        node.mark.map { TextMark(line: $0.line, column: $0.column) } ?? TextMark(line: 1, column: 1)
    }

    private func content(of node: Node, at place: Place, _ repeats: [TextMark: String]) -> YAMLNode.Content {
        guard node.anchor == nil else {
            // An alias is the anchored node once more, with the same mark: one place, reported once.
            report(.anchor, at: mark(of: node))
            return .refused
        }
        switch node {
        case .scalar(let scalar): return content(of: scalar, at: place)
        case .mapping(let mapping): return accepts(mapping.tag, at: place) ? content(of: mapping, at: place.path, repeats) : .refused
        case .sequence, .alias: return .sequence
        }
    }

    private func content(of scalar: Node.Scalar, at place: Place) -> YAMLNode.Content {
        guard scalar.style == .plain else { return .scalar(scalar.string) }
        guard accepts(scalar.tag, at: place) else { return .refused }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string) ? .null : .scalar(scalar.string)
    }

    /// Yams gives quoted scalars the tag `str`, and what has no tag an empty one.
    private func accepts(_ tag: Tag, at place: Place) -> Bool {
        guard !["", "!", Tag.Name.str.rawValue].contains(tag.rawValue) else { return true }
        report(.tag(tag.rawValue.replacing("tag:yaml.org,2002:", with: "!!")), at: place)
        return false
    }

    private func content(of mapping: Node.Mapping, at path: String, _ repeats: [TextMark: String]) -> YAMLNode.Content {
        var entries: [YAMLNode.Entry] = [], indices: [String: Int] = [:], merges = false
        for (keyNode, valueNode) in mapping {
            let mark = mark(of: keyNode), place = place(mark, path: path)
            guard keyNode.anchor == nil else {
                report(.anchor, at: mark)
                continue
            }
            guard let text = keyNode.scalar?.string else {
                report(.keyIsNoText, at: place)
                continue
            }
            let key = repeats[mark] ?? text
            let value = node(valueNode, at: path.isEmpty ? key : path + "." + key, repeats)
            if key == "<<" {
                report(.merge, at: place)
                merges = true
            } else if let first = indices[key] {
                report(.repeatedKey(key, line: entries[first].keyMark.line), at: place)
                // Which of the two values is meant is not known.
                if case .scalar = entries[first].value.content { entries[first].value.content = .refused }
            } else {
                indices[key] = entries.count
                entries.append(YAMLNode.Entry(key: key, keyMark: mark, value: value))
            }
        }
        // What the merge would have brought is not known either.
        return merges ? .refused : .mapping(entries)
    }

    // MARK: What is not YAML

    private func reportSyntax(_ error: any Error) {
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _), YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let mark = TextMark(line: mark.line, column: mark.column)
            if problem == "but found another document" {
                report(.severalDocuments, at: mark)
            } else if problem.hasPrefix("Maximum nesting level") {
                report(.syntax("nested too deeply", context: nil, hint: nil), at: mark)
            } else if problem.hasSuffix("end of stream"), let start = context?.mark {
                // Where the quote was opened says more than where the file ends.
                report(.syntax("a quote is not closed", context: nil, hint: nil), at: TextMark(line: start.line, column: start.column))
            } else {
                let since = context.map { $0.mark.line == mark.line ? $0.text : "\($0.text) that begins in line \($0.mark.line)" }
                report(.syntax(problem, context: since, hint: syntaxHint(problem, at: mark)), at: mark)
            }
        default:
            report(.syntax("\(error)", context: nil, hint: nil))
        }
    }

    private func syntaxHint(_ problem: String, at mark: TextMark) -> String? {
        let line = source.lines.indices.contains(mark.line - 1) ? source.lines[mark.line - 1] : []
        if line.prefix(while: { $0 == " " || $0 == "\t" }).contains("\t") {
            return "YAML indents with spaces; this line begins with a tab"
        }
        if problem == "did not find expected key", line.split(separator: ":", maxSplits: 1).last?.first(where: { $0 != " " }) == "{" {
            return "a value that begins with { must be in quotes"
        }
        return switch problem {
        case "mapping values are not allowed in this context":
            "check the indentation; a value that holds \": \" must be in quotes"
        case "could not find expected ':'": "write `key: value`, with a space after the colon"
        case "did not find expected key": "check the indentation: keys of one section begin in the same column"
        case "found character that cannot start any token": "put the value in quotes"
        case "found undefined alias": "a value that begins with * must be in quotes"
        default: mark.line >= source.lines.count ? "a bracket is not closed" : nil
        }
    }
}
