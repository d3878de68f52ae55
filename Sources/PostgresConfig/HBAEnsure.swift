/// By what lines are known as somebody's own: a comment at their end, such as `# pggraft 2026-11-21-a`.
public struct HBAMark: Sendable, Hashable, CustomStringConvertible {
    public let description: String

    /// `nil` for what cannot be the end of a line: nothing, a line end, a backslash.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, !isHBABlank(first), !isHBABlank(last), last != UInt8(ascii: "\\"),
            !bytes.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D })
        else { return nil }
        description = text
    }
}

extension HBAFile {
    /// How a rule came to be in effect.
    public enum Ensured: Sendable, Hashable {
        /// This line does it already.
        case present(line: Int)
        /// It is a new line. Behind `shadow` it would have done nothing for some of its connections.
        case inserted(line: Int, before: Shadow?)

        public var changed: Bool { if case .inserted = self { true } else { false } }
    }

    /// A line that decides over connections before another one can.
    public struct Shadow: Sendable, Hashable, CustomStringConvertible {
        /// Before the new line was there.
        public let line: Int
        public let text: String

        public init(line: Int, text: String) { (self.line, self.text) = (line, text) }

        public var description: String { "line \(line): \(text)" }
    }

    /// Sees to it that `rule` decides over the connections it matches.
    ///
    /// Nothing changes where the first line that touches these connections covers them all with the same method and options.
    /// Otherwise the rule goes before the first line that could match any of them: behind it, it would do nothing. What
    /// cannot be judged from this file (`@file`, `include`, host names, regular expressions) could match.
    /// - Parameter mark: is written behind a new line.
    @discardableResult
    public mutating func ensure(_ rule: HBARule, mark: HBAMark? = nil) -> Ensured {
        let rule = rule.asRead(by: server)
        for index in lines.indices where mayMatchSome(lines[index], of: rule) {
            let number = number(at: index)
            if case .rule(let existing) = lines[index].content, existing.matchesAll(of: rule), existing.method == rule.method,
                existing.options == rule.options
            {
                return .present(line: number)
            }
            let shadow = Shadow(line: number, text: String(decoding: lines[index].bytes.filter { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self))
            insert(rule, mark, at: index)
            return .inserted(line: number, before: shadow)
        }
        insert(rule, mark, at: lines.endIndex)
        return .inserted(line: number(at: lines.endIndex - 1), before: nil)
    }

    private func mayMatchSome(_ line: Line, of rule: HBARule) -> Bool {
        switch line.content {
        case .rule(let existing): existing.mayMatchSome(of: rule)
        case .include: true
        case .invalid(_, let open?): open.type?.mayMatch(rule.type) ?? true
        case .invalid, .nothing: false
        }
    }

    /// Takes out every line that says exactly what `rule` says.
    /// - Returns: whether the file changed.
    @discardableResult
    public mutating func remove(_ rule: HBARule) -> Bool {
        let (count, rule) = (lines.count, rule.asRead(by: server))
        lines.removeAll { $0.content == .rule(rule) }
        return lines.count != count
    }

    /// The rules behind which `mark` stands.
    public func marked(_ mark: HBAMark) -> [Entry] {
        numbered.compactMap { number, line in
            if case .rule(let rule) = line.content, line.comment == mark.description { Entry(line: number, rule: rule) } else { nil }
        }
    }

    /// Takes out the rules behind which `mark` stands, and nothing else.
    /// - Returns: whether the file changed.
    @discardableResult
    public mutating func remove(marked mark: HBAMark) -> Bool {
        let count = lines.count
        lines.removeAll { $0.comment == mark.description }
        return lines.count != count
    }

    private mutating func insert(_ rule: HBARule, _ mark: HBAMark?, at index: Int) {
        let end = lines.first.map { $0.bytes.suffix(2) == [0x0D, 0x0A] } ?? false ? "\r\n" : "\n"
        if index > 0 {
            var last = lines[index - 1].bytes
            let isComplete = last.last == 0x0A
            // A last line that is to be continued would take the new one in.
            let isOpen = server.continuesLines && last.last { $0 != 0x0A && $0 != 0x0D } == UInt8(ascii: "\\")
            last += (isComplete ? "" : end).utf8
            if isOpen { last += end.utf8 }
            lines[index - 1].bytes = last
            if isOpen { lines[index - 1].count = max(lines[index - 1].count, last.count { $0 == 0x0A }) }
        }
        let text = Array("\(rule)\(mark.map { "  # \($0)" } ?? "")".utf8)
        lines.insert(text.withUnsafeBufferPointer { HBAFile.line(text + end.utf8, $0, for: server) }, at: index)
    }
}

extension HBARule {
    /// The rule as `server` reads it back.
    func asRead(by server: HBAServer) -> HBARule {
        var rule = self
        if type == .local, method == "ident" { rule.method = "peer" }
        guard server.knowsRegexAndIncludes else { return rule }
        // A name that begins with a slash cannot be written from 16 on: in quotes, too, it is a regular expression.
        rule.databases = databases.map { if case .named(let name) = $0, let pattern = HBARule.pattern(for: name) { .regex(pattern) } else { $0 } }
        rule.users = users.map { if case .named(let name) = $0, let pattern = HBARule.pattern(for: name) { .regex(pattern) } else { $0 } }
        return rule
    }

    private static func pattern(for name: String) -> String? {
        guard name.utf8.first == UInt8(ascii: "/") else { return nil }
        let escaped = name.utf8.flatMap { "\\.[]{}()*+?|^$".utf8.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
        return "^" + String(decoding: escaped, as: UTF8.self) + "$"
    }
}
