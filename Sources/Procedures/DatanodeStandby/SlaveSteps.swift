import Datanode
import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// See that every coordinator reaches the master of a datanode, which may have been restarted.
struct ReachMaster: LeavesNothing {
    static let name = "reach-master"
    let datanode: String
    let coordinators: [String]
    let access: ClusterAccess
    var title: String { "See that every coordinator reaches \(datanode)" }
    var leavesNothing: String { "the coordinators have what they had" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let master = try await access.server(datanode).reached(deadline: .after(.seconds(20)))
        let away = try await onEach(coordinators) { try await obstacle($0, master) }.compactMapValues(\.self)
        guard !away.isEmpty else { return .done("\(list(coordinators)) \(coordinators.count == 1 ? "reaches" : "reach") \(datanode)") }
        return .needed(away.sorted { $0.key < $1.key }.map { Change("\($0.key): SELECT pgxc_pool_reload(): \($0.value)") })
    }

    /// Why sessions of a coordinator do not reach `master`; `nil` where they do.
    private func obstacle(_ name: String, _ master: ReachedServer) async throws -> String? {
        do {
            let reached = try await Coordinator(access.server(name)).reach(datanode, deadline: .after(.seconds(20)))
            return reached.isSame(as: master) ? nil : "its sessions reach \(reached) under \(datanode)"
        } catch let error as PostgresError {
            await access.forgetServer(name)
            return error.fact
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let master = try await access.server(datanode).reached(deadline: .after(.seconds(20)))
        let told = try await onEach(coordinators) { name -> Bool in
            guard try await obstacle(name, master) != nil else { return false }
            try await wait(for: "\(name) to reach \(datanode)", until: .after(.seconds(90)), every: .milliseconds(200)) { () -> Look<Void> in
                do { try await Coordinator(access.server(name)).reloadPool(deadline: .after(.seconds(15))) } catch let error as PostgresError {
                    // One that crashed over it is asked again.
                    await access.forgetServer(name)
                    return .notYet(error.fact)
                }
                return try await obstacle(name, master).map { .notYet($0) } ?? .found(())
            }
            return true
        }
        let reloaded = coordinators.filter { told[$0] == true }
        return reloaded.isEmpty ? "they reach \(datanode)" : "the pool of \(list(reloaded)) is reloaded, and \(reloaded.count == 1 ? "it reaches" : "they reach") \(datanode)"
    }
}

/// See that a slave has replayed what its master has written: a datanode takes no write of its own.
struct SeeReplayed: LeavesNothing {
    static let name = "catch-up"
    let pair: StandbyPair
    var title: String { "See that \(pair.standby.name) has all that \(pair.sender) has" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if !memory.began(StartStandby.self), try await pair.streams() { return .done(try await pair.streamingState()) }
        return .needed([Change("\(pair.standby.name): wait until it has replayed what \(pair.sender) has written by then")])
    }

    func perform(_ run: StepRun) async throws -> String {
        // In no time, unless it has still to catch up with what was written during the copy.
        _ = try await pair.standby.catchUp(to: Self.near, run)
        let written = try await pair.access.server(pair.sender).currentLSN(deadline: .after(.seconds(20))), began = ContinuousClock.Instant.now
        try await pair.standby.waitReplayed(to: written, deadline: .after(.seconds(300)))
        let took = began.duration(to: .now), limits = try await pair.compareMinima()
        return "\(try await pair.streamingState()); \(written) of \(pair.sender) was replayed \(took.inSeconds) later; \(limits)"
    }

    /// In bytes; whoever is so near has the rest at once.
    private static let near: Int64 = 16 << 20
}

/// Change a slave to synchronous mode, and see that a commit of its master returns: where it does not, nobody waits for the slave any more.
struct ChangeSlaveToSynchronous: Step {
    static let name = ChangeSynchronousStandbys.name
    let slave: String
    let datanode: String
    let standbys: SynchronousStandbys
    let access: ClusterAccess
    private var change: ChangeSynchronousStandbys { ChangeSynchronousStandbys(standbys: standbys) }
    var title: String { change.title }

    func inspect(_ memory: Memory) async throws -> Inspection { try await change.inspect(memory) }

    func perform(_ run: StepRun) async throws -> String {
        let said = try await change.perform(run)
        do {
            let waitedFor = try await standbys.awaitWaitedFor(deadline: .after(.seconds(60))).standbys.map(\.application)
            return "\(said); \(list(waitedFor)) synchronous; a commit took \(try await commit().inSeconds)"
        } catch let error where !(error is JournalError) && !((error as? HostError)?.isOfConnection ?? false) {
            // Clients may hang by now. In a task of its own, so that Ctrl-C does not leave half of it.
            let outcome = try await Task { try await change.undo(run) }.value
            throw Problem(explaining: error, leaving: outcome.problems.first?.fact ?? "no commit on \(datanode) waits for \(slave) any more")
        }
    }

    private func commit() async throws -> Duration {
        do {
            return try await access.withSeparateServer(datanode) { try await $0.commitWaitingForStandbys(deadline: .after(.seconds(10))) }
        } catch is DeadlineExceeded {
            throw Problem(
                "\(datanode): a commit did not return within 10 s: \(slave) does not say that it is written there",
                hint: "see the log and the disk of \(slave), and resume")
        }
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { try await change.undo(run) }
}

/// See that the slaves are waited for, and that what is written through every coordinator comes back.
struct VerifySlaves: LeavesNothing {
    static let name = "verify"
    static let said = Fact<String>("verification")
    let slaves: [MadeSlave]
    let coordinators: [String]
    let isSynchronous: Bool
    let access: ClusterAccess
    var title: String { "Verification: \(isSynchronous ? "the slaves are synchronous, and " : "")a write through every coordinator comes back" }
    var leavesNothing: String { "what it wrote it has removed" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let said = try memory.recall(Self.said) { return .done(said) }
        // Made and verified by another run.
        if !hasBegun(memory), let state = try await state() { return .done(state) }
        return .needed(
            (isSynchronous ? slaves.map { Change("\($0.datanode): \($0.name) is waited for (sync_state in pg_stat_replication)") } : [])
                + coordinators.map { Change("\($0): read every table, and write to a temporary one on every datanode") })
    }

    private func hasBegun(_ memory: Memory) -> Bool {
        slaves.contains { slave in [RestartPrimary.name, StartStandby.name, ChangeSynchronousStandbys.name].contains { memory.of(slave.name).began($0) } }
    }

    /// How the slaves stream; `nil` where one does not, or is not waited for although it should be.
    private func state() async throws -> String? {
        var said: [String] = []
        for slave in slaves {
            guard try await slave.pair.streams() else { return nil }
            let seen = try await access.server(slave.datanode).standbys(deadline: .after(.seconds(20))).first { isSameSetting($0.application, slave.name) }
            guard let seen, !isSynchronous || seen.sync != .async else { return nil }
            said.append("\(slave.name) \(seen.state), \(seen.sync)")
        }
        return said.joined(separator: "; ")
    }

    func perform(_ run: StepRun) async throws -> String {
        var said: [String] = []
        if isSynchronous {
            let found = try await onEach(slaves.map(\.name)) { name -> String in
                guard let slave = slaves.first(where: { $0.name == name }) else { throw UnknownNode(name: name) }
                let names = try await slave.synchronous.awaitWaitedFor(deadline: .after(.seconds(60))).standbys.map(\.application)
                return names.contains { isSameSetting($0, name) } ? "\(name) sync" : "\(list(names)) sync, and \(name) when \(names.count == 1 ? "that is" : "those are") gone"
            }
            said = slaves.compactMap { found[$0.name] }
        }
        do {
            let seen = try await onEach(coordinators) { try await Coordinator(access.server($0)).check(counting: [], writes: true, deadline: .after(.seconds(60))) }
            said += coordinators.compactMap { name in seen[name].map { "\(name): \($0)" } }
        } catch let late as DeadlineExceeded {
            for name in coordinators { await access.forgetServer(name) }
            let letGo = "`pggraft undo \(try run.memory.header?.run ?? "")` lets commits wait for nobody again"
            throw Problem(
                "a write through the coordinators did not return within \(late.budget.inSeconds)",
                hint: "see pg_stat_replication of \(list(slaves.map(\.datanode))), and the logs of \(list(slaves.map(\.name))); \(letGo)")
        }
        let text = said.joined(separator: "; ")
        try run.remember(Self.said, text)
        return text
    }
}
