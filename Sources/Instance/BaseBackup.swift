public import EventLoop
public import PostgresClient
import PostgresConfig
public import RemoteHost
import Report

/// What `pg_basebackup` is told. <https://www.postgresql.org/docs/current/app-pgbasebackup.html>
public struct BaseBackupOptions: Sendable, Hashable {
    /// By which the source is reached: with a `passfile`, never with a password.
    public var conninfo: Conninfo
    /// Whether the source makes its checkpoint at once; else the copy waits for one that is spread over `checkpoint_timeout`.
    public var checkpointsFast: Bool
    /// The slot that the log is streamed through; it must be there.
    public var slot: String?
    /// Directories of tablespaces at the source, and where they go.
    public var tablespaces: [String: HostPath]
    public var walDirectory: HostPath?
    /// In kilobytes a second.
    public var maximumRate: Int?
    public var compression: Compression?
    /// By which the copy is known, in its `backup_label`.
    public var label: String?

    /// How the server compresses what it sends; the copy itself is not compressed.
    public enum Compression: String, Sendable, Hashable, CaseIterable {
        case gzip, lz4, zstd
    }

    public init(
        conninfo: Conninfo, checkpointsFast: Bool = true, slot: String? = nil, tablespaces: [String: HostPath] = [:], walDirectory: HostPath? = nil,
        maximumRate: Int? = nil, compression: Compression? = nil, label: String? = nil
    ) {
        (self.conninfo, self.checkpointsFast, self.slot, self.tablespaces) = (conninfo, checkpointsFast, slot, tablespaces)
        (self.walDirectory, self.maximumRate, self.compression) = (walDirectory, maximumRate, compression)
        self.label = label
    }

    /// The arguments, in the words of the version.
    func arguments(into directory: HostPath, _ features: ServerFeatures) -> [String] {
        let known = features.baseBackup
        let shown = conninfo.withoutSecrets
        var words = ["--pgdata=\(directory)", "--progress", "--no-password", "--checkpoint=\(checkpointsFast ? "fast" : "spread")"] + features.baseBackupWALOptions
        // Whoever starts the copy before its configuration is there starts a standby.
        if known.marksStandby { words.append("--write-recovery-conf") }
        if known.takesConninfo {
            words.append("--dbname=\(shown.connectionString)")
        } else {
            for (keyword, option) in [("host", "--host"), ("port", "--port"), ("user", "--username")] { if let value = shown[keyword] { words.append("\(option)=\(value)") } }
        }
        if let label { words.append("--label=\(label)") }
        if let slot { words += features.baseBackupSlotOptions(slot) ?? [] }
        if known.mapsTablespaces {
            for (old, new) in tablespaces.sorted(by: { $0.key < $1.key }) { words.append("--tablespace-mapping=\(Self.escaped(old))=\(Self.escaped(new.path))") }
            if let maximumRate { words.append("--max-rate=\(maximumRate)k") }
        }
        if let walDirectory, let option = known.walDirectoryOption { words.append("\(option)=\(walDirectory)") }
        if let compression, known.compressesOnServer { words.append("--compress=server-\(compression.rawValue)") }
        return words
    }

    private static func escaped(_ path: String) -> String { path.replacing("=", with: "\\=") }
}

/// A line in which `pg_basebackup` says how far it is: `  31744/102400 kB (31%), 0/2 tablespaces`.
public struct BaseBackupProgress: Sendable, Hashable {
    public let bytesDone: UInt64
    /// As the source has counted it; what is written meanwhile comes on top.
    public let bytesTotal: UInt64

    /// `nil` for any other line.
    public init?(_ line: String) {
        guard let match = line.firstMatch(of: #/^\s*(\d+)\/(\d+) kB \((\d+)%\)/#), let done = UInt64(match.1), let total = UInt64(match.2) else { return nil }
        (bytesDone, bytesTotal) = (done * 1024, max(done, total) * 1024)
    }
}

/// A copy that `pg_basebackup` did not make.
public struct BaseBackupFailed: Explained {
    public let node: String
    let program: String
    let status: ExitStatus
    let output: String

    public var fact: String {
        let words = output.split(separator: "\n").filter { BaseBackupProgress(String($0)) == nil && !$0.contains("removing ") }.suffix(6)
        return "\(node): \(program) ended with \(status)" + words.map { "\n  \($0)" }.joined()
    }
    public var hint: String? {
        if output.contains("password authentication failed") { return "correct the password of the replication role in the passfile of \(node), or that of the role" }
        if output.contains("no pg_hba.conf entry") { return "let the host of \(node) in by pg_hba.conf of the source: see the step before" }
        if output.contains("No space left on device") { return "make room on \(node), and resume: the copy is begun anew" }
        return nil
    }
}

extension Instance {
    /// Whether one of this instance's programs is there.
    public func has(_ program: String, deadline: Deadline) async throws -> Bool {
        try await host.stat(binaries.directory / program, as: user, deadline: deadline) != nil
    }

    /// The processes of `pg_basebackup` that write into the data directory.
    public func baseBackups(deadline: Deadline) async throws -> [Int32] {
        try await host.require(.script(ProgramProcess.script, "pg_basebackup", "--pgdata=\(dataDirectory)").as(user), deadline: deadline).text.split(separator: "\n").compactMap {
            Int32($0)
        }
    }

    /// Ends what an earlier connection has left of a copy into the data directory, and waits until nothing writes there any more.
    /// - Throws: `DeadlineExceeded` naming the processes that are still there.
    public func endBaseBackups(deadline: Deadline) async throws {
        try await wait(for: "pg_basebackup on \(host.name) to end its work on \(dataDirectory)", until: deadline, every: .milliseconds(100)) { () -> Look<Void> in
            let running = try await baseBackups(deadline: deadline.forLook)
            guard !running.isEmpty else { return .found(()) }
            // One that ended in between makes kill fail; the next look is what decides.
            _ = try await host.run(Command(words: ["kill", "-TERM"] + running.map { "\($0)" }).as(user), deadline: deadline.forLook)
            return .notYet(running.map { "pid \($0)" }.joined(separator: ", "))
        }
    }

    /// Copies the source into the data directory, which is empty.
    /// - Parameter onProgress: takes each line in which it says how far it is.
    /// - Throws: ``BaseBackupFailed``, what the host throws.
    public func copy(
        _ options: BaseBackupOptions, deadline: Deadline, onProgress: @escaping @Sendable (BaseBackupProgress) -> Void
    ) async throws {
        let result = try await host.run(program("pg_basebackup", options.arguments(into: dataDirectory, features)), deadline: deadline) { line in
            if let progress = BaseBackupProgress(line) { onProgress(progress) }
        }
        guard result.succeeded else { throw BaseBackupFailed(node: node, program: "pg_basebackup", status: result.status, output: result.errorText) }
    }

    /// Compares the copy with the list of its files that came with it, checksum by checksum, and reads its log.
    /// - Throws: ``BaseBackupFailed`` with what is wrong.
    public func verifyCopy(deadline: Deadline) async throws -> CopyVerification {
        guard features.baseBackup.hasManifest else { return .noProgram }
        // The log is read by another program.
        async let isThere = has("pg_verifybackup", deadline: deadline), readsLog = has("pg_waldump", deadline: deadline)
        guard try await isThere else { return .noProgram }
        let log = try await readsLog ? [] : ["--no-parse-wal"]
        let result = try await host.run(program("pg_verifybackup", ["--quiet"] + log + [dataDirectory.path]), deadline: deadline)
        // One that has crashed has said nothing of the copy.
        if case .signal = result.status { return .crashed("\(result.status)") }
        guard result.succeeded else { throw BaseBackupFailed(node: node, program: "pg_verifybackup", status: result.status, output: result.errorText + result.text) }
        return .verified
    }

    /// How whole a copy by `pg_basebackup` is, that was never started.
    public func baseBackupState(deadline: Deadline) async throws -> BaseBackupState {
        let lines = Set(try await host.require(.script(BaseBackup.state, dataDirectory.path).as(user), deadline: deadline).text.split(separator: "\n").map(String.init))
        if lines.contains("empty") { return .empty }
        guard lines.contains("PG_VERSION"), lines.contains("global/pg_control") else { return .part }
        if !lines.contains("backup_label") { return .started }
        // It is written last.
        return features.baseBackup.hasManifest ? (lines.contains("backup_manifest") ? .whole : .part) : .unknown
    }

    /// By what a base backup was known, of which the data directory is the copy, or a part; `nil` where it says nothing.
    public func baseBackupLabel(deadline: Deadline) async throws -> String? {
        let text = try await host.require(.script(BaseBackup.label, dataDirectory.path).as(user), deadline: deadline).text
        return text.isEmpty ? nil : text
    }

    /// The file of the log from which a copy that has replayed nothing has to begin; `nil` where it has, or is none.
    public func firstSegment(deadline: Deadline) async throws -> String? {
        let label = try await host.read(dataDirectory / "backup_label", as: user, deadline: deadline).map { String(decoding: $0, as: UTF8.self) }
        return label?.firstMatch(of: #/^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)/#).map { String($0.1) }
    }

    /// Moves the data directory, which nobody uses, to another name beside its own.
    public func moveDataDirectory(to other: HostPath, deadline: Deadline) async throws { try await move(dataDirectory, to: other, deadline: deadline) }

    /// Moves it back.
    public func moveDataDirectory(backFrom other: HostPath, deadline: Deadline) async throws { try await move(other, to: dataDirectory, deadline: deadline) }

    private func move(_ path: HostPath, to other: HostPath, deadline: Deadline) async throws {
        let command = Command.script(BaseBackup.moving, path.path, other.path), result = try await host.run(command.as(user), deadline: deadline)
        if result.succeeded { return }
        guard result.errorText.contains("Permission denied"), host.loginUser == "root" else {
            throw CommandFailed(host: host.name, words: ["mv", path.path, other.path], status: result.status, errorText: result.errorText)
        }
        try await host.require(command.as("root"), deadline: deadline)
    }
}

/// What became of the comparison of a copy with the list of its files.
public enum CopyVerification: Sendable, Hashable {
    case verified
    /// The version has none, or it is not installed.
    case noProgram
    /// The program did not come to its end; the text says how it ended.
    case crashed(String)
}

/// What is in a data directory that `pg_basebackup` copies into.
public enum BaseBackupState: Sendable, Hashable {
    case empty
    /// A copy that was cut off, or goes on, or something else.
    case part
    case whole
    /// All is there that a server needs, and whether it is all of the copy this version does not say.
    case unknown
    case started
}

enum BaseBackup {
    static let state = """
        cd -- "$1" 2>/dev/null || { [ -e "$1" ] && exit 1; echo empty; exit 0; }
        [ -n "$(ls -A)" ] || echo empty
        for name in PG_VERSION global/pg_control backup_label backup_manifest; do [ ! -e "$name" ] || echo "$name"; done
        """

    static let label = #"cat -- "$1/backup_label" "$1/backup_label.old" 2>/dev/null | sed -n 's/^LABEL: //p' | head -n 1"#

    static let moving = """
        if [ -e "$2" ] || [ -L "$2" ]; then echo "$2: it is there already" >&2; exit 1; fi
        exec mv -T -- "$1" "$2"
        """
}
