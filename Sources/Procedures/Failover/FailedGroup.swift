import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
public import Run
import Server

/// Who takes the place of a primary that is lost, and who follows it.
struct Succession: Sendable, Hashable, Codable {
    let old: String
    let new: String
    /// The other standbys that are there, and streamed from the old primary.
    let followers: [Follower]
    /// What the new one had received when it was chosen.
    let received: LSN
    let timeline: UInt32
    /// The password file that it streams with; `nil` for that of its OS user.
    let passfile: String?

    /// Nobody else follows the new one.
    init(old: String, new: String, received: LSN, timeline: UInt32) {
        (self.old, self.new, self.received, self.timeline, followers, passfile) = (old, new, received, timeline, [], nil)
    }

    /// - Parameter wanted: the standby that the operator names; `nil` for the one that has most.
    /// - Throws: `Problem` where there is none, and where another one has more.
    init(_ view: GroupView, of old: String, to wanted: String?) throws {
        guard let lost = view[old] else { throw UnknownNode(name: old) }
        let candidates = view.standbys(of: lost).map(\.name)
        guard let best = view.mostAdvanced(among: candidates) else {
            throw Problem(
                "no standby of \(old) can be asked: \(view.nodes.filter { $0.name != old }.map { "\($0.name): \(view.description(of: $0))" }.joined(separator: "; "))",
                hint: "start one of them")
        }
        let chosen = wanted ?? best.name
        guard let node = view[chosen], candidates.contains(chosen), let look = node.look, let received = look.reachedLSN, let most = best.look?.reachedLSN else {
            throw Problem("\(chosen) is no standby of \(old) that can be asked", hint: "leave out `to`: \(best.name) has most")
        }
        if received < most || (look.timeline ?? 0) < (best.look?.timeline ?? 0) {
            throw Problem(
                "\(best.name) has \(UInt64(max(0, most.bytes(since: received))).inBytes) more than \(chosen): they would be lost", hint: "leave out `to`, or name \(best.name)")
        }
        (self.old, new, self.received, timeline, passfile) = (old, chosen, received, look.timeline ?? 0, look.conninfo?["passfile"])
        followers = view.standbys(of: lost).filter { $0.name != chosen }.compactMap { other in
            guard let own = other.look?.conninfo else { return nil }
            return Follower(name: other.name, upstream: chosen, conninfo: Follower.conninfo(like: own, from: node, as: other.applicationName), slot: other.slot)
        }
    }
}

extension Consent {
    /// A primary that cannot be reached is dead, and stays so.
    public static let primaryIsDead = Consent(rawValue: "primary-is-dead")
}

/// The group whose primary is lost.
struct FailedGroup: Sendable {
    /// Who takes the primary's place, once that was decided.
    static let succession = Fact<Succession>("succession")
    /// Where the new primary has left the old one's timeline.
    static let promotion = Fact<Left>("promotion")

    struct Left: Sendable, Codable {
        let timeline: UInt32
        let from: UInt32
        let at: LSN
    }

    /// What is said of a primary that is not seen to be lost.
    struct Words: Sendable {
        /// How the operator says that it is dead.
        var dead: String
        /// What to do where it works.
        var works: String

        static let pair = Words(
            dead: "--primary-is-dead or `primary_is_dead: true` in the playbook", works: "use `procedure: switchover`, which loses nothing; or stop it first")
    }

    let group: Group
    let old: String
    let wanted: String?
    let words: Words
    private let isSaidToBeDead: Bool
    /// Whether nobody but the standby that the operator names can take its place, whatever its server says of whom it streams from: before 12 that stands
    /// in no setting.
    private let hasOneStandby: Bool

    init(group: Group, old: String, wanted: String?, primaryIsDead: Bool, words: Words = .pair, hasOneStandby: Bool = false) {
        (self.group, self.old, self.wanted, self.words, isSaidToBeDead, self.hasOneStandby) = (group, old, wanted, words, primaryIsDead, hasOneStandby)
    }

    /// Why it cannot be fenced, and what the operator has to see to.
    func unreachable(_ error: any Error) -> Problem {
        Problem(
            "\(old) cannot be fenced: \(Problem(explaining: error).fact)",
            hint: "power it off, or cut it off from its clients for good; then say so, with \(words.dead). While it may be alive, two primaries are possible")
    }

    /// Whether the operator has said that the primary is dead: in the playbook, with this command, or when the run was begun or resumed.
    func primaryIsDead(_ memory: Memory) throws -> Bool { try isSaidToBeDead || memory.consented(to: .primaryIsDead) }

    var access: ClusterAccess { group.access }
    /// The nodes but the one that is lost, which may not answer at all.
    var survivors: [String] { group.nodes.filter { $0 != old } }

    /// Its instance. Clients wait: where it gave no answer just now it is not waited for as long again.
    func oldInstance() async throws -> Instance { try await access.instance(old, deadline: .after(group.gaveNoAnswer(old) ? .seconds(3) : .seconds(20))) }

    /// The group as the survivors have it. The one that is lost is not asked: clients wait.
    func look() async throws -> GroupView {
        let entry = try access.roster.entry(old), lost = GroupView.Node(name: old, address: entry.address, port: entry.port, state: .unreachable(Problem("it is lost")))
        return GroupView([lost] + (try await Group(survivors, of: access).look().nodes))
    }

    func succession(_ memory: Memory) async throws -> Succession {
        if let kept = try memory.recall(Self.succession) { return kept }
        if hasOneStandby, let wanted {
            let look = try await access.server(wanted).replication(deadline: .after(.seconds(20)))
            return Succession(old: old, new: wanted, received: look.reachedLSN ?? .zero, timeline: look.timeline ?? 0)
        }
        return try Succession(try await look(), of: old, to: wanted)
    }

    /// The standby that was promoted since; `nil` as long as there is none.
    func promoted(_ memory: Memory) async throws -> String? {
        if let kept = try memory.recall(Self.succession) { return try await access.server(kept.new).isInRecovery(deadline: .after(.seconds(20))) ? nil : kept.new }
        return try await look().nodes.first { $0.name != old && $0.isPrimary }?.name
    }

    /// Whether somebody has started the lost one as the primary again, as far as it can be asked.
    func isPrimaryAgain() async throws -> Bool {
        try await group.node(old, deadline: .after(.seconds(5))).isPrimary
    }

    /// Sees, right before the promotion, that nobody else is the primary: the lost one is still marked as a standby, or dead as the operator says, and none of
    /// the others that can be asked was promoted since.
    /// - Throws: `Problem` that says who is.
    func requireNoOther(than new: String, _ memory: Memory) async throws {
        let group = group, others = survivors.filter { $0 != new }
        async let isFenced = isFenced(memory)
        // Clients wait: one that does not answer is not waited for.
        let found = try await onEach(others) { try await group.node($0, deadline: .after(.seconds(5))) }
        if let problem = GroupView(others.compactMap { found[$0] }).obstacle(toPromoting: new, hint: otherPrimaryHint(new)) { throw problem }
        guard try await isFenced else {
            throw Problem(
                "\(old) is not marked as a standby any more: it may run as the primary, and \(new) is not promoted beside it",
                hint: "where \(old) is the primary again, `pggraft undo` takes back the rest; where it is lost, resume: it is fenced again")
        }
    }

    /// What to do where another node than `new` was promoted.
    func otherPrimaryHint(_ new: String) -> String { "`pggraft undo` takes back what the run has prepared; have \(old) and \(new) follow it: `procedure: rejoin`" }

    /// Whether the lost one has the mark of a standby still, or nobody can see it and it is said to be dead.
    private func isFenced(_ memory: Memory) async throws -> Bool {
        let isDead = try primaryIsDead(memory)
        if isDead, group.gaveNoAnswer(old) { return true }
        do {
            return try await oldInstance().isSealed(deadline: .after(.seconds(20)))
        } catch let error where !(error is CancellationError) {
            guard isDead else { throw unreachable(error) }
            return true
        }
    }

    func admission(_ succession: Succession) throws -> FollowerAdmission {
        let old = try access.roster.entry(old), role = succession.followers.first?.role ?? ""
        return FollowerAdmission(
            of: succession.followers, to: succession.new,
            learningFrom: [.init(succession.new, file: succession.passfile, PasswordFile.Line(host: old.address, port: old.port, database: "replication", user: role))],
            like: { nil }, access)
    }
}
