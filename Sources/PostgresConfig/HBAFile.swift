/// `pg_hba.conf`: rules of which the first that matches decides. What is not changed keeps every byte.
///
/// ```swift
/// var file = HBAFile(bytes)
/// file.ensure(rule)   // before the first line that would decide over the same connections
/// ```
public struct HBAFile: Sendable, Hashable {
    /// A rule and where it stands, counted from 1 as the server counts (a continued line counts as its first).
    public struct Entry: Sendable, Hashable {
        public let line: Int
        public let rule: HBARule
    }

    private enum Content: Sendable, Hashable {
        case nothing
        case rule(HBARule)
        /// `include file`, `include_if_exists file`, `include_dir directory` (from 16).
        case include(String)
        case invalid(String)
    }

    private struct Line: Sendable, Hashable {
        /// With the line end, and with the lines that continue it.
        var bytes: [UInt8]
        var content: Content
    }

    private var lines: [Line] = []

    public init(_ bytes: some Sequence<UInt8>) {
        var logical: [UInt8] = [], raw: [UInt8] = []
        for physical in splitLines(Array(bytes)) {
            raw += physical
            var end = physical.endIndex
            while end > 0, physical[end - 1] == 0x0A || physical[end - 1] == 0x0D { end -= 1 }
            // From 14 a backslash at the end continues the line; before, no line that works ends in one.
            let continues = end > 0 && physical[end - 1] == UInt8(ascii: "\\")
            logical += physical[..<(continues ? end - 1 : end)]
            if !continues {
                lines.append(Line(bytes: raw, content: HBAFile.content(of: logical)))
                (logical, raw) = ([], [])
            }
        }
        if !raw.isEmpty { lines.append(Line(bytes: raw, content: HBAFile.content(of: logical))) }
    }

    public init(_ text: String = "") { self.init(text.utf8) }

    /// A file of these rules and no other: every connection they do not match is refused.
    public init(only rules: [HBARule], comment: String) {
        self.init("# \(comment)\n" + rules.map { "\($0)\n" }.joined())
    }

    /// The file's content; what was not changed is byte for byte what was read.
    public func render() -> [UInt8] { lines.flatMap(\.bytes) }

    public var text: String { String(decoding: render(), as: UTF8.self) }

    // MARK: Reading

    public var entries: [Entry] {
        numbered.compactMap { number, line in
            if case .rule(let rule) = line.content { Entry(line: number, rule: rule) } else { nil }
        }
    }

    public var rules: [HBARule] { entries.map(\.rule) }

    /// Lines that are no rule, and what is wrong with them. The server refuses the whole file for one of them.
    public var invalidLines: [(line: Int, problem: String)] {
        numbered.compactMap { number, line in
            if case .invalid(let problem) = line.content { (number, problem) } else { nil }
        }
    }

    /// Files that the rules refer to (`@file`, `include`): a copy of this file alone does not work without them.
    public var referencedFiles: [String] {
        lines.flatMap { line -> [String] in
            switch line.content {
            case .include(let path): return [path]
            case .rule(let rule):
                let words = rule.databases.map { if case .indirect(let text) = $0 { text } else { "" } }
                    + rule.users.map { if case .indirect(let text) = $0 { text } else { "" } }
                return words.filter { $0.hasPrefix("@") }.map { String($0.dropFirst()) }
            case .nothing, .invalid: return []
            }
        }
    }

    private var numbered: [(Int, Line)] {
        var number = 1
        return lines.map { line in
            defer { number += max(1, line.bytes.count { $0 == 0x0A }) }
            return (number, line)
        }
    }

    // MARK: Changing

    /// Sees to it that `rule` decides over the connections it matches.
    ///
    /// Nothing changes where the first line that touches these connections covers them all with the same method.
    /// Otherwise the rule goes before the first line that could match any of them: behind it, it would do nothing.
    /// - Returns: whether the file changed.
    @discardableResult
    public mutating func ensure(_ rule: HBARule) -> Bool {
        for index in lines.indices {
            switch lines[index].content {
            case .rule(let existing) where existing.mayMatchSome(of: rule):
                if existing.matchesAll(of: rule), existing.method == rule.method, existing.options == rule.options { return false }
                insert(rule, at: index)
                return true
            case .include:
                insert(rule, at: index)
                return true
            case .rule, .nothing, .invalid: continue
            }
        }
        insert(rule, at: lines.endIndex)
        return true
    }

    /// Takes out every line that says exactly what `rule` says.
    /// - Returns: whether the file changed.
    @discardableResult
    public mutating func remove(_ rule: HBARule) -> Bool {
        let count = lines.count
        lines.removeAll { $0.content == .rule(rule) }
        return lines.count != count
    }

    private mutating func insert(_ rule: HBARule, at index: Int) {
        if index > 0, lines[index - 1].bytes.last != 0x0A { lines[index - 1].bytes.append(0x0A) }
        let bytes = Array("\(rule)\n".utf8)
        lines.insert(Line(bytes: bytes, content: HBAFile.content(of: bytes.dropLast())), at: index)
    }

    // MARK: Parsing

    private static func content(of line: some Sequence<UInt8>) -> Content {
        var fields = HBAToken.fields(of: Array(line))[...]
        guard let first = fields.popFirst() else { return .nothing }
        guard first.count == 1 else { return .invalid("multiple values specified for connection type") }
        if ["include", "include_if_exists", "include_dir"].contains(first[0].text), let path = fields.first?.first {
            return .include(path.text)
        }
        guard let type = HBARule.ConnectionType(rawValue: first[0].text) else {
            return .invalid("invalid connection type \"\(first[0].text)\"")
        }
        guard let databases = fields.popFirst() else { return .invalid("end-of-line before database specification") }
        guard let users = fields.popFirst() else { return .invalid("end-of-line before role specification") }
        var address: HBARule.Address = .all
        if type != .local {
            guard let field = fields.popFirst() else { return .invalid("end-of-line before IP address specification") }
            guard field.count == 1 else { return .invalid("multiple values specified for host address") }
            switch (field[0].isQuoted, field[0].text) {
            case (false, "all"): address = .all
            case (false, "samehost"): address = .sameHost
            case (false, "samenet"): address = .sameNet
            case (_, let text):
                if let network = IPNetwork(text), text.contains("/") {
                    address = .network(network)
                } else if IPNetwork(text) != nil {
                    guard let mask = fields.popFirst() else { return .invalid("end-of-line before netmask specification") }
                    guard mask.count == 1 else { return .invalid("multiple values specified for netmask") }
                    guard let network = IPNetwork(address: text, mask: mask[0].text) else {
                        return .invalid("invalid IP mask \"\(mask[0].text)\"")
                    }
                    address = .network(network)
                } else if text.contains("/") {
                    return .invalid("invalid CIDR mask in address \"\(text)\"")
                } else {
                    address = .hostName(text)
                }
            }
        }
        guard let method = fields.popFirst() else { return .invalid("end-of-line before authentication method") }
        guard method.count == 1 else { return .invalid("multiple values specified for authentication type") }
        var options: [HBARule.Option] = []
        for token in fields.joined() {
            let parts = token.text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return .invalid("authentication option not in name=value format: \(token.text)") }
            options.append(HBARule.Option(String(parts[0]), String(parts[1])))
        }
        return .rule(HBARule(type, databases: databases.map(HBARule.Database.init), users: users.map(HBARule.User.init),
                             from: address, method: method[0].text, options: options))
    }
}

extension HBAFile {
    /// The rules by which `users` are admitted here, for them alone: everybody else is refused.
    ///
    /// Where they come from and how they prove who they are stays as it is. Rules for physical replication are left out.
    public func admittingOnly(_ users: [String], comment: String) -> HBAFile {
        let admitted = rules.compactMap { rule -> HBARule? in
            var rule = rule
            rule.databases.removeAll { $0 == .replication }
            rule.users = users.filter { user in
                rule.users.contains { listed in
                    switch listed {
                    case .all, .memberOf, .indirect: true
                    case .named(let name): name == user
                    }
                }
            }.map(HBARule.User.named)
            return rule.databases.isEmpty || rule.users.isEmpty ? nil : rule
        }
        return HBAFile(only: admitted, comment: comment)
    }
}
