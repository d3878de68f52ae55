import EventLoop
import Instance
public import Playbook
import PostgresClient
public import ProcedureKit
import Report
public import Run
import Server

/// A standby takes the place of a primary that is lost.
///
/// The old primary is fenced first: every process of its data directory is ended, and whoever starts it from there on starts a standby. Where its host
/// cannot be reached, the operator has to say that it is dead. The standby that has most is promoted, the others follow it, and what the old
/// primary had written and the new one has not is told.
public struct Failover: Procedure {
    private let playbook: Playbook.Failover
    private let text: RunOrigin
    private let access: ClusterAccess
    private let locks: ClusterLocks
    private let failed: FailedGroup

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.Failover, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        access = ClusterAccess(try Roster(pair: playbook.cluster), ways)
        failed = FailedGroup(
            group: Group(playbook.cluster.nodes.map(\.name), of: access), old: playbook.primary, wanted: playbook.to,
            primaryIsDead: playbook.primaryIsDead || origin.consents.contains(.primaryIsDead))
        locks = ClusterLocks(playbook.cluster.name, on: Group(failed.survivors, of: access))
    }

    public static let name = "failover"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var steps: [ListedStep] {
        var steps: [ListedStep] = [ListedStep("", FencePrimary(failed: failed)), ListedStep("", ChooseSuccessor(failed: failed))]
        if let command = playbook.hooks.before { steps.append(hook(.before, command)) }
        steps.append(ListedStep("", PromoteSuccessor(failed: failed)))
        if let command = playbook.hooks.after { steps.append(hook(.after, command)) }
        return steps + [ListedStep("", FollowSuccessor(failed: failed)), ListedStep("", ReportLoss(failed: failed))]
    }

    private func hook(_ moment: RunHook.Moment, _ command: String) -> ListedStep {
        ListedStep(
            "",
            RunHook(
                moment: moment, command: command, what: "the failover", nodes: { try $0.recall(FailedGroup.succession).map { ($0.old, $0.new) } },
                promoted: { try await failed.promoted($0) }, standing: "\(playbook.primary) is fenced and nobody takes writes", access: access))
    }

    public var requirements: [RequirementGroup] {
        let survey = Survey()
        return [
            RequirementGroup("hosts", HostIsReached.each(of: failed.survivors, of: access, survey: survey)),
            RequirementGroup(
                "the group",
                [PrimaryIsLost(failed: failed), SuccessorIsThere(failed: failed, survey: survey)] + ServiceIsOurs.each(of: failed.survivors, of: access, survey: survey)),
        ]
    }

    /// The lock on every server but that of the lost primary.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(instances: failed.survivors, servers: failed.survivors)
        try await locks.take(holder: holder)
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await locks.take(holder: holder)
        await access.endEarlierSessions(on: failed.survivors)
    }

    /// A failover that has promoted is not undone: clients have written since.
    public func inUse(_ memory: Memory) async throws -> [String] {
        guard memory.began(PromoteSuccessor.self), let new = try await failed.promoted(memory) else { return [] }
        throw PromoteSuccessor.refusal(new, playbook.primary)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        guard let succession = try memory.recall(FailedGroup.succession) else { return ["Done."] }
        return ["\(succession.new) is the primary."] + (try memory.recall(ReportLoss.words) ?? [])
            + [
                "No commit waits for a standby there: `procedure: synchronous` turns that on again.",
                "\(succession.old) is not started: `procedure: rejoin` brings it back. Until then nothing keeps WAL for it.",
            ]
    }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        do {
            if let new = try await failed.promoted(memory) { return .stays("\(new) is the primary and takes writes; the run has yet to see to the others.") }
        } catch {
            return .stays("Whether a standby was promoted cannot be seen: \(Problem(explaining: error).fact)")
        }
        return .stays("Nobody was promoted\(memory.began(FencePrimary.self) ? ", and \(playbook.primary) is fenced: nobody takes writes until the run is resumed" : "").")
    }

    public func close() async {
        await locks.release()
        await access.close()
    }
}

/// The primary is lost: a failover is not for one that works.
struct PrimaryIsLost: Requirement {
    let name = "primary"
    let failed: FailedGroup
    var place: String? { failed.old }

    func look(_ memory: Memory) async throws -> [Finding] {
        let old = failed.old
        if memory.began(FencePrimary.self) { return [try await fenced(memory)] }
        // A server that is deaf takes most of it, and has a host to be asked for its processes.
        let node = try await failed.group.node(old, deadline: .after(.seconds(20)))
        switch node.state {
        case .serving(let look):
            let what = look.recovery.isInRecovery ? "is a standby" : "works: it answers, and takes writes"
            return [
                Finding(
                    name, on: old, what,
                    .notMet(hint: look.recovery.isInRecovery ? "name the primary that is lost" : failed.words.works))
            ]
        case .down(let data): return [Finding(name, on: old, "stopped: \(data.state.rawValue), timeline \(data.timeline)")]
        case .deaf(let processes, let problem):
            if let refusal = try await refusal() {
                return [
                    Finding(
                        name, on: old, "answers, and does not let pggraft in: \(refusal.fact)",
                        .notMet(
                            hint: "it may serve others: mend the login (pg_hba.conf, the password file); where it is to be failed over all the same: stop it "
                                + "(pg_ctl stop -m fast), or fence it yourself and say \(failed.words.dead)"))
                ]
            }
            return [Finding(name, on: old, "\(processes.count) processes are there, and let nobody in: \(problem.fact)")]
        case .unreachable(let problem):
            return try failed.primaryIsDead(memory)
                ? [
                    Finding(
                        name, on: old, "cannot be reached, and is dead as you say: \(problem.fact)",
                        .note(hint: "see to it that it does not come back as a primary: what starts it?"))
                ]
                : [Finding(notMet: name, on: old, failed.unreachable(problem))]
        }
    }
}

extension PrimaryIsLost {
    /// What a server says that does not let pggraft in; `nil` where it says nothing, or that it is about to start or to stop.
    private func refusal() async throws -> PostgresError? {
        do {
            _ = try await failed.access.server(failed.old, deadline: .after(.seconds(5)))
            return nil
        } catch let error as PostgresError {
            return Self.isAnswer(error) ? error : nil
        } catch let error where !(error is CancellationError) {
            return nil
        }
    }

    /// Whether this is the answer of a server that works: class 57P is that of one that starts, stops or has crashed.
    static func isAnswer(_ error: PostgresError) -> Bool { error.code.map { !$0.hasPrefix("57P") } ?? false }

    /// Of one that the run has begun to fence, and has promoted nobody for: it may be the primary again by now, which is nobody's to kill.
    private func fenced(_ memory: Memory) async throws -> Finding {
        let old = failed.old, fenced = Finding(name, on: old, "the run has fenced it")
        if memory.began(PromoteSuccessor.self), try await failed.promoted(memory) != nil { return fenced }
        guard try await failed.isPrimaryAgain() else { return fenced }
        return Finding(
            name, on: old, "works again, and takes writes: somebody has started it as the primary since the run began",
            .notMet(hint: "where it shall stay: `pggraft undo` takes back what the run has prepared; where not: stop it (pg_ctl stop -m fast), then resume"))
    }
}

/// There is a standby that can take the place of the primary.
struct SuccessorIsThere: Requirement {
    let name = "standby"
    let failed: FailedGroup
    let survey: Survey

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await failed.look()
        if let new = try memory.recall(FailedGroup.succession)?.new {
            if view[new]?.isPrimary != true, let problem = view.obstacle(toPromoting: new, hint: failed.otherPrimaryHint(new)) { return [Finding(notMet: name, problem)] }
            return [Finding(name, "it is chosen")]
        }
        if let new = view.nodes.first(where: { $0.name != failed.old && $0.isPrimary }) { return [Finding(name, on: new.name, "is the primary already")] }
        let succession = try Succession(view, of: failed.old, to: failed.wanted)
        return [Finding(name, on: succession.new, "has most: received up to \(succession.received) on timeline \(succession.timeline)")]
            + view.nodes.filter { $0.name != failed.old && $0.look == nil }.map {
                Finding(name, on: $0.name, view.description(of: $0), .note(hint: "it may have more: start it first, if it can be"))
            }
    }
}
