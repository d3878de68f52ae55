import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Spock

/// Take Spock out of the preload list of the copy, before it is started for the first time.
struct RemovePreload: LeavesNothing {
    static let name = "remove-preload"
    /// The preload list of the source.
    static let original = Fact<String>("shared_preload_libraries")
    /// What its `postgresql.auto.conf` says once it has joined of what it says otherwise until then.
    static let putBack = Fact<[CloneConfiguration.PutBack]>("settings of the time until it has joined")

    let node: JoiningNode
    private let inspected = Inspected<(CloneConfiguration, [ConfigurationEdit])>()

    init(node: JoiningNode) { self.node = node }

    var title: String { "Remove Spock from shared_preload_libraries on \(node.name)" }
    var leavesNothing: String { "its files go with the data directory, or are put back where they were written first" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        await inspected.keep(nil)
        let state = try await node.state(memory)
        if state > .restored { return .done("\(node.name) is \(state)") }
        let (configuration, edits) = try await look()
        if state == .restored, edits.isEmpty { return .done("Spock is not in it") }
        await inspected.keep((configuration, edits))
        return .needed(edits.map { Change("\(node.name): \($0.path)", diff: $0.diff) })
    }

    func perform(_ run: StepRun) async throws -> String {
        let (configuration, edits) = if let found = await inspected.take() { found } else { try await look() }
        try run.remember(Self.original, try configuration.sourceLibraries().description)
        try run.remember(Self.putBack, configuration.putBack())
        try run.remember(NodeAccess.rules, try await node.admittance.admissions().rules().map(\.description))
        try await node.copy.apply(edits, run, deadline: .after(.seconds(60)))
        let list = try await node.preload(deadline: .after(.seconds(30)))
        guard !CopiedDatabase.knownReplicators.contains(where: list.contains) else {
            throw Problem("\(node.name) would still load Spock or pglogical: '\(list)'", hint: "it was not started; see its configuration files")
        }
        return "the list is '\(list)'"
    }

    private func look() async throws -> (CloneConfiguration, [ConfigurationEdit]) {
        let configuration = try await node.standby.configuration(without: CopiedDatabase.knownReplicators)
        return (configuration, try await edits(configuration))
    }

    /// What takes Spock out of the list, on top of what the streaming configuration wrote.
    private func edits(_ configuration: CloneConfiguration) async throws -> [ConfigurationEdit] {
        let rules = try await node.closedRules(), without = try configuration.edits(hba: rules)
        guard try await node.copy.state() <= .partlyRestored else { return without }
        // For a plan: on top of what the step before will have written.
        var streaming = configuration
        streaming.withoutLibraries = []
        let before = Dictionary(uniqueKeysWithValues: try streaming.edits(hba: rules).map { ($0.path, $0) })
        return without.compactMap { edit in
            let earlier = before[edit.path]?.after ?? edit.before
            return earlier == edit.after ? nil : ConfigurationEdit(path: edit.path, before: earlier, after: edit.after)
        }
    }
}
