public import RemoteHost
public import Report

/// Something that stands in the way of a copy, found before anything is changed.
public enum BackRestFinding: Sendable, Hashable, CustomStringConvertible {
    case notInstalled(host: String)
    case tooOld(host: String, BackRestVersion)
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
