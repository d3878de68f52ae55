/// What changes between two versions of a file, as `diff -u` shows it.
///
/// ```swift
/// print(UnifiedDiff(old: before, new: after, path: "/etc/postgresql/15/main/pg_hba.conf"))
/// ```
public struct UnifiedDiff: Sendable, Hashable, CustomStringConvertible {
    public enum Line: Sendable, Hashable {
        case same(String), removed(String), added(String)
    }

    /// Changed lines that stand close together, with up to three unchanged ones around them.
    public struct Hunk: Sendable, Hashable {
        /// Counted from 1, in the old and the new file.
        public var oldStart: Int, newStart: Int
        public var lines: [Line]

        var oldCount: Int { lines.count { if case .added = $0 { false } else { true } } }
        var newCount: Int { lines.count { if case .removed = $0 { false } else { true } } }
    }

    public let oldPath: String
    public let newPath: String
    public let hunks: [Hunk]

    /// - Parameters:
    ///   - old: `nil` for a file that is not there.
    ///   - new: `nil` for a file that goes.
    public init(old: [UInt8]?, new: [UInt8]?, path: String) {
        oldPath = old == nil ? "/dev/null" : path
        newPath = new == nil ? "/dev/null" : path
        hunks = UnifiedDiff.hunks(of: UnifiedDiff.script(from: splitLines(old ?? []), to: splitLines(new ?? [])))
    }

    public init(old: String?, new: String?, path: String) {
        self.init(old: old.map { Array($0.utf8) }, new: new.map { Array($0.utf8) }, path: path)
    }

    public var isEmpty: Bool { hunks.isEmpty && oldPath == newPath }

    public var description: String {
        guard !isEmpty else { return "" }
        var text = "--- \(oldPath)\n+++ \(newPath)\n"
        for hunk in hunks {
            text += "@@ -\(range(hunk.oldStart, hunk.oldCount)) +\(range(hunk.newStart, hunk.newCount)) @@\n"
            for line in hunk.lines {
                switch line {
                case .same(let content): text += written(" ", content)
                case .removed(let content): text += written("-", content)
                case .added(let content): text += written("+", content)
                }
            }
        }
        return text
    }

    private func range(_ start: Int, _ count: Int) -> String {
        switch count {
        case 0: "\(start - 1),0"
        case 1: "\(start)"
        default: "\(start),\(count)"
        }
    }

    private func written(_ mark: String, _ content: String) -> String {
        content.utf8.last == 0x0A ? mark + content : mark + content + "\n\\ No newline at end of file\n"
    }

    // MARK: Finding what changed

    /// All lines of both files in order, removed before added.
    private static func script(from old: [[UInt8]], to new: [[UInt8]]) -> [Line] {
        var removed = [Bool](repeating: false, count: old.count), added = [Bool](repeating: false, count: new.count)
        for change in new.difference(from: old) {
            switch change {
            case .remove(let offset, _, _): removed[offset] = true
            case .insert(let offset, _, _): added[offset] = true
            }
        }
        slideDown(&removed, over: old, unless: added)
        slideDown(&added, over: new, unless: removed)

        func text(_ line: [UInt8]) -> String { String(decoding: line, as: UTF8.self) }
        var script: [Line] = [], oldIndex = 0, newIndex = 0
        while oldIndex < old.count || newIndex < new.count {
            if oldIndex < old.count, removed[oldIndex] {
                script.append(.removed(text(old[oldIndex])))
                oldIndex += 1
            } else if newIndex < new.count, added[newIndex] {
                script.append(.added(text(new[newIndex])))
                newIndex += 1
            } else {
                script.append(.same(text(old[oldIndex])))
                oldIndex += 1
                newIndex += 1
            }
        }
        return script
    }

    /// Where the same change can be shown in several places, shows it in the last one, as `diff` does.
    ///
    /// A run moves only while no change of the other file stands where it is or where it goes.
    private static func slideDown(_ changed: inout [Bool], over lines: [[UInt8]], unless other: [Bool]) {
        // How many unchanged lines come before each place of a change in the other file.
        var occupied: Set<Int> = [], unchanged = 0
        for isChanged in other {
            if isChanged { occupied.insert(unchanged) } else { unchanged += 1 }
        }
        var index = 0, before = 0
        while index < changed.count {
            guard changed[index] else {
                index += 1
                before += 1
                continue
            }
            var start = index, end = index
            while end < changed.count, changed[end] { end += 1 }
            while end < changed.count, lines[start] == lines[end], !occupied.contains(before), !occupied.contains(before + 1) {
                changed[start] = false
                changed[end] = true
                start += 1
                before += 1
                while end < changed.count, changed[end] { end += 1 }
            }
            index = end
        }
    }

    private static func hunks(of script: [Line], context: Int = 3) -> [Hunk] {
        let changes = script.indices.filter { if case .same = script[$0] { false } else { true } }
        var groups: [ClosedRange<Int>] = []
        for change in changes {
            if let last = groups.last, change - last.upperBound <= 2 * context + 1 {
                groups[groups.count - 1] = last.lowerBound...change
            } else {
                groups.append(change...change)
            }
        }
        var hunks: [Hunk] = [], position = 0, oldLine = 1, newLine = 1
        for group in groups {
            let first = max(0, group.lowerBound - context), last = min(script.count - 1, group.upperBound + context)
            while position < first { advance(over: script[position]) }
            var hunk = Hunk(oldStart: oldLine, newStart: newLine, lines: [])
            while position <= last {
                hunk.lines.append(script[position])
                advance(over: script[position])
            }
            hunks.append(hunk)
        }
        return hunks

        func advance(over line: Line) {
            switch line {
            case .same: (oldLine, newLine) = (oldLine + 1, newLine + 1)
            case .removed: oldLine += 1
            case .added: newLine += 1
            }
            position += 1
        }
    }
}
