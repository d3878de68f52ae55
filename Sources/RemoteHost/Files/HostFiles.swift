import Digest
public import EventLoop
internal import FoundationEssentials
import Report

/// Files of a host, by the host's own programs. `user` is the OS user who reads or writes; `nil` is the one who logged in.
///
/// - Throws: all of these throw ``HostError/permissionDenied(host:path:user:detail:)``,
///   ``HostError/fileFailed(host:operation:path:detail:)`` and what ``Host/run(_:deadline:onOutput:)`` throws.
extension Host {
    /// The content of a file; `nil` when there is none.
    public func read(_ path: HostPath, as user: String? = nil, deadline: Deadline) async throws -> [UInt8]? {
        try await ifPresent(.readFile(path).as(user), "read", path, deadline)?.output
    }

    /// The contents of several files, in one go; those that are not there are left out.
    /// - Throws: for the first that cannot be read.
    public func read(_ paths: [HostPath], as user: String? = nil, deadline: Deadline) async throws -> [HostPath: [UInt8]] {
        try await contents(of: paths, as: user, deadline: deadline).mapValues { try $0.get() }.compactMapValues(\.self)
    }

    /// What each of several files holds, in one go; `nil` where there is none.
    /// - Throws: what ``run(_:deadline:onOutput:)`` throws.
    public func contents(of paths: [HostPath], as user: String? = nil, deadline: Deadline) async throws -> [HostPath: Result<[UInt8]?, HostError>] {
        guard !paths.isEmpty else { return [:] }
        let command = Command.readFiles(paths).as(user), result = try await require(command, deadline: deadline)
        let answers = result.text.split(separator: "\n", omittingEmptySubsequences: false)
        return try paths.enumerated().reduce(into: [:]) { contents, each in
            let (place, path) = each, line = answers.indices.contains(place) ? answers[place] : ""
            if line.hasPrefix("="), let data = Data(base64Encoded: String(line.dropFirst())) {
                contents[path] = .success(Array(data))
            } else if line.hasPrefix("!") {
                let detail = String(line.dropFirst())
                contents[path] = meansAbsent(detail) ? .success(nil) : .failure(fileFailure(detail, of: command, "read", path))
            } else {
                throw HostError.fileFailed(host: name, operation: "read", path: path, detail: "its content did not come through whole")
            }
        }
    }

    /// Puts `content` at `path`, whole or not at all: a reader sees the old file or the new one, also after a crash.
    ///
    /// An existing file keeps its owner, mode, access control list and SELinux context; a symbolic link is written through.
    /// - Parameter mode: the mode wanted; `nil` keeps that of the existing file, a new one gets `0600`.
    public func write(
        _ content: [UInt8], to path: HostPath, as user: String? = nil, mode: FileMode? = nil, deadline: Deadline
    ) async throws {
        _ = try await succeed(.writeFile(content, path, mode).as(user), "write", path, deadline)
    }

    /// The same, where what `before` says is there, `nil` for no file; where `content` is there already nothing is done.
    /// - Returns: `false` where something else is there. It is left as it is.
    public func write(
        _ content: [UInt8], to path: HostPath, replacing before: [UInt8]?, as user: String? = nil, mode: FileMode? = nil, deadline: Deadline
    ) async throws -> Bool {
        let command = Command.writeFile(content, path, mode, replacing: before.map { Digest.sha256($0) } ?? "nothing").as(user)
        let result = try await run(command, deadline: deadline)
        if result.status == .code(Command.isAnother) { return false }
        if let failure = fileFailure(result, of: command, "write", path) { throw failure }
        return true
    }

    /// Makes `copy` a copy of the file at `path`, with its owner, mode and times, whole or not at all. Nothing may be there yet.
    public func copy(_ path: HostPath, to copy: HostPath, as user: String? = nil, deadline: Deadline) async throws {
        _ = try await succeed(.copyFile(path, copy).as(user), "copy to \(copy)", path, deadline)
    }

    /// What stands at `path`; `nil` when nothing does.
    /// - Parameter followingLinks: `false` tells about a symbolic link itself.
    public func stat(
        _ path: HostPath, followingLinks: Bool = true, as user: String? = nil, deadline: Deadline
    ) async throws -> FileStatus? {
        guard let result = try await ifPresent(.statFile(path, followingLinks).as(user), "look at", path, deadline) else { return nil }
        guard let status = FileStatus(result.text) else {
            throw HostError.fileFailed(host: name, operation: "look at", path: path, detail: "stat says `\(result.text)`")
        }
        return status
    }

    /// Removes a file, or a directory with all that is in it when `recursively`. Nothing there is no error.
    public func remove(_ path: HostPath, recursively: Bool = false, as user: String? = nil, deadline: Deadline) async throws {
        _ = try await succeed(
            Command(words: ["rm", recursively ? "-rf" : "-f", "--", path.path], user: user), "remove", path, deadline)
    }

    /// Sees to it that `path` is a directory with this mode and owner, and with its parents.
    /// - Parameter owner: an OS user, whose main group it gets too; `nil` is the one who makes it.
    public func makeDirectory(
        _ path: HostPath, mode: FileMode = 0o700, owner: String? = nil, as user: String? = nil, deadline: Deadline
    ) async throws {
        _ = try await succeed(.makeDirectory(path, mode, owner).as(user), "make the directory", path, deadline)
    }

    /// The bytes that can still be written at `path`, which need not exist yet.
    public func freeSpace(at path: HostPath, as user: String? = nil, deadline: Deadline) async throws -> UInt64 {
        let result = try await succeed(.freeSpace(path).as(user), "measure the space at", path, deadline)
        guard let bytes = UInt64(result.text.split(whereSeparator: \.isWhitespace).last ?? "") else {
            throw HostError.fileFailed(host: name, operation: "measure the space at", path: path, detail: "df says `\(result.text)`")
        }
        return bytes
    }

    /// The names in a directory, sorted; `nil` when there is none.
    public func listDirectory(_ path: HostPath, as user: String? = nil, deadline: Deadline) async throws -> [String]? {
        try await ifPresent(.listDirectory(path).as(user), "list", path, deadline)?
            .output.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    /// The names in a directory with what is behind each, through links; `nil` for a name behind which nothing is, and for
    /// the whole where there is no such directory.
    public func directoryEntries(_ path: HostPath, as user: String? = nil, deadline: Deadline) async throws -> [String: FileStatus.Kind?]? {
        guard let result = try await ifPresent(.directoryEntries(path).as(user), "list", path, deadline) else { return nil }
        return result.output.split(separator: 0).reduce(into: [:]) { entries, item in
            let kind: FileStatus.Kind? =
                switch item.first {
                case UInt8(ascii: "f"): .file
                case UInt8(ascii: "d"): .directory
                case UInt8(ascii: "N"), UInt8(ascii: "L"), UInt8(ascii: "?"): nil
                default: .other
                }
            entries.updateValue(kind, forKey: String(decoding: item.dropFirst(), as: UTF8.self))
        }
    }

    // MARK: The programs' answers

    private func succeed(_ command: Command, _ operation: String, _ path: HostPath, _ deadline: Deadline) async throws -> CommandResult {
        let result = try await run(command, deadline: deadline)
        if let failure = fileFailure(result, of: command, operation, path) { throw failure }
        return result
    }

    private func ifPresent(_ command: Command, _ operation: String, _ path: HostPath, _ deadline: Deadline) async throws -> CommandResult? {
        let result = try await run(command, deadline: deadline)
        guard !result.succeeded else { return result }
        if case .code = result.status, meansAbsent(result.errorText) { return nil }
        throw fileFailure(result, of: command, operation, path)
            ?? .fileFailed(host: name, operation: operation, path: path, detail: result.errorText)
    }

    /// Only the program's own words tell "not there" from "not allowed to look": `test -e` says no to both.
    private func meansAbsent(_ detail: String) -> Bool { ["No such file or directory", "Not a directory"].contains { detail.hasSuffix($0) } }

    private func fileFailure(_ result: CommandResult, of command: Command, _ operation: String, _ path: HostPath) -> HostError? {
        guard !result.succeeded else { return nil }
        return fileFailure(result.errorText.isEmpty ? "\(result.status)" : result.errorText, of: command, operation, path)
    }

    private func fileFailure(_ detail: String, of command: Command, _ operation: String, _ path: HostPath) -> HostError {
        let denials = ["Permission denied", "Operation not permitted", "Read-only file system"]
        guard denials.contains(where: { detail.contains($0) }) else {
            return .fileFailed(host: name, operation: operation, path: path, detail: detail)
        }
        return .permissionDenied(host: name, path: path, user: command.user ?? loginUser, detail: detail)
    }
}

extension Command {
    static func readFile(_ path: HostPath) -> Command { Command("cat", "--", path.path) }

    /// A line for each: its content, or why there is none.
    static func readFiles(_ paths: [HostPath]) -> Command {
        Command(
            words: [
                "sh", "-c",
                #"""
                for path; do
                    if content=$(base64 -w0 -- "$path" 2>&1); then printf '=%s\n' "$content"; else printf '!%s\n' "$content" | head -n 1; fi
                done
                """#, "sh",
            ] + paths.map(\.path))
    }

    /// How ``writeFile(_:_:_:replacing:)`` ends where another file is there.
    static let isAnother: Int32 = 66

    /// - Parameter before: the SHA-256 of what must be there, or `nothing`; `nil` to replace whatever is.
    static func writeFile(_ content: [UInt8], _ path: HostPath, _ mode: FileMode?, replacing before: String? = nil) -> Command {
        // The byte count guards against the connection's end, which `cat` cannot tell from the content's.
        // `echo x` keeps newlines at a name's end from the shell, which strips them.
        Command.script(
            #"""
            set -eu
            target=$(readlink -f -- "$1" && echo x) || { echo "$1: No such file or directory" >&2; exit 1; }
            target=${target%?x}
            directory=${target%/*}
            if [ -e "$target" ] && [ ! -f "$target" ]; then echo "$1: not a regular file" >&2; exit 1; fi
            if [ -n "$4" ]; then
                there=nothing
                if [ -e "$target" ]; then there=$(sha256sum < "$target"); fi
                case ${there%% *} in "$4") ;; "$5") cat > /dev/null; exit 0 ;; *) cat > /dev/null; exit 66 ;; esac
            fi
            temporary=
            trap 'rm -f -- "$temporary"' EXIT
            trap 'exit 1' HUP INT TERM
            temporary=$(mktemp -- "${directory:-}/.pggraft.XXXXXXXX" && echo x)
            temporary=${temporary%?x}
            cat > "$temporary"
            [ "$(wc -c < "$temporary")" -eq "$3" ] || { echo "$1: the content did not come through whole" >&2; exit 1; }
            if [ -e "$target" ]; then
                cp --attributes-only --preserve=all --no-preserve=timestamps -- "$target" "$temporary"
                chown --reference="$target" -- "$temporary"
                chmod --reference="$target" -- "$temporary"
            fi
            if [ -n "$2" ]; then chmod -- "$2" "$temporary"; fi
            sync -- "$temporary"
            mv -fT -- "$temporary" "$target"
            trap - EXIT
            sync -- "${directory:-/}"
            """#, path.path, mode?.description ?? "", String(content.count), before ?? "", before == nil ? "" : Digest.sha256(content)
        ).reading(content)
    }

    static func copyFile(_ path: HostPath, _ copy: HostPath) -> Command {
        Command.script(
            #"""
            set -eu
            if [ -e "$2" ] || [ -L "$2" ]; then echo "$2: it is there already" >&2; exit 1; fi
            directory=${2%/*}
            temporary=
            trap 'rm -f -- "$temporary"' EXIT
            trap 'exit 1' HUP INT TERM
            temporary=$(mktemp -- "${directory:-}/.pggraft.XXXXXXXX" && echo x)
            temporary=${temporary%?x}
            cp --preserve=all -- "$1" "$temporary"
            sync -- "$temporary"
            mv -fT -- "$temporary" "$2"
            trap - EXIT
            sync -- "${directory:-/}"
            """#, path.path, copy.path)
    }

    static func statFile(_ path: HostPath, _ followingLinks: Bool) -> Command {
        Command(words: ["stat"] + (followingLinks ? ["-L"] : []) + ["-c", "%f/%s/%U/%G/%u/%g", "--", path.path])
    }

    static func makeDirectory(_ path: HostPath, _ mode: FileMode, _ owner: String?) -> Command {
        // `owner:` is the owner with their main group.
        Command.script(
            #"""
            set -eu
            mkdir -p -m "$2" -- "$1"
            if [ -n "$3" ]; then chown -- "$3:" "$1"; fi
            chmod -- "$2" "$1"
            """#, path.path, mode.description, owner ?? "")
    }

    static func freeSpace(_ path: HostPath) -> Command {
        Command.script(
            #"p=$1; while [ ! -e "$p" ]; do p=${p%/*}; p=${p:-/}; done; exec df -B1 --output=avail -- "$p""#, path.path)
    }

    static func listDirectory(_ path: HostPath) -> Command { list(path, #"%f\0"#) }
    static func directoryEntries(_ path: HostPath) -> Command { list(path, #"%Y%f\0"#) }

    private static func list(_ path: HostPath, _ format: String) -> Command {
        Command("find", "-H", path.path == "/" ? "/" : path.path + "/", "-mindepth", "1", "-maxdepth", "1", "-printf", format)
    }
}
