public import RemoteHost
public import Report

/// What went wrong with pgBackRest, and on which host.
public enum BackRestError: Explained {
    /// pgBackRest ended with an error of its own.
    case failed(Failure)
    /// The program ended without saying why: killed, crashed, or never started.
    case ended(host: String, command: String, stanza: StanzaName, ExitStatus, errorText: String)
    /// The program is not there.
    case notInstalled(host: String, program: String)
    /// The answer of a command is not what this version of pggraft can read.
    case unreadable(host: String, command: String, why: String)
    /// A backup or a restore of the stanza is still running; nothing was started.
    case alreadyRunning(host: String, stanza: StanzaName, [BackRestProcess])

    /// An error that pgBackRest reported.
    public struct Failure: Sendable, Hashable {
        public let host: String
        /// `stanza-create`, `backup` …
        public let command: String
        public let stanza: StanzaName
        public let code: BackRestErrorCode
        public let message: String
        /// pgBackRest's own hints.
        public let hints: [String]
        /// What it warned of before it gave up: often the reason, of which the error is what came of it.
        public let warnings: [String]

        public init(
            host: String, command: String, stanza: StanzaName, code: BackRestErrorCode, message: String, hints: [String], warnings: [String] = []
        ) {
            self.host = host
            self.command = command
            self.stanza = stanza
            self.code = code
            self.message = message
            self.hints = hints
            self.warnings = warnings
        }
    }

    /// What kind of failure it is, where that can be told from code and message.
    public enum Reason: Sendable, Hashable {
        /// The stanza belongs to another database system (another system identifier or version).
        case stanzaOfAnotherSystem
        case noStanza
        /// The configuration says nothing of the stanza.
        case notConfigured
        case noBackup
        /// A WAL segment did not reach the repository in time.
        case archiveTimeout
        /// `archive_command` does not call pgBackRest.
        case archiveCommandForeign
        /// `archive_mode` is off.
        case archivingOff
        /// Another pgBackRest holds the stanza's lock on the host.
        case lockHeld
        /// The *server* still holds the lock of a backup whose pgBackRest is gone; it lets go when its checkpoint is done.
        case serverHoldsLock
        /// `stop` was called for the stanza.
        case stopped
        /// No server answers where the configuration says.
        case noServer
        /// The configuration leads to another server than the data directory it names.
        case serverOfAnotherDirectory
        case directoryNotEmpty
        case serverRunning
        case hostUnreachable
        case mustRunOnRepositoryHost
        case permissionDenied
        case diskFull
        /// A signal ended it.
        case terminated
        /// Whoever read its output is gone: the connection was lost.
        case outputLost
        case other
    }

    public var reason: Reason {
        guard case .failed(let failure) = self else { return .other }
        return failure.reason
    }

    public var fact: String {
        switch self {
        case .failed(let failure): failure.fact
        case .ended(let host, let command, let stanza, let status, let text):
            "\(host): pgbackrest \(command) of stanza '\(stanza)' ended with \(status)" + (text.isEmpty ? "" : ": \(text)")
                + (Failure.leaves(command).map { "; \($0)" } ?? "")
        case .notInstalled(let host, let program): "\(host): no program '\(program)'"
        case .unreadable(let host, let command, let why): "\(host): the answer of \(command) cannot be read: \(why)"
        case .alreadyRunning(let host, let stanza, let processes):
            "\(host): pgbackrest is already at work on stanza '\(stanza)': "
                + processes.map { "\($0.command) (pid \($0.pid))" }.joined(separator: ", ")
        }
    }

    public var hint: String? {
        switch self {
        case .failed(let failure): failure.hint
        case .ended: "see the system log of the host, then run pggraft again."
        case .notInstalled: "install pgBackRest \(BackRestVersion.minimum) or newer, the same version on every host."
        case .unreadable: "compare the version of pgBackRest with the ones pggraft knows."
        case .alreadyRunning(_, _, let processes): "let it finish, or end it with kill \(processes.map { "\($0.pid)" }.joined(separator: " "))."
        }
    }
}

extension BackRestError.Failure {
    public var reason: BackRestError.Reason {
        if message.contains("[13] Permission denied") || (code.rawValue == 50 && message.contains("Permission denied")) { return .permissionDenied }
        if message.contains("[28] No space left") { return .diskFull }
        // 255 is how ssh itself ends when it gets no connection.
        if message.contains("remote-"), message.contains("terminated unexpectedly [255]") { return .hostUnreachable }
        return switch code.rawValue {
        case 27 where message.contains("no database found"): .noServer
        case 28 where message.contains("do not match the database"), 51: .stanzaOfAnotherSystem
        case 37: .notConfigured
        case 38: .serverRunning
        case 40: .directoryNotEmpty
        case 44 where message.contains("do not match"): .stanzaOfAnotherSystem
        case 50: message.contains("advisory lock") ? .serverHoldsLock : .lockHeld
        case 55, 103: isMissingStanza ? .noStanza : .other
        case 56: .noServer
        case 58: .serverOfAnotherDirectory
        case 62: .stopped
        case 63: .terminated
        case 64 where message.contains("Broken pipe"): .outputLost
        case 68: .archiveCommandForeign
        case 72: .mustRunOnRepositoryHost
        case 75: .noBackup
        case 82: .archiveTimeout
        case 87: .archivingOff
        case 49: .hostUnreachable
        default: .other
        }
    }

    private var isMissingStanza: Bool { message.contains("archive.info") || message.contains("backup.info") }

    fileprivate var fact: String {
        "\(host): pgbackrest \(command) of stanza '\(stanza)' failed: \(message) [\(code)]"
            + (BackRestError.Failure.leaves(command).map { "; \($0)" } ?? "") + warnings.map { "\nWARN: \($0)" }.joined()
    }

    fileprivate var hint: String? { ownHint ?? (hints.isEmpty ? nil : hints.joined(separator: "\n")) }

    /// What a failure of the command leaves behind.
    static func leaves(_ command: String) -> String? {
        switch command {
        case "backup": "an unfinished backup may lie in the repository; the next backup resumes it or removes it"
        case "restore": "a data directory that was begun has no global/pg_control and will not start"
        default: nil
        }
    }

    private var hintOfPath: String {
        guard let named = message.split(separator: "'").first(where: { $0.hasPrefix("/") }), !isOwn(named) else {
            return "the OS user that runs pgBackRest must own the repository, its lock and its log directory."
        }
        return "the OS user that runs pgBackRest must get at \(named): see who owns it, and the directories above."
    }

    /// Whether a path is the repository's, a lock or a log: of a server's directories others may be the owners.
    private func isOwn(_ path: Substring) -> Bool {
        path.hasSuffix(".lock") || path.hasSuffix(".log") || ["archive", "backup"].contains { path.contains("/\($0)/\(stanza)") }
    }

    /// What to do, where we know better than pgBackRest.
    private var ownHint: String? {
        switch reason {
        case .stanzaOfAnotherSystem:
            "stanza '\(stanza)' holds backups of another database system; choose another stanza name, or run stanza-upgrade if the server was upgraded."
        case .noStanza: "run stanza-create where the repository is."
        case .notConfigured: "the configuration file has no section [\(stanza)] with pg1-path on this host."
        case .serverHoldsLock: "a backup was cut off and its server process still waits for a checkpoint; run CHECKPOINT on the source, then try again."
        case .directoryNotEmpty: "empty the directory, or let pggraft continue its own restore there."
        case .hostUnreachable: "the OS user that runs pgBackRest needs an SSH key that the other host accepts, and its host key in known_hosts."
        case .permissionDenied: hintOfPath
        case .diskFull: "make room, then run pggraft again."
        case .outputLost: "the connection to the host was lost; run pggraft again to continue."
        case .archivingOff: "set archive_mode = on and restart the server."
        case .noBackup, .archiveTimeout, .archiveCommandForeign, .lockHeld, .stopped, .noServer, .serverOfAnotherDirectory, .serverRunning,
            .mustRunOnRepositoryHost, .terminated, .other:
            nil
        }
    }
}
