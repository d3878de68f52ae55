import EventLoop
import Instance
public import PostgresConfig
import RemoteHost
public import Run

/// Make the copy a standby of the source, with the rules that it has until its procedure is done, and nothing else.
public struct SetUpStreaming: Step {
    public static let name = "streaming"
    private let standby: Standby
    private let words: String
    private let libraries: [String]
    private let rules: @Sendable () async throws -> HBAFile

    /// - Parameters:
    ///   - words: what else the title says: `archiving off, closed to clients`.
    ///   - libraries: those that a later step takes out of its preload list.
    ///   - rules: its `pg_hba.conf`.
    public init(standby: Standby, saying words: String, removingLater libraries: [String] = [], rules: @escaping @Sendable () async throws -> HBAFile) {
        (self.standby, self.words, self.libraries, self.rules) = (standby, words, libraries, rules)
    }

    public var title: String { "Set up streaming replication from \(standby.source) on \(standby.name); \(words)" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await standby.node.state()
        if state > .restored { return .done("\(standby.name) is \(state)") }
        let rules = try await rules(), now = try await standby.configuration()
        var later = now
        later.withoutLibraries = libraries
        if state == .restored, try later.edits(hba: rules).isEmpty { return .done("the files say so") }
        return .needed(try now.edits(hba: rules).map { Change("\(standby.name): \($0.path)", diff: $0.diff) })
    }

    public func perform(_ run: StepRun) async throws -> String {
        let edits = try await standby.configuration().edits(hba: try await rules())
        try await standby.node.apply(edits, run, deadline: .after(.seconds(60)))
        return edits.map(\.path.name).joined(separator: ", ")
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome { try await standby.node.restoreFiles(run) }
}
