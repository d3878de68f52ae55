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
    var id: StepID { get }
    /// What the step does, as a sentence without a full stop; the same words in plan, output and journal.
    var title: String { get }

    /// Looks at the real systems and changes nothing. Also called for a plan, when the steps before have not happened:
    /// then it says what would be done.
    func inspect(_ memory: Memory) async throws -> Inspection

    /// Does it. Called only after ``inspect(_:)`` said ``Inspection/needed(_:)``.
    /// - Returns: what was done, as one line with the figures seen.
    func perform(_ run: StepRun) async throws -> String

    /// Takes back what this run did in this step, as far as it is still as the run left it. Can be called again after
    /// having been interrupted.
    func undo(_ run: StepRun) async throws -> UndoOutcome
}

/// A step's place in its source document, and its name in plan, journal and code.
public struct StepID: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The number in the source document (`"5"`); empty for a step the document does not have.
    public let number: String
    /// The name, unique in its procedure: `read-only`.
    public let name: String

    public init(_ number: String, _ name: String) {
        self.number = number
        self.name = name
    }

    public var description: String { number.isEmpty ? name : "\(number) \(name)" }
}

/// What a look at the real systems found.
public enum Inspection: Sendable {
    /// Nothing to do; the text says what was seen.
    case done(String)
    /// These changes would be made.
    case needed([Change])
    /// The step cannot run.
    case blocked([Problem])
}

/// One thing a step would change.
public struct Change: Sendable, Hashable {
    /// What changes, and where: `n1: create the stanza app`.
    public let text: String
    /// A unified diff, for a change to a file.
    public let diff: String?

    public init(_ text: String, diff: String? = nil) {
        self.text = text
        self.diff = diff
    }
}

/// What ``Step/undo(_:)`` came to.
public enum UndoOutcome: Sendable {
    /// What was taken back, a line each; none where the run had left nothing.
    case undone([String])
    /// Something was left as it is, and why. The run is not wholly undone.
    case left([Problem], undone: [String] = [])
}

/// A stretch of steps that leaves something closed which must be opened again on every way out.
///
/// From the moment the step ``opens`` begins until ``closes`` is done, an error, a cancellation or a lost connection
/// leads through ``release``, and so does what ``watch`` throws.
public struct Bracket: Sendable {
    public let name: String
    public let opens: StepID
    public let closes: StepID
    /// Runs beside each step in between, and is cancelled at its end. What it throws ends the step: the closed thing can
    /// be kept no longer.
    public let watch: @Sendable () async throws -> Void
    /// Opens what is closed, everywhere it can be reached. Returns what could not be opened, one problem each.
    public let release: @Sendable () async -> [Problem]

    public init(
        _ name: String, opens: StepID, closes: StepID, watch: @escaping @Sendable () async throws -> Void = {},
        release: @escaping @Sendable () async -> [Problem]
    ) {
        self.name = name
        self.opens = opens
        self.closes = closes
        self.watch = watch
        self.release = release
    }
}

/// Runs `work` until it ends or `watch` throws: then `work` is cancelled, and what `watch` threw is the error.
public func watched<Value: Sendable>(
    by watch: @escaping @Sendable () async throws -> Void, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await watch()
            return nil
        }
        defer { group.cancelAll() }
        while let result = try await group.next() {
            if let value = result { return value }
        }
        throw CancellationError()
    }
}
