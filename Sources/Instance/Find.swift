public import EventLoop
import PostgresConfig
public import RemoteHost

extension Instance {
    /// Finds the instance that `address` means: its data directory by the port, its programs by the version, its service
    /// manager by what runs it.
    ///
    /// - Throws: ``InstanceError`` when there is none, or its programs are not there; what the host throws.
    public static func find(_ address: InstanceAddress, on host: any Host, deadline: Deadline) async throws -> Instance {
        let clusters = DebianCluster.parse(
            try await host.require(.script(listClusters).as(address.user), deadline: deadline).text)
        let servers = RunningServer.parse(
            try await host.require(.script(RunningServer.survey).as(address.user), deadline: deadline).text)

        guard
            let dataDirectory = address.dataDirectory
                ?? servers.first(where: { $0.port == address.port })?.dataDirectory
                ?? clusters.first(where: { $0.port == address.port })?.dataDirectory
        else { throw InstanceError.nothingOnPort(node: address.node, host: host.name, port: address.port) }
        let cluster = clusters.first { $0.dataDirectory == dataDirectory }
        let server = servers.first { $0.dataDirectory == dataDirectory }

        let state = try await DataDirectoryState.look(at: dataDirectory, as: address.user, on: host, deadline: deadline)
        var held: MajorVersion?
        if case .cluster(let version) = state { held = version }
        let version = held ?? address.version ?? cluster.flatMap { MajorVersion($0.version) }
        let binaries = try await binaries(for: address, version: version, running: server, on: host, deadline: deadline)
        guard let version = version ?? binaries.version else {
            throw InstanceError.unknownVersion(node: address.node, host: host.name, dataDirectory: dataDirectory)
        }
        if let found = binaries.version, found != version {
            throw InstanceError.wrongBinaries(
                node: address.node, host: host.name, directory: binaries.directory, found: found, needed: version)
        }
        var manager = address.manager
        if manager == nil { manager = try await serviceManager(of: cluster, running: server, on: host, deadline: deadline) }
        return Instance(
            host: host, node: address.node, user: address.user, port: address.port, dataDirectory: dataDirectory, version: version,
            binaries: binaries, manager: manager ?? .pgCtl, debianCluster: cluster, startOptions: address.startOptions)
    }

    private static let listClusters = "command -v pg_lsclusters >/dev/null || exit 0; exec pg_lsclusters --no-header"

    private static func binaries(
        for address: InstanceAddress, version: MajorVersion?, running server: RunningServer?, on host: any Host, deadline: Deadline
    ) async throws -> Binaries {
        var places: [HostPath] = []
        if let given = address.binDirectory {
            places = [given]
        } else {
            if let program = server?.program { places.append(program.directory) }
            if let version {
                places += ["/usr/lib/postgresql/\(version)/bin", "/usr/pgsql-\(version)/bin"].compactMap { HostPath($0) }
            }
            let asked = try await host.run(.script("command -v pg_config >/dev/null && exec pg_config --bindir").as(address.user), deadline: deadline)
            if let directory = HostPath(asked.text) { places.append(directory) }
        }
        let output = try await host.require(
            Command(words: ["sh", "-c", Binaries.survey, "sh"] + places.map(\.path), user: address.user), deadline: deadline
        ).text
        // A directory that was given is taken at its word; the caller compares versions and names both.
        let wanted = address.binDirectory == nil ? version : nil
        guard let binaries = Binaries.choose(from: output, in: places, version: wanted) else {
            throw InstanceError.noBinaries(node: address.node, host: host.name, version: version, lookedIn: places.map(\.path))
        }
        return binaries
    }

    /// systemd only where it runs the server now: a server that someone started beside it would not be found again by it.
    private static func serviceManager(
        of cluster: DebianCluster?, running server: RunningServer?, on host: any Host, deadline: Deadline
    ) async throws -> ServiceManager {
        if let server {
            let unit = try await host.run(.script(unitOfProcess, "\(server.pid)"), deadline: deadline).text
            if !unit.isEmpty { return .systemd(unit: unit) }
        }
        if let cluster { return .pgCtlCluster(version: cluster.version, cluster: cluster.name) }
        return .pgCtl
    }

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
