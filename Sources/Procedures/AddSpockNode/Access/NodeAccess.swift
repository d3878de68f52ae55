import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

/// Who the new node lets in while it joins, and how: asked of the source once.
struct NodeAccess: Sendable {
    /// The rules of the nodes and of pggraft, as they are written: none of them holds a secret.
    static let rules = Fact<[String]>("rules of the nodes")
    /// How findings and problems call pggraft's own connection.
    static let itself = "pggraft"

    let mesh: SpockMesh
    private let standby: Standby
    private let acceptsTrust: Bool
    private let found = SharedLook<Admissions>()

    init(_ mesh: SpockMesh, _ standby: Standby, acceptsTrust: Bool) { (self.mesh, self.standby, self.acceptsTrust) = (mesh, standby, acceptsTrust) }

    private var access: ClusterAccess { mesh.access }

    /// How each node, and pggraft itself, will be let in.
    func admissions() async throws -> Admissions { try await found.value { try await look() } }

    private func look() async throws -> Admissions {
        let deadline = Deadline.after(.seconds(60)), source = mesh.source
        let original = try await access.instance(source), connection = try await access.server(source).connection
        async let asking = self.callers(deadline: deadline)
        let configuration = try await original.configuration(through: connection, deadline: deadline)
        let files = try await original.accessRules(configuration, through: connection, deadline: deadline)
        let copy = try await access.instance(mesh.newNode), isThere = try await standby.node.state() > .partlyRestored
        async let place = copy.configurationFiles(deadline: deadline)
        async let looked = self.ground(source: files, original, configuration.files, isThere: isThere, deadline: deadline)
        let callers = try await asking, bySocket = HBAConnection(user: access.roster.role, database: mesh.database, from: .socket)
        let decisions = try await onEach(Array(Set(callers.flatMap(\.attempts) + [bySocket]))) {
            try await original.explain($0, by: files, through: connection, deadline: deadline).decision
        }
        let ground = try await looked
        let admissions = callers.map { caller in
            // A host with several addresses comes in by the first that is let in, as libpq tries them.
            let tried = caller.addresses.map { Admission(of: caller, from: $0, on: ground, deciding: decisions) }
            return tried.first { $0.problem == nil } ?? tried.first ?? Admission(ofUnknown: caller)
        }
        var found = Admissions(admissions, osUser: copy.user, version: original.version)
        // Opened, it has the source's file: one that its server refuses would leave it closed.
        let server = HBAServer(
            original.version, build: files.server.build, sslIsOn: ground.tls.isOn, oauthValidators: files.server.oauthValidators)
        let opened = try await copy.rules(
            of: files.content ?? [], for: server, at: try await place, copying: isThere ? nil : original, deadline: deadline)
        found.missingFile = ground.missingFile
        if access.roster.role == copy.user, case .rule(_, let rule)? = decisions[bySocket] {
            found.comesBySocket = ["peer", "trust"].contains(rule.method) && !rule.options.contains { $0.name == "map" }
        }
        found.refusals = opened.areAccepted ? [] : opened.refusals.map { Redaction.redacted("\($0): \($0.reading.problem ?? "refused")") }
        return found
    }

    private func ground(
        source: AccessRules, _ original: Instance, _ files: ConfigurationFiles, isThere: Bool, deadline: Deadline
    ) async throws -> Admission.Ground {
        let clone = try await standby.configuration(without: CopiedDatabase.knownReplicators), tls = try clone.tls(), copy = try await access.instance(mesh.newNode)
        var missing: String?
        if tls.isOn {
            let files = [tls.certificateFile, tls.keyFile, tls.authorityFile].filter { !$0.isEmpty }
            // What will come with the data directory is where that still is.
            let travelling = isThere ? [] : files.filter { !$0.hasPrefix("/") }.map { "\(original.dataDirectory)/\($0)" }
            let own = files.filter { $0.hasPrefix("/") || isThere }.map { $0.hasPrefix("/") ? $0 : "\(copy.dataDirectory)/\($0)" }
            async let lacking = original.unreadable(travelling, deadline: deadline)
            let there = try await copy.unreadable(own, deadline: deadline)
            missing = try await (there + lacking).first.map { "\($0) is not on \(mesh.newNode), or its OS user may not read it" }
        }
        func isInside(_ files: ConfigurationFiles) -> Bool { files.identFile.path.hasPrefix(files.dataDirectory.path + "/") }
        return Admission.Ground(
            source: mesh.source, newNode: mesh.newNode, sourceHasTLS: source.server.sslIsOn, tls: tls, missingFile: missing,
            hasMaps: isInside(files) && isInside(clone.target.files), acceptsTrust: acceptsTrust)
    }

    /// Every node that connects to the new one, itself among them, and pggraft, which comes from the new node's own host.
    private func callers(deadline: Deadline) async throws -> [Caller] {
        let roster = access.roster, dsn = try mesh.newNodeDSN, own = try roster.entry(mesh.newNode), source = try roster.entry(mesh.source)
        let target = dsn["hostaddr"] ?? dsn["host"] ?? own.address
        let routes = try await onEach(mesh.nodes) { [access, mesh] node in
            let targets = node == mesh.newNode ? [target, source.address, own.address] : [target, source.address]
            return try await Routes.look(to: targets, from: try await access.host(node), as: try access.roster.entry(node).osUser, deadline: deadline)
        }
        var callers = try mesh.nodes.map { node in
            let address = try roster.entry(node).address, routes = routes[node] ?? Routes("", targets: 1)
            return Caller(
                name: node, user: dsn["user"] ?? roster.role, database: mesh.database, sslmode: dsn["sslmode"], addresses: routes.known(as: address),
                places: routes.places(of: address), hasCertificate: routes.hasCertificate || dsn["sslcert"] != nil)
        }
        if var routes = routes[mesh.newNode] {
            let known = routes.known(as: own.address)
            routes.addresses = [routes.addresses.last ?? []]
            callers.append(
                Caller(
                    name: Self.itself, user: roster.role, database: mesh.database, addresses: known,
                    places: routes.places(of: own.address)))
        }
        return callers
    }
}

/// How every node, and pggraft itself, will be let in by the new node.
struct Admissions: Sendable {
    var all: [Admission]
    /// The lines of the source's `pg_hba.conf` that the new node's server would refuse, and with them the file.
    var refusals: [String] = []
    /// Without which it does not start with TLS.
    var missingFile: String?
    /// Whether pggraft itself is let in by the socket, as the OS user: by the source, and so by the new node.
    var comesBySocket = false
    private let osUser: String
    private let server: HBAServer

    init(_ all: [Admission], osUser: String, version: MajorVersion) { (self.all, self.osUser, server) = (all, osUser, HBAServer(version)) }

    subscript(caller: String) -> Admission? { all.first { $0.caller.name == caller } }

    var problems: [Problem] { all.filter { !comesBySocket || $0.caller.name != NodeAccess.itself }.compactMap(\.problem) }

    /// What lets in the nodes and pggraft, pggraft's own first.
    ///
    /// - Throws: `Problem`, where one of them cannot be let in.
    func rules() throws -> [HBARule] {
        if let problem = problems.first { throw problem }
        return (all.filter { $0.caller.name == NodeAccess.itself } + all.filter { $0.caller.name != NodeAccess.itself }).flatMap(\.rules)
    }

    /// The `pg_hba.conf` of the time until the new node has joined: the nodes, pggraft, and the OS user by the socket.
    func closed() throws -> HBAFile {
        if let problem = problems.first { throw problem }
        var rules = [HBARule(localTo: [.all], users: [.named(osUser)], method: "peer")]
        for admission in all {
            for var rule in admission.rules {
                // It looks into every database that came with the copy.
                if admission.caller.name == NodeAccess.itself { rule.databases = [.all] }
                if !rules.contains(rule) { rules.append(rule) }
            }
        }
        return HBAFile(only: rules, comment: "Closed by pggraft until this node has joined: only the nodes of the cluster may connect.", for: server)
    }
}
