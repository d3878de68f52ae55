public import EventLoop
import FoundationEssentials
public import PostgresClient
public import RemoteHost
import Report

/// pgBackRest on one host, as the OS user that runs it finds it there: one look, one script.
public struct BackRestLook: Sendable {
    public let host: String
    /// `nil` where the program is not there.
    public let version: BackRestVersion?
    public let home: HostPath
    /// What pgBackRest reads by itself.
    public let configuration: BackRestConfiguration
    /// Files that it would read and that the user may not.
    public let closedFiles: [HostPath]
    /// The file of pggraft's own for the stanza; `nil` where there is none.
    public let ownFile: IniFile?
    /// Of the machine: the same where hosts are one.
    public let machine: String
    public let processes: [BackRestProcess]
    /// Of the paths that were asked about, those that the user cannot read.
    public let missingPaths: [HostPath]
    private let stopFiles: [HostPath]
    private let spools: [HostPath: Bool]

    /// The place of the file of pggraft's own for `stanza`, below the user's home: nothing of the system's is changed, and no root is needed.
    /// - Parameter port: of the server, where another one of the copy has its file on the same host.
    public static func ownFile(for stanza: StanzaName, below home: HostPath, port: UInt16? = nil) -> HostPath {
        home / ".pgbackrest/\(stanza)\(port.map { ".\($0)" } ?? "").conf"
    }

    /// The file that holds by `pgbackrest stop`, for one stanza or for all; `nil` where nothing is stopped.
    public func stopFile(of stanza: StanzaName) -> HostPath? {
        let directory = configuration.value("lock-path", stanza: stanza) ?? "/tmp/pgbackrest"
        return stopFiles.first { $0.directory.path == directory }
    }

    /// Where pgBackRest keeps what it has fetched ahead, if its user can write there or make it.
    public func spool(of stanza: StanzaName) -> (path: HostPath, isOpen: Bool)? {
        guard let path = HostPath(configuration.value("spool-path", stanza: stanza) ?? "/var/spool/pgbackrest") else { return nil }
        return (path, spools[path] ?? false)
    }

    public struct Request: Sendable {
        public var stanza: StanzaName
        public var user: String
        public var program: String
        /// Of the server whose environment counts; `nil` where none does.
        public var dataDirectory: HostPath?
        /// What pgBackRest is told beside its files.
        public var environment: [String: Secret]
        public var configuration: HostPath?
        /// Whether they can be read.
        public var paths: [HostPath]

        public init(
            _ stanza: StanzaName, user: String, program: String = "pgbackrest", dataDirectory: HostPath? = nil, configuration: HostPath? = nil,
            environment: [String: Secret] = [:], paths: [HostPath] = []
        ) {
            (self.stanza, self.user, self.program, self.dataDirectory) = (stanza, user, program, dataDirectory)
            (self.configuration, self.environment, self.paths) = (configuration, environment, paths)
        }

        func told(_ key: String) -> String { environment[BackRestOption.variable(key)]?.reveal() ?? "" }
    }

    /// - Throws: ``IniFile/Malformed`` for a file that pgBackRest would refuse; what the host throws.
    public init(_ request: Request, on host: any Host, deadline: Deadline) async throws {
        let command = Command(
            words: [
                "sh", "-c", Self.script, "sh", request.user, request.stanza.name, request.program, request.dataDirectory?.path ?? "",
                request.configuration?.path ?? "", request.told("config-include-path"), request.told("config-path"),
            ] + request.paths.map(\.path), user: request.user)
        try self.init(try await host.require(command, deadline: deadline).text, request, on: host.name)
    }

    init(_ text: String, _ request: Request, on host: String) throws {
        func bytes(_ text: Substring) throws -> [UInt8] {
            guard let data = Data(base64Encoded: String(text)) else {
                throw BackRestError.unreadable(host: host, command: "base64", why: "a file did not come through whole")
            }
            return Array(data)
        }
        var version: BackRestVersion?, home: HostPath?, files: [IniFile] = [], closed: [HostPath] = [], own: IniFile?
        var machine = "", environment: [String: Secret] = [:], stops: [HostPath] = [], spools: [HostPath: Bool] = [:], missing: [HostPath] = [], processes: [String] = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            guard words.count == 2 else { continue }
            let (kind, rest) = (words[0], words[1]), parts = rest.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            let path = parts.count == 2 ? HostPath(String(parts[1])) : nil
            switch kind {
            case "version": version = BackRestVersion(String(rest))
            case "machine": machine = String(rest)
            case "home": home = HostPath(String(rest))
            case "file": if let path { if parts[0] == "-" { closed.append(path) } else { files.append(try IniFile(try bytes(parts[0]), path: path)) } }
            case "own": if let path, parts[0] != "-" { own = try IniFile(try bytes(parts[0]), path: path) }
            case "variable":
                let named = rest.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                if named.count == 2 { environment[named[0]] = Secret(named[1]) }
            case "stop": if let path = HostPath(String(rest)) { stops.append(path) }
            case "spool": if let path { spools[path] = parts[0] == "open" }
            case "missing": if let path = HostPath(String(rest)) { missing.append(path) }
            case "process": processes.append(String(rest))
            default: break
            }
        }
        guard let home else { throw BackRestError.unreadable(host: host, command: "getent passwd \(request.user)", why: "it names no home directory") }
        // The command line outweighs what the environment says.
        environment.merge(request.environment) { $1 }
        (self.host, self.version, self.home, ownFile) = (host, version, home, own)
        configuration = BackRestConfiguration(
            try files.first ?? IniFile([], path: Self.ownFile(for: request.stanza, below: home)), included: Array(files.dropFirst()), environment: environment)
        self.machine = machine
        (closedFiles, stopFiles, self.spools, missingPaths) = (closed, stops, spools, missing)
        self.processes = BackRestProcess.list(processes.joined(separator: "\n")).filter { $0.stanza == request.stanza.name }
    }

    // Which files are read: https://pgbackrest.org/configuration.html, "config", "config-include-path", "config-path".
    static let script = #"""
        user=$1 stanza=$2 program=$3 data=$4 config=$5 include=$6 path=$7
        shift 7
        # Containers share the kernel, and its boot; machines the numbers of their first namespaces.
        printf 'machine %s %s %s\n' "$(cat /proc/sys/kernel/random/boot_id)" "$(readlink /proc/self/ns/pid)" "$(readlink /proc/self/ns/net)"
        printf 'version %s\n' "$("$program" version 2>/dev/null)"
        entry=$(getent passwd "$user") shell=${entry##*:} home=$(printf '%s' "$entry" | cut -d: -f6)
        printf 'home %s\n' "$home"
        variables=$(
            case ${shell##*/} in
            sh|bash|dash|ksh|zsh) HOME=$home timeout 10 "$shell" -lc env </dev/null 2>/dev/null | grep '^PGBACKREST_[A-Z0-9_]*=' ;;
            esac
            if [ -n "$data" ] && [ -r "$data/postmaster.pid" ] && read -r pid < "$data/postmaster.pid" && [ -r "/proc/$pid/environ" ]; then
                tr '\0' '\n' < "/proc/$pid/environ" | grep '^PGBACKREST_[A-Z0-9_]*='
            fi
        )
        [ -z "$variables" ] || printf '%s\n' "$variables" | sed 's/^/variable /'
        told() { printf '%s\n' "$variables" | sed -n "s/^PGBACKREST_$1=//p" | tail -n 1; }
        emit() {
            [ -e "$2" ] || return 0
            if [ -r "$2" ]; then printf '%s %s %s\n' "$1" "$(base64 -w0 < "$2")" "$2"; else printf '%s - %s\n' "$1" "$2"; fi
        }
        [ -n "$config" ] || config=$(told CONFIG)
        [ -n "$include" ] || include=$(told CONFIG_INCLUDE_PATH)
        [ -n "$path" ] || path=$(told CONFIG_PATH)
        if [ -n "$config" ]; then main=$config; else
            main=${path:-/etc/pgbackrest}/pgbackrest.conf
            [ -n "$path" ] || [ -e "$main" ] || main=/etc/pgbackrest.conf
        fi
        if [ -n "$include" ]; then directory=$include
        elif [ -n "$path" ] || [ -z "$config" ]; then directory=${path:-/etc/pgbackrest}/conf.d
        else directory=; fi
        emit file "$main"
        [ -z "$directory" ] || for file in "$directory"/*.conf; do emit file "$file"; done
        emit own "$home/.pgbackrest/$stanza.conf"
        said() {
            { cat "$main" ${directory:+"$directory"/*.conf} 2>/dev/null | sed -n "s/^[[:blank:]]*$1[[:blank:]]*=[[:blank:]]*//p"; told "$2"; } |
                sed 's/[[:blank:]]*$//' | sort -u
        }
        { echo /tmp/pgbackrest; said lock-path LOCK_PATH; } | while IFS= read -r lock; do
            for file in "$lock/$stanza.stop" "$lock/all.stop"; do [ ! -e "$file" ] || printf 'stop %s\n' "$file"; done
        done
        { echo /var/spool/pgbackrest; said spool-path SPOOL_PATH; } | while IFS= read -r spool; do
            [ -n "$spool" ] || continue
            nearest=$spool
            for below in "archive/$stanza/in" "archive/$stanza" archive; do [ ! -d "$spool/$below" ] || { nearest=$spool/$below; break; }; done
            while [ ! -d "$nearest" ]; do nearest=$(dirname "$nearest"); done
            if [ -w "$nearest" ] && [ -x "$nearest" ]; then printf 'spool open %s\n' "$spool"; else printf 'spool closed %s\n' "$spool"; fi
        done
        for file in "$@"; do [ -r "$file" ] || printf 'missing %s\n' "$file"; done
        ps -ww -eo pid=,args= | grep -E '^ *[0-9]+ [^ ]*pgbackrest ' | sed 's/^/process /'
        :
        """#
}
