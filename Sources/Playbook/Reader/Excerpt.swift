import Report

extension SourceText {
    /// A line of the file with a caret under a column, as compilers show it, and without what may be a secret.
    func excerpt(line: Int, column: Int) -> String? {
        guard lines.indices.contains(line - 1) else { return nil }
        guard lines[line - 1].contains(where: { $0 != " " }) else { return nil }
        let whole = SourceText.withoutSecret(lines[line - 1])
        let caret = min(max(column - 1, 0), whole.count)
        // A line that is not written for people is cut around the caret.
        let start = caret > 120 ? caret - 60 : 0
        let shown = whole[start..<min(whole.count, start + 160)]
        var text = String.UnicodeScalarView(), indent = String.UnicodeScalarView()
        for (index, scalar) in shown.enumerated() {
            text.append(scalar.properties.generalCategory == .control && scalar != "\t" ? "\u{FFFD}" : scalar)
            if start + index < caret { indent.append(scalar == "\t" ? "\t" : " ") }
        }
        return String(text) + "\n" + String(indent) + "^"
    }

    /// The line up to the first secret in it: what stands behind one has another column than in the file.
    private static func withoutSecret(_ line: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: line)
        let shown = Redaction.redacted(String(text), byAnyMention: true)
        guard let mark = shown.firstRange(of: Redaction.mark) else { return line }
        return Array(shown[..<mark.upperBound].unicodeScalars)
    }
}
