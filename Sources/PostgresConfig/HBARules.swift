/// The rules of a server, in the order in which it tries them: a `pg_hba.conf` with everything it refers to.
///
/// Files come from a ``FileSnapshot``; while ``missing`` names some, what is here is not all. The same as `pg_hba_file_rules`,
/// but for what the files do not tell: whether the server can compile a regular expression, and whether the names of RADIUS
/// servers and of network interfaces (`fe80::1%eth0`) are known to its host. They are taken to be right.
///
/// ```swift
/// var rules = HBARules(file: path, in: snapshot, for: server)
/// while !rules.missing.isEmpty { /* read them into the snapshot, parse again */ }
/// rules.explain(HBAConnection(user: "app", database: "app", from: .address(client)))
/// ```
public struct HBARules: Sendable, Hashable {
    public struct Entry: Sendable, Hashable, CustomStringConvertible {
        /// As the server names it.
        public let file: String
        /// Counted from 1; a continued line counts as its first.
        public let line: Int
        /// Continuations joined.
        public let text: String
        public let reading: HBAReading

        /// `/etc/postgresql/16/main/pg_hba.conf:12`, as in the server's log.
        public var location: String { "\(file):\(line)" }
        public var description: String { "\(location): \(text)" }
    }

    public let entries: [Entry]
    /// What could not be followed, because nobody read it yet.
    public let missing: Set<FileSnapshot.Request>
    public let server: HBAServer
    /// Whether the server would take these rules over. A file without any is refused, too.
    public let areAccepted: Bool

    /// - Parameter path: of the `pg_hba.conf`, absolute, as the setting `hba_file` says it.
    public init(file path: String, in snapshot: FileSnapshot, for server: HBAServer) {
        var expansion = HBAExpansion(snapshot: snapshot, server: server)
        let lines = expansion.topLevel(path)
        self.server = server
        missing = expansion.missing
        entries = lines.map { line in
            let reading = line.problem.map(HBAReading.refused) ?? HBALineParser.reading(of: line.fields, for: server)
            return Entry(file: line.file, line: line.number, text: line.text, reading: reading)
        }
        areAccepted = !entries.isEmpty && !entries.contains { $0.reading.isRefused }
    }

    /// The lines for which the server refuses all of them and keeps the rules it has.
    public var refusals: [Entry] { entries.filter { $0.reading.isRefused } }
}

/// Follows `@file` words and include directives.
struct HBAExpansion {
    struct Line {
        var file: String
        var number: Int
        var text: String
        var fields: [[HBAToken]]
        var problem: String?
    }

    private struct Place: Hashable {
        /// As it is written: errors name it.
        let name: String
        let path: String
        let depth: Int
    }

    private struct Words {
        var tokens: [HBAToken] = []
        var problem: String?
    }

    let snapshot: FileSnapshot
    let server: HBAServer
    private(set) var missing: Set<FileSnapshot.Request> = []
    /// Many lines name the same file.
    private var words: [Place: Words] = [:]

    init(snapshot: FileSnapshot, server: HBAServer) { (self.snapshot, self.server) = (snapshot, server) }

    mutating func topLevel(_ path: String) -> [Line] {
        switch open(path) {
        case .bytes(let bytes): return lines(of: bytes, path, depth: 0)
        case .failed(let why):
            return [Line(file: path, number: 0, text: "", fields: [], problem: "could not open file \"\(path)\": \(why)")]
        }
    }

    private mutating func lines(of bytes: [UInt8], _ path: String, depth: Int) -> [Line] {
        var lines: [Line] = []
        let limit = server.tokenLimit
        bytes.withUnsafeBufferPointer { bytes in
            HBAScanner.forEachLine(of: bytes, continued: server.continuesLines) { line, text in
                let scanned = HBAScanner.fields(of: text, limit: limit) { file, tokens in
                    expand(file, from: path, depth: depth + 1, into: &tokens)
                }
                guard !scanned.fields.isEmpty || scanned.problem != nil else { return }
                var problem = scanned.problem
                if problem == nil, server.knowsRegexAndIncludes, scanned.fields.count == 2,
                    let directive = HBADirective(rawValue: scanned.fields[0][0].text)
                {
                    problem = include(directive, scanned.fields[1][0].text, from: path, depth: depth + 1, into: &lines)
                    guard problem != nil else { return }
                }
                lines.append(Line(file: path, number: line.number, text: String(decoding: text, as: UTF8.self), fields: scanned.fields, problem: problem))
            }
        }
        return lines
    }

    // MARK: @file

    private mutating func expand(_ name: String, from outer: String, depth: Int, into tokens: inout [HBAToken]) -> String? {
        let place = Place(name: name, path: HBAExpansion.path(name, from: outer), depth: depth)
        if let known = words[place] {
            tokens += known.tokens
            return known.problem
        }
        let found = self.words(in: place)
        words[place] = found
        tokens += found.tokens
        return found.problem
    }

    private mutating func words(in place: Place) -> Words {
        guard place.depth <= server.nestingLimit else { return Words(problem: tooDeep(place.path)) }
        switch open(place.path) {
        case .failed(let why):
            return Words(
                problem: server.knowsRegexAndIncludes
                    ? "could not open file \"\(place.path)\": \(why)"
                    : "could not open secondary authentication file \"@\(place.name)\" as \"\(place.path)\": \(why)")
        case .bytes(let bytes):
            var words = Words()
            for line in lines(of: bytes, place.path, depth: place.depth) {
                if let problem = line.problem {
                    words.problem = problem
                    break
                }
                words.tokens += line.fields.joined()
            }
            return words
        }
    }

    // MARK: include

    private mutating func include(
        _ directive: HBADirective, _ name: String, from outer: String, depth: Int, into lines: inout [Line]
    ) -> String? {
        guard directive == .includeDirectory else {
            return include(HBAExpansion.path(name, from: outer), mayBeAbsent: directive == .includeIfExists, depth: depth, into: &lines)
        }
        guard name.utf8.contains(where: { !isHBABlank($0) && $0 != 0x0A }) else { return "empty configuration directory name" }
        let directory = HBAExpansion.path(name, from: outer)
        guard let content = snapshot[.directory(directory)] else {
            missing.insert(.directory(directory))
            return nil
        }
        guard case .directory(let names) = content else { return "could not open directory \"\(directory)\"" }
        let files = names.filter { $0.key.utf8.count >= 6 && !$0.key.hasPrefix(".") && $0.key.hasSuffix(".conf") }
            .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        if let broken = files.first(where: { $0.value == .broken }) {
            return "could not stat file \"\(resolvedPath(broken.key, in: directory))\""
        }
        var problem: String?, problems: [String] = []
        for (file, kind) in files where kind != .directory {
            if let found = include(resolvedPath(file, in: directory), mayBeAbsent: false, depth: depth, into: &lines) { problem = found }
            // Once there was a problem, the server says it again for every file that follows.
            if let problem { problems.append(problem) }
        }
        return problems.isEmpty ? nil : problems.joined(separator: "\n")
    }

    private mutating func include(_ path: String, mayBeAbsent: Bool, depth: Int, into lines: inout [Line]) -> String? {
        guard depth <= server.nestingLimit else { return tooDeep(path) }
        switch open(path) {
        case .bytes(let bytes): lines += self.lines(of: bytes, path, depth: depth)
        case .failed(let why):
            return mayBeAbsent && FileSnapshot.absent == .unreadable(why) ? nil : "could not open file \"\(path)\": \(why)"
        }
        return nil
    }

    // MARK: Files

    private enum Opened {
        case bytes([UInt8])
        case failed(String)
    }

    private mutating func open(_ path: String) -> Opened {
        switch snapshot[.file(path)] {
        case .file(let bytes)?: return .bytes(bytes)
        // The server opens a directory like a file and finds nothing to read in it.
        case .directory?, .unreadable("Is a directory")?: return .bytes([])
        case .unreadable(let why)?: return .failed(why)
        case nil:
            missing.insert(.file(path))
            return .bytes([])
        }
    }

    private func tooDeep(_ path: String) -> String { "could not open file \"\(path)\": maximum nesting depth exceeded" }

    /// An absolute path is taken as it is written.
    private static func path(_ name: String, from outer: String) -> String {
        name.hasPrefix("/") ? name : resolvedPath(name, in: String(outer[..<(outer.lastIndex(of: "/") ?? outer.startIndex)]))
    }
}
