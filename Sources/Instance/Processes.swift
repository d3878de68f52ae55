public import EventLoop
import RemoteHost
import Report

/// A process that works in a data directory: the postmaster, its children, and those that outlived it.
///
/// A postmaster that was killed leaves backends behind that go on serving their sessions.
public struct DataDirectoryProcess: Sendable, Hashable, CustomStringConvertible {
    public let pid: Int32
    /// Its command line, as `ps` shows it.
    public let title: String

    public var description: String { "\(pid) (\(title))" }

    /// Whether a fast stop waits for it: a sender, until its standby says that it has everything, and the archiver, until its command comes back.
    public var holdsStopUp: Bool { title.prefixMatch(of: #/postgres: (\S+: )?(walsender|wal sender|archiver)\b/#) != nil }

    // The programs change into the data directory when they start, and stay there. A shell that stands in it is none of them.
    static let script = #"""
        directory=$(cd -- "$1" 2>/dev/null && pwd -P) || exit 0
        # One program for all of them: a switchover waits for this.
        LC_ALL=C ls -ld /proc/[0-9]*/cwd 2>/dev/null | sed -n 's|^.* \(/proc/[0-9]*\)/cwd -> |\1 |p' | while read -r process cwd; do
          [ "$cwd" = "$directory" ] || continue
          case $(readlink "$process/exe") in */postgres | */postgres\ \(deleted\)) ;; *) continue ;; esac
          printf '%s\t%s\n' "${process#/proc/}" "$(tr '\0' ' ' <"$process/cmdline")"
        done
        exit 0
        """#

    /// Ends all of them at once, again and again until none is left: one may have just begun another. A service ($3) that it is, or nothing, is told to
    /// stop before: what systemd was not told to end it may begin again.
    static let fence = #"""
        tries=0
        [ -z "$3" ] || systemctl stop --no-block -- "$3"
        while processes=$(sh -c "$1" sh "$2") && [ -n "$processes" ]; do
          tries=$((tries + 1))
          [ "$tries" -le 200 ] || { printf '%s\n' "$processes"; exit 1; }
          kill -9 $(printf '%s\n' "$processes" | cut -f 1) 2>/dev/null
          sleep 0.05
        done
        # What is left to do there fails, for there is nothing to stop.
        [ -z "$3" ] || systemctl stop -- "$3" 2>/dev/null
        exit 0
        """#

    static func parse(_ output: String) -> [DataDirectoryProcess] {
        output.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
            guard fields.count == 2, let pid = Int32(fields[0]) else { return nil }
            return DataDirectoryProcess(pid: pid, title: fields[1].trimmed)
        }
    }
}

/// The processes of a program that was told of a data directory by an argument.
enum ProgramProcess {
    // $1 the program's name, $2 the argument.
    static let script = #"""
        for process in /proc/[0-9]*; do
          { read -r name <"$process/comm" && [ "$name" = "$1" ]; } 2>/dev/null || continue
          tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qxF -- "$2" && echo "${process#/proc/}"
        done
        exit 0
        """#
}

extension Instance {
    /// Every process of a server that works in the data directory, with or without its postmaster.
    public func processes(deadline: Deadline) async throws -> [DataDirectoryProcess] {
        DataDirectoryProcess.parse(try await host.require(.script(DataDirectoryProcess.script, dataDirectory.path).as(user), deadline: deadline).text)
    }

    /// Ends every process of the data directory, with SIGKILL, and sees that none is left.
    /// - Throws: `Problem` that names those that do not go.
    public func fence(deadline: Deadline) async throws {
        let unit = if case .systemd(let unit) = manager { unit } else { "" }
        let command = Command.script(DataDirectoryProcess.fence, DataDirectoryProcess.script, dataDirectory.path, unit).as(starter)
        let result = try await host.run(command, deadline: deadline)
        guard !result.succeeded else { return }
        let left = DataDirectoryProcess.parse(result.text).map(\.description)
        throw Problem(
            "\(node): processes of \(dataDirectory) do not end: \(left.isEmpty ? result.errorText : list(left))", hint: "see what holds them there, or power the host off")
    }
}
