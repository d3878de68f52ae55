import EventLoop
import Instance
import RemoteHost
import Report
public import Run

/// A host is reached, and commands run there as the right user.
public struct HostIsReached: Requirement {
    public let name = "host"
    private let host: String
    /// The other nodes on it.
    private var others: [String] = []
    private let access: ClusterAccess
    private let survey: Survey

    public init(_ host: String, of access: ClusterAccess, survey: Survey) {
        (self.host, self.access, self.survey) = (host, access, survey)
    }

    /// One for each host that `names` are on, however many of them: those that SSH reaches in the same way.
    public static func each(of names: [String], of access: ClusterAccess, survey: Survey) -> [HostIsReached] {
        let entries = access.roster.entries + access.roster.otherHosts
        var found: [(way: [String], requirement: HostIsReached)] = []
        for name in names {
            let way = entries.first { $0.name == name }.map { [$0.ssh, $0.osUser] } ?? [name]
            if let index = found.firstIndex(where: { $0.way == way }) {
                found[index].requirement.others.append(name)
            } else {
                found.append((way, HostIsReached(name, of: access, survey: survey)))
            }
        }
        return found.map(\.requirement)
    }

    public var place: String? { host }

    public func look(_ memory: Memory) async throws -> [Finding] {
        let user = try access.roster.entry(host).osUser, machine = try await access.host(host)
        let offset = try await machine.clockOffset(as: user, deadline: .after(.seconds(20)))
        for node in [host] + others { await survey.reached(node, clockOffset: offset) }
        let also = others.isEmpty ? "" : "; \(list(others)) \(others.count == 1 ? "is" : "are") there too"
        return [Finding(name, on: host, "reached as \(machine.loginUser), commands run as \(user)\(also)")]
    }
}

/// The clocks of the hosts that were reached agree within a second.
public struct ClocksAgree: Requirement {
    public let name = "clocks"
    private let survey: Survey
    private let reason: String

    /// - Parameter reason: why that matters.
    public init(survey: Survey, because reason: String) { (self.survey, self.reason) = (survey, reason) }

    public func look(_ memory: Memory) async throws -> [Finding] {
        let offsets = await survey.offsets
        guard let first = offsets.min(by: { $0.value < $1.value }), let last = offsets.max(by: { $0.value < $1.value }) else { throw NotLooked() }
        let apart = last.value - first.value, text = "at most \(Int(apart * 1000)) ms apart (\(first.key), \(last.key))"
        return [Finding(name, text, apart < 1 ? .met : .notMet(hint: "set the clocks with NTP: \(reason)"))]
    }
}

/// Where systemd runs a server, it can be told to start and to stop it: the one that runs it knows then what is so, and does not start it again
/// by itself.
public struct ServiceIsOurs: Requirement {
    public let name = "service"
    private let node: String
    private let access: ClusterAccess
    private let survey: Survey

    public init(_ node: String, of access: ClusterAccess, survey: Survey) { (self.node, self.access, self.survey) = (node, access, survey) }

    public static func each(of nodes: [String], of access: ClusterAccess, survey: Survey) -> [any Requirement] {
        nodes.map { ServiceIsOurs($0, of: access, survey: survey) }
    }

    public var place: String? { node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([node])
        return try await Self.look(at: node, of: access)
    }

    /// What is found of a node whose host is reached.
    public static func look(at node: String, of access: ClusterAccess) async throws -> [Finding] {
        let name = "service", instance: Instance
        // Others tell what is the matter with it.
        do { instance = try await access.instance(node) } catch is InstanceError { throw NotLooked() }
        guard case .systemd(let unit) = instance.manager else { return [] }
        guard try await instance.host.lets("root", deadline: .after(.seconds(20))) else {
            let user = instance.host.loginUser
            return [
                Finding(
                    name, on: node, "systemd runs it as \(unit), and \(user) may not run commands as root there",
                    .notMet(
                        hint: "allow it without a password, in a file of /etc/sudoers.d: `\(user) ALL=(root) NOPASSWD: ALL`, or log in as root. "
                            + "systemctl alone is not enough: what is begun again where pggraft is gone is begun by a shell of root's"))
            ]
        }
        return [Finding(name, on: node, "started and stopped by systemd: \(unit)")]
    }
}

/// The watchdog of a lease outlives the session that starts it, which systemd's logind may not let it.
public struct LeaseOutlivesSession: Requirement {
    public let name = "read-only lease"
    private let node: String
    private let access: ClusterAccess
    private let survey: Survey

    public init(_ node: String, of access: ClusterAccess, survey: Survey) {
        (self.node, self.access, self.survey) = (node, access, survey)
    }

    public var place: String? { node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([node])
        let host = try await access.host(node), user = host.loginUser
        let lines = try await host.require(.script(LogindSettings.reading), deadline: .after(.seconds(20))).text
        guard let isKilled = LogindSettings(lines).kills(user) else { return [] }
        return [
            isKilled
                ? Finding(
                    name, on: node, "logind ends what outlives a session of \(user) (KillUserProcesses)",
                    .notMet(hint: "say KillUserProcesses=no, or KillExcludeUsers=\(user), in /etc/systemd/logind.conf and restart systemd-logind"))
                : Finding(name, on: node, "its watchdog outlives a session of \(user)")
        ]
    }
}
