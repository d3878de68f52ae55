import Report

/// The unit of plan, journal, resume and undo.
///
/// ```
/// inspect   look at the real systems, change nothing
/// perform   do it
/// undo      take back what the journal says this run created
/// ```
/// Real state decides, not the journal: ``inspect(_:)`` looks again on every plan, run and resume. The journal keeps
/// only what cannot be seen again.
public protocol Step: Sendable {
    /// Its name in journal and code: `read-only`.
    static var name: String { get }
    /// The same, unless one procedure has the step twice.
    var name: String { get }
    /// What the step does, as a sentence without a full stop; the same words in plan, output and journal.
    var title: String { get }

    /// Looks at the real systems and changes nothing. Also called for a plan, when the steps before have not happened:
    /// then it says what would be done.
    func inspect(_ memory: Memory) async throws -> Inspection

    /// Does it. Called only after ``inspect(_:)`` said ``Inspection/needed(_:)``.
    /// - Returns: what was done, as one line with the figures seen.
    func perform(_ run: StepRun) async throws -> String

    /// Takes back what this run did in this step, as far as it is still as the run left it. Can be called again after
    /// having been interrupted. A step that leaves nothing says why: see ``LeavesNothing``.
    func undo(_ run: StepRun) async throws -> UndoOutcome
}

extension Step {
    public var name: String { Self.name }

    /// ``undo(_:)``, where what cannot be undone, because a host is gone or for any other reason, is left, and keeps nothing else from being undone.
    /// - Throws: `JournalError`, `CancellationError`.
    func takenBack(_ run: StepRun) async throws -> UndoOutcome {
        do {
            return try await undo(run)
        } catch let error as JournalError {
            throw error
        } catch {
            try Task.checkCancellation()
            return .left((error as? Blocked)?.problems ?? [Problem(explaining: error)])
        }
    }
}

/// A step of which nothing is left that an undo would have to take back.
public protocol LeavesNothing: Step {
    /// Why: `the sessions that were ended are their clients'`.
    var leavesNothing: String { get }
}

extension LeavesNothing {
    public func undo(_ run: StepRun) async throws -> UndoOutcome { .nothing(because: leavesNothing) }
}

/// A step in the list of a procedure, which knows the step's number in its source document.
public struct ListedStep: Sendable {
    public let step: any Step
    public private(set) var id: StepID

    /// - Parameter number: in the source document (`"5"`); empty for a step that the document does not have.
    public init(_ number: String, _ step: any Step) {
        (self.step, id) = (step, StepID(number, step.name))
    }

    public var title: String { step.title }

    /// The same, which knows where it stands among all.
    func standing(at index: Int, of count: Int) -> ListedStep {
        var step = self
        step.id.position = StepID.Position(index: index, count: count)
        return step
    }
}

/// A step's number in its procedure's source document, its name in plan, journal and code, and its place in the run.
public struct StepID: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The number in the source document (`"5"`); empty for a step the document does not have.
    public let number: String
    /// The name, unique in its procedure: `read-only`.
    public let name: String
    /// Where it stands in the order in which steps are performed; `nil` outside of a session.
    public internal(set) var position: Position?

    /// The place of a step among all of a run.
    public struct Position: Sendable, Hashable, Codable, CustomStringConvertible {
        /// Counted from 1.
        public let index: Int
        public let count: Int

        /// `9/24`.
        public var description: String { "\(index)/\(count)" }
    }

    public init(_ number: String, _ name: String) {
        self.number = number
        self.name = name
    }

    public var description: String { number.isEmpty ? name : "\(number) \(name)" }
}
