/// A `pg_hba.conf`, or a file that one includes: lines of which the first that matches decides. What is not changed keeps every byte.
///
/// This is one file as it is written, for changing it. What a server makes of it with the files it refers to is ``HBARules``.
///
/// ```swift
/// var file = HBAFile(bytes, for: HBAServer(.postgres(16)))
/// file.ensure(rule)   // before the first line that would decide over the same connections
/// ```
public struct HBAFile: Sendable, Hashable {
    /// A rule and where it stands, counted from 1 as the server counts (a continued line counts as its first).
    public struct Entry: Sendable, Hashable {
        public let line: Int
        public let rule: HBARule

        public init(line: Int, rule: HBARule) { (self.line, self.rule) = (line, rule) }
    }

    enum Content: Sendable, Hashable {
        case nothing
        case rule(HBARule)
        /// `include file`, `include_if_exists file`, `include_dir directory` (from 16).
        case include(String)
        /// - Parameter type: what the line begins with, when it takes words from a file (`@file`) and may be a rule with them.
        case invalid(String?, open: OpenType?)
    }

    /// The connection type of a line that cannot be judged without another file.
    struct OpenType: Sendable, Hashable {
        /// `nil` when it comes from the file, too.
        var type: HBARule.ConnectionType?
    }

    struct Line: Sendable, Hashable {
        /// With the line end, and with the lines that continue it.
        var bytes: [UInt8]
        var content: Content
        /// Behind the sign, without the blanks around it; of a rule only.
        var comment: String?
        /// How many lines the server takes it for.
        var count = 1
    }

    /// Whoever reads the file.
    public let server: HBAServer
    var lines: [Line] = []

    public init(_ bytes: some Sequence<UInt8>, for server: HBAServer) {
        self.server = server
        Array(bytes).withUnsafeBufferPointer { bytes in
            HBAScanner.forEachLine(of: bytes, continued: server.continuesLines) { line, text in
                lines.append(HBAFile.line(Array(bytes[line.range]), text, count: line.count, for: server))
            }
        }
    }

    public init(_ text: String = "", for server: HBAServer) { self.init(text.utf8, for: server) }

    /// A file of these rules and no other: every connection they do not match is refused.
    public init(only rules: [HBARule], comment: String, for server: HBAServer) {
        self.init("# \(comment)\n" + rules.map { "\($0)\n" }.joined(), for: server)
    }

    /// The file's content; what was not changed is byte for byte what was read.
    public func render() -> [UInt8] { lines.flatMap(\.bytes) }

    public var text: String { String(decoding: render(), as: UTF8.self) }

    // MARK: Reading

    /// The rules that stand in this file itself. Their `@file` words are left as they are.
    public var entries: [Entry] {
        numbered.compactMap { number, line in
            if case .rule(let rule) = line.content { Entry(line: number, rule: rule) } else { nil }
        }
    }

    public var rules: [HBARule] { entries.map(\.rule) }

    /// Lines that are no rule, and what is wrong with them. The server refuses the whole file for one of them.
    public var invalidLines: [(line: Int, problem: String?)] {
        numbered.compactMap { number, line in
            if case .invalid(let problem, _) = line.content { (number, problem) } else { nil }
        }
    }

    /// Files that the rules refer to (`@file`, `include`): a copy of this file alone does not work without them.
    public var referencedFiles: [String] {
        lines.flatMap { line -> [String] in
            switch line.content {
            case .include(let path): return [path]
            case .rule(let rule):
                return rule.databases.compactMap { if case .file(let path) = $0 { path } else { nil } }
                    + rule.users.compactMap { if case .file(let path) = $0 { path } else { nil } }
            case .nothing, .invalid: return []
            }
        }
    }

    var numbered: [(Int, Line)] {
        var number = 1
        return lines.map { line in
            defer { number += line.count }
            return (number, line)
        }
    }

    /// The number of the line at `index`.
    func number(at index: Int) -> Int { lines[..<index].reduce(1) { $0 + $1.count } }

    // MARK: Parsing

    static func line(_ bytes: [UInt8], _ text: UnsafeBufferPointer<UInt8>, count: Int = 1, for server: HBAServer) -> Line {
        let scanned = HBAScanner.fields(of: text, limit: server.tokenLimit)
        var line = Line(bytes: bytes, content: content(of: scanned, for: server), count: count)
        if case .rule = line.content, let comment = scanned.comment {
            line.comment = trimmed(text[(comment + 1)...])
        }
        return line
    }

    private static func trimmed(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        var bytes = bytes.drop(while: isHBABlank)
        while let last = bytes.last, isHBABlank(last) { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func content(of scanned: HBAScanner.Fields, for server: HBAServer) -> Content {
        if let problem = scanned.problem { return .invalid(problem, open: nil) }
        let fields = scanned.fields
        guard let first = fields.first else { return .nothing }
        if server.knowsRegexAndIncludes, fields.count == 2, HBADirective(rawValue: first[0].text) != nil {
            return .include(fields[1][0].text)
        }
        switch HBALineParser.reading(of: fields, for: server) {
        case .rule(let rule, _): return .rule(rule)
        case .refused(let problem):
            let isOpen = fields.contains { $0.contains { $0.referencedFile != nil } }
            return .invalid(problem, open: isOpen ? OpenType(type: HBARule.ConnectionType(rawValue: first[0].text)) : nil)
        }
    }
}

/// What takes other files in as lines (from 16).
enum HBADirective: String {
    case include
    case includeIfExists = "include_if_exists"
    case includeDirectory = "include_dir"
}
