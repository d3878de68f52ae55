public import Foundation

/// One run of this machine, as far as its journal says.
public struct RunSummary: Sendable {
    public enum State: String, Sendable {
        case goingOn = "going on"
        /// Killed, or its machine went down.
        case cutOff = "cut off"
        case failed, interrupted, finished
        case undoCutOff = "cut off while it was undone"
        case undoInterrupted = "interrupted while it was undone"
        case undoneInPart = "undone in part"
        case undone
    }

    public let header: RunHeader
    public let startedAt: Date
    /// The journal's path.
    public let journal: String
    public let state: State
    /// The step it is in or ended in.
    public let lastStep: String?

    /// - Parameter isAtWork: whether a pggraft works on a cluster now.
    /// - Throws: ``JournalError``; ``JournalError/empty(path:)`` when nothing of a run was written yet.
    init(of path: String, isAtWork: (_ cluster: String) -> Bool) throws {
        let entries = try Journal.read(at: path)
        guard let first = entries.first else { throw JournalError.empty(path: path) }
        guard let header = try Memory(entries: entries).header else { throw JournalError.damaged(path: path, line: 1) }
        (self.header, startedAt, journal) = (header, first.at, path)
        lastStep = entries.last { $0.step != nil }?.step
        state = State(entries, isAtWork: { isAtWork(header.cluster) })
    }

    /// `12 of 24, drain`.
    public var progress: String {
        guard let lastStep else { return "no step" }
        guard let index = header.steps?.firstIndex(of: lastStep), let count = header.steps?.count else { return lastStep }
        return "\(index + 1) of \(count), \(lastStep)"
    }

    /// Whether it can be gone on with: nothing of it was undone.
    public var canResume: Bool {
        switch state {
        case .goingOn, .cutOff, .failed, .interrupted, .finished: true
        case .undoCutOff, .undoInterrupted, .undoneInPart, .undone: false
        }
    }

    /// Whether nothing has to follow it.
    public var isOver: Bool { state == .finished || state == .undone || (state == .undoneInPart && header.isTakenBackOnFailure == true) }

    /// Whether all that is left of it is for an undo that nobody may want any more.
    public var canBeRemoved: Bool { state == .finished || state == .undone }

    /// What an operator can do about a run that is not over.
    public var ways: String {
        canResume
            ? "`pggraft resume \(header.run)` goes on with it, `pggraft undo \(header.run)` takes it back."
            : "`pggraft undo \(header.run)` takes the rest of it back."
    }
}

extension RunSummary.State {
    init(_ entries: [JournalEntry], isAtWork: () -> Bool) {
        let turn = entries.lastIndex { [.began, .resumed, .undoing].contains($0.event) } ?? 0
        guard let end = entries[turn...].last(where: { $0.event == .ended })?.text else {
            self = isAtWork() ? .goingOn : entries.contains { $0.event == .undoing } ? .undoCutOff : .cutOff
            return
        }
        let isUndo = entries[turn].event == .undoing
        self = isUndo && end == Self.interrupted.rawValue ? .undoInterrupted : Self(rawValue: end) ?? .cutOff
    }
}
