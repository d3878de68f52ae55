public import EventLoop
public import RemoteHost

/// What stands at a path that a server shall use, as its OS user finds it.
public struct PathState: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case usable
        /// It can be made: these directories, the outermost first.
        case absent([HostPath])
        /// It is not there, and this directory, the nearest one that is, is not the user's to write to.
        case unreachable(HostPath)
        case notWritable
        case notADirectory
        /// What stands in it.
        case occupied([String])
    }

    public let path: HostPath
    public let kind: Kind
    /// Where the file system of the path, or of the nearest directory that is there, is mounted.
    public let mount: String
    /// Bytes that can still be written there.
    public let free: UInt64

    // What must be empty is looked for by a name in it: a mount point has a lost+found.
    static let script = """
        pattern=$1; shift
        for path; do
          there=$path; missing=
          while [ ! -e "$there" ] && [ ! -L "$there" ]; do
            missing="$there
        $missing"; there=${there%/*}; there=${there:-/}
          done
          printf 'path\\t%s\\n' "$path"
          df -B1 --output=avail,target -- "$there" | sed -n '2s/^ *\\([0-9]*\\) */free\\t\\1\\t/p'
          if [ ! -d "$there" ]; then echo notdir
          elif [ ! -w "$there" ] || [ ! -x "$there" ]; then if [ "$there" = "$path" ]; then echo notwritable; else printf 'unreachable\\t%s\\n' "$there"; fi
          elif [ "$there" != "$path" ]; then printf '%s' "$missing" | sed 's/^/missing\\t/'
          elif [ -n "$pattern" ]; then
            for entry in "$path"/$pattern; do
              if [ -d "$entry" ] && [ -z "$(ls -A -- "$entry")" ]; then continue; fi
              if [ -e "$entry" ]; then printf 'entry\\t%s\\n' "${entry##*/}"; fi
            done
          fi
        done
        """

    static func parse(_ output: String) -> [PathState]? {
        var states: [PathState] = []
        for line in output.split(separator: "\n") {
            let fields = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            if fields[0] == "path", fields.count == 2, let path = HostPath(fields[1]) {
                states.append(PathState(path: path, kind: .usable, mount: "", free: 0))
                continue
            }
            guard let last = states.popLast(), let state = last.reading(fields) else { return nil }
            states.append(state)
        }
        return states
    }

    /// This one, with what a further line says of it.
    private func reading(_ fields: [String]) -> PathState? {
        func with(_ kind: Kind) -> PathState { PathState(path: path, kind: kind, mount: mount, free: free) }
        switch (fields[0], fields.count) {
        case ("free", 3): return UInt64(fields[1]).map { PathState(path: path, kind: kind, mount: fields[2], free: $0) }
        case ("notdir", 1): return with(.notADirectory)
        case ("notwritable", 1): return with(.notWritable)
        case ("unreachable", 2): return HostPath(fields[1]).map { with(.unreachable($0)) }
        case ("missing", 2):
            guard let directory = HostPath(fields[1]) else { return nil }
            if case .absent(let outer) = kind { return with(.absent(outer + [directory])) }
            return with(.absent([directory]))
        case ("entry", 2):
            if case .occupied(let others) = kind { return with(.occupied(others + [fields[1]])) }
            return with(.occupied([fields[1]]))
        default: return nil
        }
    }
}

extension Instance {
    /// What stands at `paths` for the OS user of this instance.
    /// - Parameter pattern: entries that must not be there, or be empty directories, as a shell's pattern; empty for none.
    public func pathStates(_ paths: [HostPath], without pattern: String = "", deadline: Deadline) async throws -> [PathState] {
        guard !paths.isEmpty else { return [] }
        let command = Command(words: ["sh", "-c", PathState.script, "sh", pattern] + paths.map(\.path), user: user)
        guard let states = PathState.parse(try await host.require(command, deadline: deadline).text), states.count == paths.count else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "what stands at \(paths.map(\.path).joined(separator: ", "))")
        }
        return states
    }
}
