public import Report

/// What a playbook, or a command for one node, asks for: a list of steps under one lock, and what belongs to a run of it.
///
/// Whatever can be said of all procedures is done by ``RunSession``: the locks, the question, the journal, the interruption,
/// the closing words. A procedure says what it is made of.
public protocol Procedure: Sendable {
    /// As playbooks, journals and the list of runs name it: `add-spock-node`.
    var name: String { get }
    /// What it works on. Names the lock and, after the time, the run.
    var cluster: String { get }
    /// What it was made from, which the journal keeps: a run that is taken up again is made from that.
    /// - Throws: where something of it has still to be found out.
    func origin() async throws -> RunOrigin

    /// What must hold before a run begins. Asked for once in a session.
    var requirements: [RequirementGroup] { get }
    /// In the order in which they are performed; the list owns the numbers of the source document.
    var steps: [ListedStep] { get }
    /// What is closed between two of the steps, and opened again on every way out.
    func brackets(_ memory: Memory) -> [Bracket]

    /// Takes the lock that other machines see too, until ``close()``. With the lock taken, says anew who has it.
    /// - Throws: ``LockTaken`` where somebody else has it; what connecting throws.
    func takeLock(holder: Holder) async throws
    /// Takes the lock for a run that is taken up again, also from an earlier process of it, and ends what that has left running.
    /// - Throws: as ``takeLock(holder:)``.
    func takeOver(holder: Holder) async throws

    /// What an undo of the run would take away now and is in use, a line each: then it is asked for first. Changes nothing.
    func inUse(_ memory: Memory) async throws -> [String]

    /// What a run that is over has left for its undo alone, and is still there. Changes nothing.
    func leftForUndo(_ memory: Memory) async throws -> [Created]
    /// Takes one of such things away, for good; done already, it does nothing.
    func removeLeft(_ thing: Created, _ memory: Memory) async throws

    /// What is said after a run that has reached its end, a line each.
    func closingWords(run: String, _ memory: Memory) throws -> [String]
    /// Whether half of it is worth nothing, so that a run that fails is taken back at once, and nothing has to follow one that was
    /// undone but for what others have changed since.
    var isTakenBackOnFailure: Bool { get }
    /// What becomes of a run that has failed.
    func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure

    /// Ends connections and whatever is still held.
    func close() async
}

extension Procedure {
    public var requirements: [RequirementGroup] { [] }
    public func brackets(_ memory: Memory) -> [Bracket] { [] }
    public func takeOver(holder: Holder) async throws { try await takeLock(holder: holder) }
    public func inUse(_ memory: Memory) async throws -> [String] { [] }
    public func leftForUndo(_ memory: Memory) async throws -> [Created] { [] }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws {}
    public func closingWords(run: String, _ memory: Memory) throws -> [String] { ["Done."] }
    public var isTakenBackOnFailure: Bool { false }
    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure { isTakenBackOnFailure ? .isTakenBack : .stays("") }
}

/// What becomes of a run that has failed.
public enum AfterFailure: Sendable, Hashable {
    /// It stays as it is, to be gone on with or undone; the words say what state that is.
    case stays(String)
    /// It is taken back at once.
    case isTakenBack
}

/// Somebody else works on the cluster.
public struct LockTaken: Explained {
    public let fact: String
    public var hint: String? { "Wait until it has ended, or end it with Ctrl-C where it runs." }

    /// - Parameter fact: on what, and who.
    public init(_ fact: String) { self.fact = fact }
}

/// What a run was made from.
public struct RunOrigin: Sendable, Hashable {
    /// The playbook's path, absolute; `nil` for the request of a command.
    public let path: String?
    /// The playbook's text, or the request as JSON. Never a secret.
    public let content: String
    /// What the operator has said with the command.
    public let consents: [Consent]

    public init(path: String?, content: String, consents: [Consent] = []) {
        (self.path, self.content, self.consents) = (path, content, consents)
    }
}

/// What an operator says with a command because nobody else can know it, or answer for it: the name of the option, without its dashes.
public struct Consent: RawRepresentable, Sendable, Hashable, Codable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}
