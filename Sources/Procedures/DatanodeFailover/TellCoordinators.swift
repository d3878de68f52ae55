import Datanode
import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Tell every coordinator where the datanode is now, and see that its sessions reach it.
///
/// One that cannot be reached is left for ``TellAbsent``: clients of the others need not wait for it.
struct TellCoordinators: LeavesNothing {
    static let name = "tell"
    let order: FailedDatanode
    var title: String { "ALTER NODE \(order.datanode) and pgxc_pool_reload() on every coordinator" }
    var leavesNothing: String { "the coordinators go on with the new master" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let place = try order.place
        guard try await order.failed.promoted(memory) != nil else {
            return .needed(
                order.coordinators.map { Change("\($0): ALTER NODE \(order.datanode) WITH (HOST = '\(place.host)', PORT = \(place.port)); SELECT pgxc_pool_reload()") })
        }
        let states = try await order.told(order.newMaster(), memory), untold = order.untold(states, silent: false)
        // Where none can be reached nobody was told, and that is not done.
        guard untold.isEmpty, states.values.contains(where: \.isProven) else {
            return .needed((untold.isEmpty ? order.untold(states, silent: true) : untold).map { Change("\($0.name): \($0.why)") })
        }
        return .done("every coordinator that can be reached reaches \(order.slave)")
    }

    func perform(_ run: StepRun) async throws -> String {
        let master = try await order.newMaster(), order = order
        let results = await attemptOnEach(order.coordinators) { try await order.tell($0, of: master, run) }
        try Task.checkCancellation()
        var told: [String] = [], absent: [String] = []
        for (name, result) in results {
            switch result {
            case .success: told.append(name)
            case .failure(let error as CoordinatorAbsent):
                absent.append(name)
                run.note("\(name) is not told yet, and is left for later: \(error.problem.fact)")
            case .failure(let error): throw error
            }
        }
        guard !told.isEmpty else {
            throw Problem(
                "no coordinator can be reached, so none knows that \(order.datanode) is at \(try order.place) now",
                hint: "\(order.slave) is the master already. Start the coordinators, and resume: until then their sessions fail with 53000")
        }
        return "\(list(told)) \(told.count == 1 ? "reaches" : "reach") \(order.slave)\(absent.isEmpty ? "" : "; \(list(absent)) cannot be reached")"
    }
}

/// Tell the coordinators that were not to be reached before. Until each was told the run stays open.
struct TellAbsent: LeavesNothing {
    static let name = "tell-absent"
    let order: FailedDatanode
    var title: String { "Tell the coordinators that could not be reached before" }
    var leavesNothing: String { "the coordinators go on with the new master" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard try await order.failed.promoted(memory) != nil else { return .done("whoever can be reached is told before") }
        let untold = order.untold(try await order.told(order.newMaster(), memory), silent: true)
        guard untold.isEmpty else { return .needed(untold.map { Change("\($0.name): \($0.why)") }) }
        if memory.began(VerifyDatanode.self), try memory.recall(VerifyDatanode.said) == nil { return .needed([Change("verify through every coordinator: one was away before")]) }
        return .done("every coordinator reaches \(order.slave)")
    }

    func perform(_ run: StepRun) async throws -> String {
        let master = try await order.newMaster(), order = order
        let results = await attemptOnEach(order.coordinators) { try await order.tell($0, of: master, run) }
        try Task.checkCancellation()
        var absent: [String: Problem] = [:]
        for (name, result) in results {
            switch result {
            case .success: continue
            case .failure(let error as CoordinatorAbsent): absent[name] = error.problem
            case .failure(let error): throw error
            }
        }
        guard absent.isEmpty else { throw try await stillAbsent(absent, run.memory) }
        let said = try await order.verify(run)
        guard try run.memory.recall(VerifyDatanode.said) != nil else {
            throw Problem(
                "every coordinator was told of \(order.slave), and not every one could be asked in the verification: \(said)",
                hint: "start what does not answer, and resume: what is still prepared may be settled only then")
        }
        return "every coordinator reaches \(order.slave); \(said)"
    }

    private func stillAbsent(_ absent: [String: Problem], _ memory: Memory) async throws -> Problem {
        let names = list(absent.keys.sorted()), one = absent.count == 1, place = try order.access.roster.entry(order.datanode)
        let why = absent.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.fact)" }.joined(separator: "; ")
        let fenced =
            try order.failed.primaryIsDead(memory)
            ? "see to it that the old master at \(place.address):\(place.port) does not start, for nobody has fenced it: move its data directory away, or leave its host off"
            : "the old master is marked as a standby, and would take no writes; leave it so until it was made a slave (`procedure: datanode-rejoin`)"
        return Problem(
            "\(names) \(one ? "was" : "were") not told that \(order.datanode) is at \(try order.place) now, and the failover is not finished: \(why)\n"
                + "All other coordinators work with \(order.slave). \(one ? "It comes" : "They come") back with the old address: with the old master running there, the cluster would be split in two",
            hint: "start \(names), then at once: pggraft resume \(try memory.header?.run ?? "")\n\(fenced)")
    }
}

/// A coordinator that could not be reached.
struct CoordinatorAbsent: Error {
    let problem: Problem
}

extension FailedDatanode {
    /// Tells one coordinator, and sees that its sessions reach the new master. One that crashes while its pool is reloaded is told again; one that was told is
    /// left alone, for its sessions lose what they are at.
    /// - Throws: ``CoordinatorAbsent`` where it cannot be reached.
    func tell(_ name: String, of master: ReachedServer, _ run: StepRun) async throws {
        let place = try place
        if try run.memory.recall(Self.reloaded(name)) == true, case .proven = try await told(name, master, run.memory) { return }
        // One that was there is waited for: its pool may be trying to connect to a host that is gone.
        var wasThere = false
        try await wait(for: "\(name) to reach \(slave)", until: .after(.seconds(90)), every: .milliseconds(200)) { () -> Look<Void> in
            let deadline = Deadline.after(.seconds(15)), coordinator: Coordinator
            do { coordinator = try await self.coordinator(name) } catch let error as PostgresError where error.code == "57P03" {
                return .notYet(error.fact)
            } catch let late as DeadlineExceeded where wasThere {
                silent.remove(name)
                return .notYet(late.fact)
            } catch let error where !(error is CancellationError) {
                throw CoordinatorAbsent(problem: Problem(explaining: error))
            }
            wasThere = true
            do {
                try await coordinator.move(datanode, to: place, deadline: deadline)
                try await coordinator.reloadPool(deadline: deadline)
                try run.remember(Self.reloaded(name), true)
            } catch let error where (error as? PostgresError).map({ $0.isServerAway || $0.code == "57P02" }) ?? (error is DeadlineExceeded) {
                // It crashed, or is about to: with its first answer it may have taken the statement, or not.
                let fact = Problem(explaining: error).fact
                run.note("\(name): its pool was not seen to be reloaded; told again: \(fact)")
                await access.forgetServer(name)
                return .notYet(fact)
            }
            switch try await told(name, master, run.memory) {
            case .proven: return .found(())
            case .not(let why): return .notYet(why)
            case .silent(let problem): return .notYet(problem.fact)
            }
        }
    }

    /// How each coordinator has the datanode.
    func told(_ master: ReachedServer, _ memory: Memory) async throws -> [String: Told] { try await onEach(coordinators) { try await told($0, master, memory) } }

    /// Those whose sessions do not reach the new master, and why.
    /// - Parameter silent: also those that cannot be reached.
    func untold(_ states: [String: Told], silent: Bool) -> [(name: String, why: String)] {
        coordinators.compactMap { name in
            switch states[name] {
            case .not(let why): (name, why)
            case .silent(let problem) where silent: (name, problem.fact)
            default: nil
            }
        }
    }
}
