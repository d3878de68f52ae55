public import EventLoop
public import PostgresConfig
public import RemoteHost

/// What is where a data directory should be.
public enum DataDirectoryState: Sendable, Hashable, CustomStringConvertible {
    case absent
    case empty
    /// Files, but no `PG_VERSION`; up to five of their names.
    case foreign(entries: [String])
    case cluster(MajorVersion)

    public var description: String {
        switch self {
        case .absent: "it does not exist"
        case .empty: "it is empty"
        case .foreign(let entries): "it holds other files (\(entries.joined(separator: ", ")))"
        case .cluster(let version): "it holds a cluster of PostgreSQL \(version)"
        }
    }

    static let script = """
        if [ ! -e "$1" ] && [ ! -L "$1" ]; then echo absent; exit 0; fi
        entries=$(ls -A -- "$1") || exit 1
        if [ -f "$1/PG_VERSION" ]; then echo cluster; head -n 1 -- "$1/PG_VERSION"
        elif [ -z "$entries" ]; then echo empty
        else echo foreign; printf '%s\\n' "$entries" | head -n 5
        fi
        """

    /// What ``script`` wrote; `nil` for anything else.
    static func parse(_ lines: [String]) -> DataDirectoryState? {
        switch lines.first {
        case "absent": .absent
        case "empty": .empty
        case "foreign": .foreign(entries: Array(lines.dropFirst()))
        case "cluster": lines.count > 1 ? MajorVersion(lines[1]).map(DataDirectoryState.cluster) : nil
        default: nil
        }
    }

    static func look(at path: HostPath, as user: String, on host: any Host, deadline: Deadline) async throws -> DataDirectoryState {
        let result = try await host.require(.script(script, path.path).as(user), deadline: deadline)
        guard let state = parse(lines(of: result.text)) else {
            throw InstanceError.unreadable(node: host.name, host: host.name, what: "the state of \(path)")
        }
        return state
    }
}

/// How much a data directory holds, and where.
public struct Usage: Sendable, Hashable {
    public struct Elsewhere: Sendable, Hashable {
        /// `pg_wal`, or `pg_tblspc/16401`.
        public let link: String
        public let path: HostPath
        public let bytes: Int64
    }

    /// Without what lies elsewhere.
    public let dataDirectoryBytes: Int64
    /// Tablespaces, and the write-ahead log where it has a place of its own.
    public let elsewhere: [Elsewhere]

    public var totalBytes: Int64 { elsewhere.reduce(dataDirectoryBytes) { $0 + $1.bytes } }

    // A running server removes files while du looks: it complains, and its sum is still right.
    static let script = """
        cd -- "$1" || exit 1
        size() { du -sk -- "$1" 2>/dev/null | { read -r kilobytes rest; echo "${kilobytes:-0}"; }; }
        printf '.\\t%s\\t%s\\n' "$(size .)" "$1"
        for link in pg_wal pg_xlog pg_tblspc/*; do
          [ -L "$link" ] && printf '%s\\t%s\\t%s\\n' "$link" "$(size "$link/")" "$(readlink -f -- "$link")"
        done
        exit 0
        """

    static let places = """
        cd -- "$1" || exit 1
        for link in pg_wal pg_xlog pg_tblspc/*; do [ -L "$link" ] && printf '%s\\t%s\\n' "$link" "$(readlink -f -- "$link")"; done
        exit 0
        """

    static func parse(_ output: String) -> Usage? {
        var own: Int64?, elsewhere: [Elsewhere] = []
        for line in lines(of: output) {
            let fields = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 3, let kilobytes = Int64(fields[1]), let path = HostPath(fields[2]) else { return nil }
            if fields[0] == "." {
                own = kilobytes * 1024
            } else {
                elsewhere.append(Elsewhere(link: fields[0], path: path, bytes: kilobytes * 1024))
            }
        }
        return own.map { Usage(dataDirectoryBytes: $0, elsewhere: elsewhere) }
    }
}

extension Instance {
    public func dataDirectoryState(deadline: Deadline) async throws -> DataDirectoryState {
        try await DataDirectoryState.look(at: dataDirectory, as: user, on: host, deadline: deadline)
    }

    /// How much the instance holds: what a copy of it needs room for.
    public func usage(deadline: Deadline) async throws -> Usage {
        let result = try await host.require(.script(Usage.script, dataDirectory.path).as(user), deadline: deadline)
        guard let usage = Usage.parse(result.text) else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "the size of \(dataDirectory)")
        }
        return usage
    }
}

/// The lines of a program's output.
func lines(of text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
}
