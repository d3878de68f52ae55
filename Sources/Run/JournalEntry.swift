public import Foundation

/// One line of the journal.
public struct JournalEntry: Sendable, Codable, Equatable {
    /// The form of the journal; a newer one is refused rather than misread.
    public static let version = 1

    public enum Event: String, Sendable, Codable {
        /// The run began: cluster, playbook and operator stand in `value`.
        case began
        /// The run was taken up again, to go on (with what the operator has said in `value`) or to be undone.
        case resumed, undoing
        /// A look found the step done already.
        case seen
        /// The step is about to change something. Flushed to disk before it does.
        case intent
        /// Something the step wants to know later: `key` and `value`.
        case fact
        /// The step is about to create `value`, which was seen not to be there. Flushed to disk before it does.
        case creating
        case done, failed, interrupted
        /// A bracket closed something, and opened it again.
        case closed, opened
        case undone, left
        /// The run is over: `finished`, `failed`, `interrupted` or `undone` in `text`.
        case ended
    }

    public var v = JournalEntry.version
    public var at: Date
    public var event: Event
    public var step: String?
    /// Which part of the step, where it does the same for several: see ``PartedStep``.
    public var part: String?
    public var text: String?
    public var key: String?
    public var value: JSON?

    public init(at: Date = Date(), _ event: Event, step: String? = nil, part: String? = nil, text: String? = nil, key: String? = nil, value: JSON? = nil) {
        self.at = at
        self.event = event
        self.step = step
        self.part = part
        self.text = text
        self.key = key
        self.value = value
    }
}

/// A thing a run created and undo takes away.
public struct Created: Sendable, Codable, Hashable, CustomStringConvertible {
    /// What it is, in the field's words: `replication slot`, `subscription`, `file`.
    public let kind: String
    /// The node or host it is on.
    public let place: String
    public let name: String

    public init(_ kind: String, on place: String, _ name: String) {
        self.kind = kind
        self.place = place
        self.name = name
    }

    public var description: String { "\(kind) \(name) on \(place)" }
}
