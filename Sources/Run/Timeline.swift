public import Foundation
import Report

/// A journal as a reader wants it: what happened when, how long it took, what was created.
public struct Timeline: Sendable {
    public enum Mark: String, Sendable {
        case turn = "", begun = "▸", seen = "=", done = "✓", failed = "✗", undone = "↶", left = "!", window = "·"
    }

    public struct Line: Sendable, Equatable {
        public let at: Date
        public let mark: Mark
        public let text: String
        /// Under it, a line each.
        public let details: [String]
    }

    public private(set) var lines: [Line] = []

    /// - Parameter isGoingOn: whether the run is at work now; otherwise a step without an end was cut off.
    /// - Throws: what decoding an entry throws.
    public init(_ entries: [JournalEntry], isGoingOn: Bool = false) throws {
        var step: Begun?
        for entry in entries {
            switch entry.event {
            // The step that it is a part of says what became of it.
            case .intent where entry.part != nil, .undone where entry.part != nil, .left where entry.part != nil: continue
            case .began, .resumed, .undoing:
                end(&step, .failed, "cut off", at: entry.at)
                let (word, consents): (String, [Consent]?) =
                    switch entry.event {
                    case .began: ("begun", try entry.value?.decoded(as: RunHeader.self).consents)
                    case .resumed: ("resumed", try entry.value?.decoded(as: [Consent].self))
                    default: ("undo", nil)
                    }
                lines.append(Line(at: entry.at, mark: .turn, text: word, details: (consents ?? []).map { "with --\($0.rawValue)" }))
            case .intent:
                end(&step, .failed, "cut off", at: entry.at)
                step = Begun(title: entry.text ?? entry.step ?? "", at: entry.at)
            case .creating:
                guard let thing = try entry.value?.decoded(as: Created.self) else { continue }
                step?.details.append("creates \(thing)")
            case .done: end(&step, .done, entry.text, at: entry.at)
            case .failed: fail(&step, "failed", entry)
            case .interrupted: fail(&step, "interrupted", entry)
            case .seen: lines.append(Line(at: entry.at, mark: .seen, text: entry.step ?? "", details: details(entry.text)))
            case .closed: lines.append(Line(at: entry.at, mark: .window, text: "\(entry.text ?? ""): closed", details: []))
            case .opened: lines.append(Line(at: entry.at, mark: .window, text: "\(entry.text ?? ""): open again", details: []))
            case .undone where (entry.text ?? "").isEmpty: continue
            case .undone: lines.append(Line(at: entry.at, mark: .undone, text: entry.step ?? "", details: details(entry.text)))
            case .left: lines.append(Line(at: entry.at, mark: .left, text: entry.step ?? "", details: details(entry.text)))
            case .ended: lines.append(Line(at: entry.at, mark: .turn, text: entry.text ?? "", details: []))
            case .fact: continue
            }
        }
        if isGoingOn, let step {
            lines.append(Line(at: step.at, mark: .begun, text: step.title, details: step.details))
        } else if let last = entries.last {
            // When it was cut off is not known; only that it was after this.
            end(&step, .failed, "cut off", at: last.at)
        }
    }

    /// A step that has begun and not ended.
    private struct Begun {
        let title: String
        let at: Date
        var details: [String] = []
    }

    private mutating func end(_ step: inout Begun?, _ mark: Mark, _ text: String?, at moment: Date) {
        guard let begun = step else { return }
        step = nil
        let took = Duration.seconds(moment.timeIntervalSince(begun.at)).inSeconds
        lines.append(Line(at: begun.at, mark: mark, text: "\(begun.title)  (\(took))", details: begun.details + details(text)))
    }

    /// A look can fail as well, before its step has begun.
    private mutating func fail(_ step: inout Begun?, _ how: String, _ entry: JournalEntry) {
        if step == nil, let name = entry.step { step = Begun(title: name, at: entry.at) }
        end(&step, .failed, [how, entry.text].compactMap { $0 }.joined(separator: ": "), at: entry.at)
    }

    private func details(_ text: String?) -> [String] {
        (text ?? "").split(separator: "\n").map(String.init)
    }
}
