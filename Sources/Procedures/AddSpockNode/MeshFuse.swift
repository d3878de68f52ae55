import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// What keeps the WAL that the new node's slots hold from filling a member's disk, as long as nobody reads them: at the limit all of them are given up.
struct MeshFuse: WALFuse {
    let mesh: SpockMesh
    let node: any MeshJoiner
    /// Percent of what would be free without the slots.
    let share: Int
    let memory: Memory

    /// A slot that holds too much.
    struct Cause: Sendable {
        var node: String
        var held: Int64
        var limit: Int64
        var isSetting: Bool
    }

    func blow() async throws -> Cause {
        // Not at once: a window would wait for the answers.
        try await Task.sleep(for: .seconds(2))
        return try await wait(for: "the slots of \(node.name) to hold too much", until: .after(.seconds(365 * 24 * 3600)), every: .seconds(2)) { () -> Look<Cause> in
            do {
                return try await look().map { .found($0) } ?? .notYet("")
            } catch let error where !(error is CancellationError) {
                return .notYet(Problem(explaining: error).fact)
            }
        }
    }

    private func look() async throws -> Cause? {
        let directions = try memory.recall(CreateSlots.directions) ?? [], deadline = Deadline.after(.seconds(20))
        let causes = try await onEach(directions) { direction -> Cause? in
            let server = try await mesh.access.server(direction.provider)
            guard let slot = try await server.slot(direction.slot, deadline: deadline), !slot.isActive, let held = slot.retainedBytes, held > 0 else { return nil }
            let instance = try await mesh.access.instance(direction.provider)
            let free = try await instance.pathStates([instance.dataDirectory / instance.features.walDirectory], deadline: deadline).first?.free ?? 0
            let limit = (Int64(clamping: free) + held) / 100 * Int64(share)
            // Megabytes; beyond it the server itself takes the WAL away. -1 where there is no limit.
            let setting = try await server.settings(["max_slot_wal_keep_size"], deadline: deadline)["max_slot_wal_keep_size"].flatMap(Int64.init) ?? -1
            let kept = setting < 0 ? Int64.max : setting * 1_048_576 / 10 * 9
            return held > min(limit, kept) ? Cause(node: direction.provider, held: held, limit: min(limit, kept), isSetting: kept < limit) : nil
        }
        return causes.values.compactMap { $0 }.min { $0.node < $1.node }
    }

    func giveUp(_ cause: Cause, _ run: StepRun) async throws -> any Error {
        let words = "\(UInt64(max(0, cause.held)).inBytes) of WAL for \(node.name), of \(UInt64(max(0, cause.limit)).inBytes) that it may"
        run.note("\(cause.node) keeps \(words): the slots of \(node.name) are given up")
        let slots = Dictionary(try memory.recall(CreateSlots.directions)?.map { ($0.provider, $0.slot) } ?? []) { first, _ in first }
        let dropped = await attemptOnEach(slots.keys.sorted()) { provider in
            if let slot = slots[provider] { _ = try await mesh.access.server(provider).dropSlot(slot, deadline: .after(.seconds(20))) }
        }
        let left = dropped.compactMap { provider, result -> String? in
            guard case .failure(let error) = result else { return nil }
            return "that on \(provider) is not: \(Problem(explaining: error).fact)"
        }
        let hasLeft = try await node.state(memory) >= .promoted
        return Problem(
            "\(cause.node) kept \(words) (\(cause.isSetting ? "max_slot_wal_keep_size" : "wal_fuse")): "
                + (left.isEmpty ? "the slots of \(node.name) are dropped on \(list(mesh.members))" : "its slots are dropped, but \(list(left))"),
            hint: hasLeft
                ? "\(node.name) has left \(mesh.source) and cannot read any more what it lacks: see why it took so long; then \(node.anew)"
                : "see why it takes so long, or make room; then resume: the slots are made anew")
    }
}
