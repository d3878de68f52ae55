import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Spock

/// Put Spock back into the preload list, at its old place.
struct RestorePreload: LeavesNothing {
    static let name = "restore-preload"
    let node: JoiningNode
    var title: String { "Add Spock to shared_preload_libraries on \(node.name) again" }
    var leavesNothing: String { "its files go with the data directory, or are put back where they were written first" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if await !node.hasJustReached(.cleaned), try await node.state(memory) >= .cleaned, try await node.preload(deadline: .after(.seconds(30))).contains("spock") {
            return .done("it is in it")
        }
        return .needed([Change("\(node.name): shared_preload_libraries as on \(node.mesh.source); what made it a standby, and kept it quiet, is taken out")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let value = try run.recall(RemovePreload.original), putBack = try run.memory.recall(RemovePreload.putBack) ?? [], deadline = Deadline.after(.seconds(60))
        var list = LibraryList.empty
        try await node.copy.changeAutoConf(run, deadline: deadline) { file, path in
            guard let original = LibraryList(value), let now = LibraryList(file.value(of: "shared_preload_libraries") ?? value) else {
                throw Problem("\(node.name): shared_preload_libraries in \(path) is not valid", hint: "it was '\(value)' on \(node.mesh.source)")
            }
            list = CopiedDatabase.knownReplicators.reduce(now) { $0.restoring($1, from: original) }
            file.set("shared_preload_libraries", to: list.description)
            for name in ["primary_conninfo", "primary_slot_name", "restore_command", "recovery_target_timeline"] { file.remove(name) }
            for setting in putBack {
                if let value = setting.value { file.set(setting.name, to: value) } else { file.remove(setting.name) }
            }
        }
        return "the list is '\(list)'"
    }
}
