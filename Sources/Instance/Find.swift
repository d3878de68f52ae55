public import EventLoop
import PostgresConfig
public import RemoteHost

extension Instance {
    /// Finds the instance that `address` means: its data directory by the port, its programs by the version, its service
    /// manager by what runs it. Two looks at the host.
    ///
    /// - Parameter original: what it is a copy of, found meanwhile: its version, and its programs where this host has them at the same place.
    /// - Throws: ``InstanceError`` when there is none, or Debian's tools do not know it though they shall manage it, or its programs are not there; what the host throws, and what `original` throws.
    public static func find(
        _ address: InstanceAddress, on host: any Host, copyOf original: @Sendable () async throws -> Instance? = { nil }, deadline: Deadline
    ) async throws -> Instance {
        async let looking = host.require(.script(InstalledServers.script).as(address.user), deadline: deadline).text
        let original = try await original()
        let there = InstalledServers(try await looking)

        guard
            let dataDirectory = address.dataDirectory
                ?? there.servers.first(where: { $0.port == address.port })?.dataDirectory
                ?? there.clusters.first(where: { $0.port == address.port })?.dataDirectory
        else { throw InstanceError.nothingOnPort(node: address.node, host: host.name, port: address.port) }
        let cluster = there.clusters.first { $0.dataDirectory == dataDirectory }, server = there.servers.first { $0.dataDirectory == dataDirectory }

        if address.isDebianCluster, cluster == nil { throw InstanceError.noDebianCluster(node: address.node, host: host.name, dataDirectory: dataDirectory) }

        let supposed = original?.version ?? address.version ?? cluster.flatMap { MajorVersion($0.version) }
        func places(_ version: MajorVersion?) -> [HostPath] {
            if let given = address.binDirectory { return [given] }
            let usual = version.map { ["/usr/lib/postgresql/\($0)/bin", "/usr/pgsql-\($0)/bin"] } ?? []
            return [original?.binaries.directory, server?.program.directory].compactMap(\.self) + usual.compactMap { HostPath($0) } + [there.configured].compactMap(\.self)
        }
        let words = [dataDirectory.path, server.map { "\($0.pid)" } ?? "", cluster?.unit ?? ""] + places(supposed).map(\.path)
        let output = try await host.require(Command(words: ["sh", "-c", FoundInstance.script, "sh"] + words, user: address.user), deadline: deadline).text
        guard let found = FoundInstance(output) else {
            throw InstanceError.unreadable(node: address.node, host: host.name, what: "the state of \(dataDirectory)")
        }

        var held: MajorVersion?
        if case .cluster(let version) = found.state { held = version }
        // One that was stopped has been started with some.
        let known = held ?? supposed, usual = places(known), started = address.binDirectory == nil && server == nil ? [found.startedIn].compactMap(\.self) : []
        let lookedIn = Array(usual.prefix { $0 == original?.binaries.directory }) + started + usual.drop { $0 == original?.binaries.directory }
        // A directory that was given is taken at its word; so is the original's, for want of another: the caller compares versions and names both.
        let wanted = address.binDirectory == nil ? known : nil
        let binaries =
            Binaries.choose(from: found.programs, in: lookedIn, version: wanted)
            ?? original.flatMap { original in Binaries.choose(from: found.programs, in: lookedIn.filter { $0 == original.binaries.directory }, version: nil) }
        guard let binaries else { throw InstanceError.noBinaries(node: address.node, host: host.name, version: known, lookedIn: lookedIn.map(\.path)) }
        guard let version = known ?? binaries.version else {
            throw InstanceError.unknownVersion(node: address.node, host: host.name, dataDirectory: dataDirectory)
        }
        if let other = binaries.version, other != version {
            throw InstanceError.wrongBinaries(node: address.node, host: host.name, directory: binaries.directory, found: other, needed: version)
        }
        var unit = address.isDebianCluster ? nil : found.unit
        // Of a server that does not run, systemd need not know, where nobody here may tell it.
        if unit != nil, server == nil, address.manager == nil, try await !host.lets("root", deadline: deadline) { unit = nil }
        let manager = address.manager ?? unit.map { .systemd(unit: $0) } ?? cluster.map { .pgCtlCluster(version: $0.version, cluster: $0.name) } ?? .pgCtl
        return Instance(
            host: host, node: address.node, user: address.user, port: address.port, dataDirectory: dataDirectory, version: version,
            binaries: binaries, manager: manager, debianCluster: cluster, startOptions: address.startOptions)
    }
}

/// The first look at a host: what servers there are.
struct InstalledServers: Sendable {
    let clusters: [DebianCluster]
    let servers: [RunningServer]
    /// Where `pg_config` says that the programs are.
    let configured: HostPath?

    static let script = """
        if command -v pg_lsclusters >/dev/null; then
          clusters=$(pg_lsclusters --no-header) || exit
          printf '%s\\n' "$clusters" | sed 's/^/cluster /'
        fi
        \(RunningServer.survey) | sed 's/^/server /'
        if command -v pg_config >/dev/null; then printf 'programs %s\\n' "$(pg_config --bindir)"; fi
        """

    init(_ output: String) {
        func rest(of kind: String) -> String {
            output.split(separator: "\n").filter { $0.hasPrefix(kind + " ") }.map { $0.dropFirst(kind.count + 1) }.joined(separator: "\n")
        }
        (clusters, servers, configured) = (DebianCluster.parse(rest(of: "cluster")), RunningServer.parse(rest(of: "server")), HostPath(rest(of: "programs")))
    }
}

/// The second look: what is at the place, who runs it, and which programs there are for it.
struct FoundInstance: Sendable {
    let state: DataDirectoryState
    /// systemd's, where it runs the server now, or nothing runs and it is there to: a server that someone started beside it would not be found
    /// again by it.
    let unit: String?
    /// Where the programs are that it was started with last, as it has written down itself.
    let startedIn: HostPath?
    /// What ``Binaries/survey`` wrote.
    let programs: String

    /// Values: the data directory, the server's process or nothing, the unit that is usual for it or nothing, directories of programs. Those that are
    /// usual for what the data directory holds are looked into as well.
    static let script = """
        data=$1 server=$2 usual=$3
        shift 3
        if [ -f "$data/PG_VERSION" ] && version=$(head -n 1 -- "$data/PG_VERSION"); then
          set -- "$@" "/usr/lib/postgresql/$version/bin" "/usr/pgsql-$version/bin"
        fi
        if [ -r "$data/postmaster.opts" ] && started=$(head -n 1 -- "$data/postmaster.opts") && started=${started%% *}; then
          set -- "$@" "${started%/*}"
          printf 'started %s\\n' "${started%/*}"
        fi
        \(Binaries.survey)
        if [ -n "$server" ]; then printf 'unit %s\\n' "$(set -- "$server"; \(unitOfProcess))"
        else printf 'unit %s\\n' "$(set -- "$data" "$usual"; \(unitOfDirectory))"; fi
        echo state
        set -- "$data"
        \(DataDirectoryState.script)
        """

    /// `nil` for what ``script`` does not write.
    init?(_ output: String) {
        let all = lines(of: output)
        guard let end = all.firstIndex(of: "state"), let state = DataDirectoryState.parse(Array(all[(end + 1)...])) else { return nil }
        self.state = state
        unit = all[..<end].last { $0.hasPrefix("unit ") }.map { String($0.dropFirst(5)) }.flatMap { $0.isEmpty ? nil : $0 }
        startedIn = all[..<end].last { $0.hasPrefix("started ") }.flatMap { HostPath(String($0.dropFirst(8))) }
        programs = all[..<end].filter { !$0.hasPrefix("unit ") && !$0.hasPrefix("started ") }.joined(separator: "\n")
    }

    /// The service that would start a server in `$1`: `$2`, or one that says so itself, as those of other distributions do.
    private static let unitOfDirectory = """
        [ -d /run/systemd/system ] && command -v systemctl >/dev/null || exit 0
        if [ -n "$2" ]; then
          [ "$(systemctl show --property=LoadState --value -- "$2")" != loaded ] || printf '%s\\n' "$2"
          exit 0
        fi
        for unit in $(systemctl list-unit-files --no-legend 'postgres*.service' | cut -d ' ' -f 1); do
          case $unit in *@.service) continue ;; esac
          systemctl show --property=Environment --value -- "$unit" | tr ' ' '\\n' | grep -qxF -e "PGDATA=$1" -e "PGDATA=$1/" && printf '%s\\n' "$unit" && exit 0
        done
        exit 0
        """

    /// The service whose main process is `$1`. A process that merely descends from a service (sshd's) has another main process.
    private static let unitOfProcess = """
        [ -d /run/systemd/system ] && command -v systemctl >/dev/null || exit 0
        unit=$(sed -n 's|.*/\\([^/]*\\.service\\)$|\\1|p' "/proc/$1/cgroup" | head -n 1)
        [ -n "$unit" ] || exit 0
        [ "$(systemctl show --property=MainPID --value -- "$unit")" = "$1" ] && printf '%s\\n' "$unit"
        exit 0
        """
}

/// A server that runs on the host now.
struct RunningServer: Sendable, Hashable {
    let pid: Int32
    let port: UInt16
    let program: HostPath
    let dataDirectory: HostPath

    /// Every process whose working directory holds a `postmaster.pid` with its own number, which only a postmaster has.
    static let survey = """
        for process in /proc/[0-9]*; do
          data=$(readlink "$process/cwd" 2>/dev/null) || continue
          [ -r "$data/postmaster.pid" ] || continue
          { read -r pid; read -r given; read -r started; read -r port; } <"$data/postmaster.pid" || continue
          [ "/proc/$pid" = "$process" ] || continue
          printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$pid" "$port" "$(readlink "$process/exe")" "$data" "$given"
        done
        """

    static func parse(_ output: String) -> [RunningServer] {
        output.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 5, let pid = Int32(fields[0]), let port = UInt16(fields[1]) else { return nil }
            // After an upgrade of the package the running program is a deleted file; its directory is still right.
            let deleted = " (deleted)"
            let program = fields[2].hasSuffix(deleted) ? String(fields[2].dropLast(deleted.count)) : fields[2]
            // As it was given, where that is absolute: a name that passes through links is the one everybody knows.
            guard let program = HostPath(program), let directory = HostPath(fields[4]) ?? HostPath(fields[3]) else { return nil }
            return RunningServer(pid: pid, port: port, program: program, dataDirectory: directory)
        }
    }
}
