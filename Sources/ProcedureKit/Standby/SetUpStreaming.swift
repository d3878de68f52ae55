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
    private let userMaps: @Sendable () async throws -> [UInt8]?
    private let inspected = Inspected<[ConfigurationEdit]>()

    /// - Parameters:
    ///   - words: what else the title says: `archiving off, closed to clients`.
    ///   - libraries: those that a later step takes out of its preload list.
    ///   - rules: its `pg_hba.conf`.
    ///   - userMaps: its `pg_ident.conf`; `nil` leaves what is there.
    public init(
        standby: Standby, saying words: String, removingLater libraries: [String] = [], rules: @escaping @Sendable () async throws -> HBAFile,
        userMaps: @escaping @Sendable () async throws -> [UInt8]? = { nil }
    ) {
        (self.standby, self.words, self.libraries, self.rules, self.userMaps) = (standby, words, libraries, rules, userMaps)
    }

    public var title: String { "Set up streaming replication from \(standby.source) on \(standby.name); \(words)" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        await inspected.keep(nil)
        let state = try await standby.node.state()
        if state > .restored { return .done("\(standby.name) is \(state)") }
        let rules = try await rules(), maps = try await userMaps(), now = try await standby.configuration()
        var later = now
        later.withoutLibraries = libraries
        if state == .restored, try later.edits(hba: rules, ident: maps).isEmpty { return .done("the files say so") }
        let edits = try now.edits(hba: rules, ident: maps)
        await inspected.keep(edits)
        return .needed(edits.map { Change("\(standby.name): \($0.path)", diff: $0.diff) })
    }

    public func perform(_ run: StepRun) async throws -> String {
        let edits = if let edits = await inspected.take() { edits } else { try await standby.configuration().edits(hba: try await rules(), ident: try await userMaps()) }
        try await standby.node.apply(edits, run, deadline: .after(.seconds(60)))
        return edits.map(\.path.name).joined(separator: ", ")
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome { try await standby.node.restoreFiles(run) }
}
