public import RemoteHost
public import Report

/// Something that stands in the way of a copy, found before anything is changed.
public enum BackRestFinding: Sendable, Hashable, CustomStringConvertible {
    case notInstalled(host: String)
    case tooOld(host: String, BackRestVersion)
    /// It does not know the server's major version yet.
    case tooOldForServer(host: String, BackRestVersion, server: Int, needed: BackRestVersion)
    /// `pgbackrest stop` is in force.
    case stopped(host: String, StanzaName, file: HostPath)
    /// A file that pgBackRest reads, and its user may not.
    case closedFile(host: String, HostPath, user: String)
    /// The configuration names another server than the one that is copied.
    case otherServer(host: String, StanzaName, says: BackRestOption, needed: String)
    /// The repository's host knows nothing of the stanza that the source has; the lines are those it lacks.
    case notConfigured(host: String, StanzaName, lines: [BackRestOption])
    /// The playbook says something else of the repository than pgBackRest has.
    case contradicted(host: String, StanzaName, has: String, key: String, says: String)
    /// A full backup is to be taken on a host that the playbook does not name.
    case backupElsewhere(host: String, StanzaName, repository: String)
    /// The repository's configuration names a file that the user cannot read.
    case fileMissing(host: String, HostPath, user: String)
    case spoolClosed(host: String, HostPath, user: String)
    /// A host cannot look into a repository that it will reach by itself.
    case refused(host: String, StanzaName, RepositoryRefusal)
    /// pgBackRest's server on the source does not let the repository's host in.
    case noServer(host: String, at: String, RepositoryRefusal)
    /// What a repository of the stanza says of itself.
    case damaged(host: String, StanzaName, repository: Int, message: String)
    /// pgBackRest refuses to talk to another version of itself.
    case versionsDiffer([String: BackRestVersion])
    case stanzaOfAnotherSystem(host: String, StanzaName, found: UInt64, expected: UInt64)
    /// `info` could not look into the repository.
    case repositoryUnreadable(host: String, StanzaName, message: String)
    /// The directory is not there, and cannot be made by the user.
    case repositoryMissing(host: String, HostPath, user: String)
    case repositoryNotWritable(host: String, HostPath, user: String)
    /// Bytes free and bytes the database has; the backup itself is smaller by its compression.
    case repositorySpace(host: String, HostPath, free: UInt64, database: UInt64)
    case notShared(HostPath, source: String, target: String, why: String)
    case sshRefused(from: String, user: String, to: SSHEndpoint, message: String)
    case running(host: String, StanzaName, [BackRestProcess])
    /// The copy would archive into the stanza of the server it was copied from.
    case archivesIntoSource(node: String, stanza: StanzaName)

    public var description: String { problem.description }

    /// The finding as something that stands in the way.
    public var problem: Problem { Problem(fact, hint: hint) }

    /// What was found, and where.
    public var fact: String {
        switch self {
        case .notInstalled(let host): "\(host): pgBackRest is not installed"
        case .tooOld(let host, let version): "\(host): pgBackRest \(version) is too old"
        case .versionsDiffer(let versions):
            "versions of pgBackRest differ: " + versions.sorted { $0.key < $1.key }.map { "\($0.key) has \($0.value)" }.joined(separator: ", ")
        case .tooOldForServer(let host, let version, let server, _): "\(host): pgBackRest \(version) does not know PostgreSQL \(server)"
        case .stopped(let host, let stanza, let file): "\(host): pgbackrest stop is in force for stanza '\(stanza)' (\(file))"
        case .closedFile(let host, let path, let user): "\(host): \(user) cannot read \(path), which pgBackRest reads"
        case .otherServer(let host, let stanza, let says, let needed): "\(host): pgBackRest has \(says) for stanza '\(stanza)', the server's is \(needed)"
        case .notConfigured(let host, let stanza, _): "\(host): pgBackRest's configuration has no server of stanza '\(stanza)' there"
        case .contradicted(let host, let stanza, let has, let key, let says):
            "\(host): pgBackRest has stanza '\(stanza)' in \(has), but the playbook says \(key): \(says)"
        case .backupElsewhere(let host, let stanza, let repository):
            "\(host): the repository of stanza '\(stanza)' is on \(repository), where a full backup is taken, and the playbook does not say how to log in there"
        case .fileMissing(let host, let path, let user): "\(host): the source's pgBackRest uses \(path), which \(user) cannot read here"
        case .spoolClosed(let host, let path, let user): "\(host): archive-async is on, and \(user) cannot write to its spool directory \(path)"
        case .refused(let host, let stanza, let refusal): "\(host): the repository of stanza '\(stanza)' is not to be had: \(refusal.message)"
        case .noServer(let host, let address, let refusal): "\(host): pgBackRest's server at \(address) is not to be had: \(refusal.message)"
        case .damaged(let host, let stanza, let repository, let message): "\(host): repo\(repository) of stanza '\(stanza)': \(message)"
        case .stanzaOfAnotherSystem(let host, let stanza, let found, let expected):
            "\(host): stanza '\(stanza)' belongs to database system \(found), the source is \(expected)"
        case .repositoryUnreadable(let host, let stanza, let message): "\(host): the repository of stanza '\(stanza)' cannot be read: \(message)"
        case .repositoryMissing(let host, let path, let user): "\(host): no directory \(path) for the repository, and \(user) cannot make it"
        case .repositoryNotWritable(let host, let path, let user): "\(host): \(user) cannot write to the repository \(path)"
        case .repositorySpace(let host, let path, let free, let database):
            "\(host): \(free.inBytes) free for the repository \(path), the database has \(database.inBytes)"
        case .notShared(let path, let source, let target, let why): "\(path) is not the same directory on \(source) and \(target): \(why)"
        case .sshRefused(let from, let user, let to, let message): "\(from): \(user) cannot reach \(to) over SSH: \(message)"
        case .running(let host, let stanza, let processes):
            "\(host): pgbackrest is at work on stanza '\(stanza)': "
                + processes.map { "\($0.command) (pid \($0.pid))" }.joined(separator: ", ")
        case .archivesIntoSource(let node, let stanza):
            "\(node): archive_command pushes into stanza '\(stanza)' of the server it was copied from"
        }
    }

    /// What to do.
    public var hint: String {
        switch self {
        case .notInstalled: "install pgBackRest \(BackRestVersion.minimum) or newer, the same version on every host."
        case .tooOld: "install \(BackRestVersion.minimum) or newer, the same version on every host."
        case .tooOldForServer(_, _, _, let needed): "install \(needed) or newer, the same version on every host."
        case .stopped(let host, let stanza, _): "if nobody else needs that: pgbackrest --stanza=\(stanza) start on \(host)."
        case .closedFile(_, _, let user): "let \(user) read it; pgBackRest runs as \(user)."
        case .otherServer(let host, let stanza, let says, let needed):
            "correct \(says.key) to \(needed) in pgBackRest's configuration on \(host), or name under copy.stanza the stanza of this server instead of \(stanza)."
        case .notConfigured(let host, let stanza, let lines):
            "add to pgBackRest's configuration on \(host):\n[\(stanza)]\n" + lines.map { "\($0)" }.joined(separator: "\n")
        case .contradicted(_, _, _, let key, _): "leave \(key) out, which takes what is there; or choose another stanza under copy.stanza."
        case .backupElsewhere: "say under copy.repository `host:`, how your machine reaches it, and `user:`; or use copy.backup: newest."
        case .fileMissing(let host, _, _): "put it on \(host) too, or let the repository be reached in another way."
        case .spoolClosed(_, let path, let user): "make \(path) and give it to \(user), or say archive-async=n."
        case .refused(_, _, let refusal), .noServer(_, _, let refusal): refusal.hint
        case .damaged:
            "pgbackrest info says more: is it encrypted, and by the passphrase that the configuration has? Else repair it, or use another stanza."
        case .versionsDiffer: "pgBackRest talks only to its own version; install the same one on every host."
        case .stanzaOfAnotherSystem: "choose another stanza name."
        case .repositoryUnreadable: "check path and owner of the repository, and the SSH connection to its host."
        case .repositoryMissing(_, _, let user): "make the directory and give it to \(user)."
        case .repositoryNotWritable(_, _, let user): "give the directory to \(user)."
        case .repositorySpace: "make room; a compressed backup needs a third to a half of the database's size."
        case .notShared: "mount it on both hosts, or use a repository that is reached over SSH."
        case .sshRefused(let from, let user, let to, _):
            "give \(user) on \(from) a key that \(to) accepts, put the host key into its known_hosts, and try"
                + " ssh -o BatchMode=yes \(to.user)@\(to.address) true."
        case .running: "let it finish first."
        case .archivesIntoSource(let node, _): "turn archiving off there, or give \(node) a stanza of its own."
        }
    }
}
