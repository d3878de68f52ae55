import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Run

/// Step 7: take Spock out of the preload list of the copy, before it is started for the first time.
struct RemovePreload: Step {
    let seed: Seed
    static let name = "remove-preload"
    var title: String { "Remove Spock from shared_preload_libraries on \(seed.newNode)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        if state > .restored { return .done("\(seed.newNode) is \(state)") }
        let edits = try await seed.removal(memory)
        if state == .restored, edits.isEmpty { return .done("Spock is not in it") }
        return .needed(edits.map { Change("\(seed.newNode): \($0.path)", diff: $0.diff) })
    }

    func perform(_ run: StepRun) async throws -> String {
        try run.remember(OriginalPreload.fact, try await seed.cloneConfiguration(run.memory).sourceLibraries().description)
        try await seed.apply(try await seed.removal(run.memory), run, deadline: .after(.seconds(60)))
        let list = try await seed.clonePreload(deadline: .after(.seconds(30)))
        guard !list.contains("spock") else { throw Problem("\(seed.newNode) would still load Spock: '\(list)'", hint: "it was not started; see its configuration files") }
        return "the list is '\(list)'"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

/// The preload list of the source.
enum OriginalPreload { static let fact = Fact<String>("shared_preload_libraries") }

/// Step 11: put Spock back into the preload list, at its old place.
struct RestorePreload: Step {
    let seed: Seed
    static let name = "restore-preload"
    var title: String { "Add Spock to shared_preload_libraries on \(seed.newNode) again" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        if state >= .cleaned, try await seed.clonePreload(deadline: .after(.seconds(30))).contains("spock") { return .done("it is in it") }
        return .needed([Change("\(seed.newNode): shared_preload_libraries as on \(seed.source); what made it a standby is taken out")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let value: String = try run.recall(OriginalPreload.fact)
        let deadline = await seed.stepDeadline(.seconds(60))
        let clone = try await seed.instance(seed.newNode), path = clone.dataDirectory / "postgresql.auto.conf"
        let current = try await clone.host.read(path, as: clone.user, deadline: deadline)
        var file = SettingsFile(current ?? [])
        guard let original = LibraryList(value), let now = LibraryList(file.value(of: "shared_preload_libraries") ?? value) else {
            throw Problem("\(seed.newNode): shared_preload_libraries in \(path) is not valid", hint: "it was '\(value)' on \(seed.source)")
        }
        file.set("shared_preload_libraries", to: now.restoring("spock", from: original).description)
        for name in ["primary_conninfo", "restore_command", "recovery_target_timeline"] { file.remove(name) }
        try await seed.apply([ConfigurationEdit(path: path, before: current, after: file.render())], run, deadline: deadline)
        await seed.book("preload")
        return "the list is '\(file.value(of: "shared_preload_libraries") ?? "")'"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

extension Seed {
    /// What takes Spock out of the preload list, on top of what ``SetUpStreaming`` wrote.
    func removal(_ memory: Memory) async throws -> [ConfigurationEdit] {
        let with = try await cloneConfiguration(memory, without: []), without = try await cloneConfiguration(memory)
        let hba = try await closedHBA()
        let before = Dictionary(uniqueKeysWithValues: try with.edits(hba: hba).map { ($0.path, $0) })
        let isCopied = try await cloneState(memory) > .partlyRestored
        return try without.edits(hba: hba).compactMap { edit in
            guard !isCopied else { return edit }
            // For a plan: on top of what the step before will have written.
            let earlier = before[edit.path]?.after ?? edit.before
            return earlier == edit.after ? nil : ConfigurationEdit(path: edit.path, before: earlier, after: edit.after)
        }
    }
}
