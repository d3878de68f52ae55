import Run
import Synchronization

/// A session as JSON: a line for each event, or one object of all.
final class JSONConsole: CommandConsole {
    private let write: @Sendable (JSON) -> Void
    private let isAgreed: Bool
    private let asObject: Bool
    private let collected = Mutex<[String: JSON]>(["findings": .array([]), "steps": .array([]), "notes": .array([])])

    /// - Parameters:
    ///   - isAgreed: the question before the first change is answered with yes already.
    ///   - asObject: all that is shown is one object at the end.
    ///   - write: takes a line.
    init(isAgreed: Bool, asObject: Bool, write: @escaping @Sendable (JSON) -> Void) { (self.isAgreed, self.asObject, self.write) = (isAgreed, asObject, write) }

    func show(_ event: SessionEvent) {
        guard asObject else { return write(event.json) }
        collected.withLock { fields in
            switch event {
            case .findings(let findings): fields["findings"] = JSON(each: findings, \.json)
            case .plan(let plan): fields["steps"] = JSON(each: plan, \.json)
            case .note(let text):
                if case .array(let notes)? = fields["notes"] { fields["notes"] = .array(notes + [.string(text)]) }
            default: break
            }
        }
    }

    func end(_ ending: Ending) {
        guard asObject else { return write(JSON(event: "ended", ending.fields)) }
        write(.object(collected.withLock { $0 }.merging(ending.fields) { $1 }))
    }

    /// Nobody is asked where something else than a person reads.
    func wantsToGoOn() -> Bool? { isAgreed ? true : nil }
}
