public import PostgresClient
public import RemoteHost
public import Report

/// pgBackRest for one stanza on one host: builds the commands, and runs them.
///
/// ```swift
/// let backRest = BackRest(stanza: stanza)
/// backRest.backup(processes: 2).line(loginUser: "dba")
/// // cd / && exec sudo -n -u postgres -- env LC_ALL=C pgbackrest --stanza=n1 backup --type=full …
/// ```
public struct BackRest: Sendable, Hashable {
    public var stanza: StanzaName
    /// The program's name, or its path where it is not on the path of ``user``.
    public var program: String
    /// The OS user it runs as.
    public var user: String
    /// The configuration file; `nil` is the default place, with the default include directory.
    public var configuration: HostPath?
    /// What it is told beside its files: `PGBACKREST_…`. They reach it by its standard input.
    public var environment: [String: Secret]

    public init(
        stanza: StanzaName, program: String = "pgbackrest", user: String = "postgres", configuration: HostPath? = nil, environment: [String: Secret] = [:]
    ) {
        self.stanza = stanza
        self.program = program
        self.user = user
        self.configuration = configuration
        self.environment = environment
    }

    // MARK: Commands

    public func version() -> Command { Command(program, "version").as(user) }

    /// Makes the stanza in the repository; does nothing if it is there for the same system. Runs where the repository is.
    public func stanzaCreate() -> Command { command("stanza-create", log: .info) }

    /// Forces a WAL switch and waits until the segment is in the repository.
    public func check(archiveTimeout: Duration? = nil) -> Command {
        command("check", log: .info, archiveTimeout.map { ["--archive-timeout=\($0.components.seconds)"] } ?? [])
    }

    /// A full backup. Runs where the repository is.
    ///
    /// Expiration is left to the owner of the repository: without `--no-expire-auto` a backup may delete older ones.
    public func backup(processes: Int) -> Command {
        command("backup", log: .detail, ["--type=full", "--start-fast", "--no-expire-auto", "--process-max=\(processes)"])
    }

    /// Restores a backup into the data directory as a standby. Runs where the data directory is.
    public func restore(_ options: RestoreOptions, processes: Int) -> Command {
        command("restore", log: .detail, options.words + ["--process-max=\(processes)"])
    }

    /// What is found in a repository by somebody who is told `options` and nothing else: of a configuration that is not written yet.
    public func info(telling options: [BackRestOption], set: String? = nil) -> Command {
        let content = "[\(stanza)]\n" + options.map { "\($0.key)=\($0.value)\n" }.joined()
        // What cannot be had is tried again until then, for each file: a minute, if nothing is said.
        let patience = options.contains { $0.key == "io-timeout" } ? [] : ["--io-timeout=20"]
        let words = [program, "--stanza=\(stanza)", "info"] + BackRest.infoOptions(set) + patience + ["--log-level-stderr=warn"]
        return Command(words: ["sh", "-c", BackRest.telling, "sh"] + words, user: user).reading(Array(content.utf8))
    }

    /// - Parameter set: a backup that is looked into as well.
    public func info(set: String? = nil) -> Command { command("info", log: nil, BackRest.infoOptions(set)) }

    private static func infoOptions(_ set: String?) -> [String] { ["--output=json"] + (set.map { ["--set=\($0)"] } ?? []) }

    /// Stops archiving and backups of the stanza on this host: needed before ``stanzaDelete()``.
    public func stop() -> Command { command("stop", log: .info) }

    /// Takes back ``stop()``.
    public func start() -> Command { command("start", log: .info) }

    /// Deletes the stanza with all its backups. Runs where the repository is, after ``stop()``.
    ///
    /// `--force` only says that the server may be running; archive_command must no longer name the stanza.
    public func stanzaDelete() -> Command { command("stanza-delete", log: .info, ["--force"]) }

    // MARK: PostgreSQL's settings

    /// `archive_command` of the source.
    public var archiveCommand: String { shellWords + " archive-push %p" }

    /// `restore_command` of a standby, as pgBackRest itself writes it on restore.
    public var restoreCommand: String { shellWords + #" archive-get %f "%p""# }

    private enum LogLevel: String { case info, detail }

    private var words: [String] {
        [program] + (configuration.map { ["--config=\($0.path)"] } ?? []) + ["--stanza=\(stanza)"]
    }

    // PostgreSQL replaces %p and %f in these settings, and %% by a percent sign.
    private var shellWords: String {
        Shell.line(words).split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
    }

    /// Levels are said each time: progress and errors are read from what is printed.
    private func command(_ name: String, log: LogLevel?, _ options: [String] = []) -> Command {
        let levels = (log.map { ["--log-level-console=\($0.rawValue)"] } ?? []) + ["--log-level-stderr=warn"]
        return informed(words + [name] + options + levels)
    }

    /// The command with ``environment``, in which secrets may be.
    private func informed(_ words: [String]) -> Command {
        guard !environment.isEmpty else { return Command(words: words, user: user) }
        let lines = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.reveal())\n" }
        return Command(words: ["sh", "-c", BackRest.exporting, "sh"] + words, user: user).reading(Array(lines.joined().utf8))
    }

    /// A file for the time of the command, which nobody else reads: keys may be in it.
    static let telling = #"""
        umask 077
        file=$(mktemp) || exit 125
        trap 'rm -f -- "$file"' EXIT
        trap 'exit 125' HUP INT TERM
        cat >"$file"
        program=$1
        shift
        "$program" --config="$file" "$@"
        """#

    static let exporting = #"while IFS= read -r variable; do export "$variable"; done; exec "$@""#
}

/// How a backup is restored as a standby.
public struct RestoreOptions: Sendable, Hashable {
    /// The backup; `nil` is the newest.
    public let set: String?
    /// Keep what is already there and right: for a directory that an interrupted restore left.
    public let delta: Bool
    /// Write `archive_mode = off`, so that the copy does not push into the source's stanza (PostgreSQL 12 or newer).
    public let archiveOff: Bool
    public let primaryConninfo: Conninfo
    /// Where tablespaces go that do not go where they are at the source.
    public let tablespaces: [UInt32: HostPath]

    /// - Throws: ``SecretInConninfo`` if `primaryConninfo` holds a password.
    public init(primaryConninfo: Conninfo, set: String? = nil, delta: Bool = false, archiveOff: Bool, tablespaces: [UInt32: HostPath] = [:]) throws(SecretInConninfo) {
        guard primaryConninfo["password"] == nil, primaryConninfo["sslpassword"] == nil else { throw SecretInConninfo() }
        self.primaryConninfo = primaryConninfo
        self.set = set
        self.delta = delta
        self.archiveOff = archiveOff
        self.tablespaces = tablespaces
    }

    var words: [String] {
        ["--type=standby"] + (set.map { ["--set=\($0)"] } ?? []) + (delta ? ["--delta"] : [])
            + (archiveOff ? ["--archive-mode=off"] : []) + tablespaces.sorted { $0.key < $1.key }.map { "--tablespace-map=\($0.key)=\($0.value)" }
            + ["--recovery-option=primary_conninfo=\(RestoreOptions.escaped(primaryConninfo.connectionString))"]
    }

    /// pgBackRest 2.45 puts the value between quotes as it is; unescaped, the standby would not read its own configuration.
    private static func escaped(_ value: String) -> String {
        value.map { $0 == "'" || $0 == "\\" ? "\($0)\($0)" : "\($0)" }.joined()
    }
}

/// A password was about to stand on a command line.
public struct SecretInConninfo: Explained, Hashable {
    public init() {}

    public var fact: String { "primary_conninfo for a restore holds a password, which would stand in the host's process list" }
    public var hint: String? { "put the password into a file and name it with passfile=." }
}
