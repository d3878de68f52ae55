import Playbook
import ProcedureKit
import RemoteHost

/// The archive of a slave: a directory on its host, into which the master archives its WAL by the `ssh` of its own OS user.
///
/// <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-ARCHIVING-WAL>
struct SlaveArchive: Sendable, Hashable {
    var directory: HostPath
    /// What `ssh` is given on the master's host.
    var host: String

    /// The options by which `ssh` asks nobody anything, and does not wait for ever for a host that is gone.
    static let options = ["-T", "-oBatchMode=yes", "-oConnectTimeout=10", "-oServerAliveInterval=15"]

    /// What takes a segment from its standard input, on the slave's host: $1 the directory, $2 the segment's name, $3 its size.
    ///
    /// A connection that is cut off ends the input like a segment that is whole: only what has the right size gets the name. What an attempt before has left, or
    /// writes still, is unlinked first: nobody else writes to the file that is linked. None is overwritten, and the same one once more is a success.
    static let receiving = """
        cd "$1"||exit;f=$2;if [ -e $f ];then cmp -s - $f||{ echo "$f is there already, and is another one">&2;exit 1;};\
        else rm -f $f.*.part;t=$f.$$.part;cat >$t;if [ $(wc -c <$t) -eq $3 ];then sync $t&&ln $t $f&&sync .;s=$?;else echo "$f was cut off">&2;s=1;fi;rm -f $t;exit $s;fi
        """

    /// What archives a segment. Where `ssh` fails it says 255, which would end the archiver.
    var archiveCommand: String {
        let remote = Shell.quote("sh -c \(Shell.quote(Self.receiving)) sh \(Shell.quote(directory.path))").replacing("%", with: "%%")
        return "\(Shell.line(["ssh"] + Self.options + ["--", host])) \(remote) %f $(wc -c <\"%p\") <\"%p\"||exit 1"
    }

    /// The server puts it together in so many bytes, names filled in (until 14).
    static let longest = 1023
    /// Its length with names filled in.
    var archiveCommandLength: Int {
        let name = String(repeating: "0", count: 24)
        return archiveCommand.replacing("%p", with: "pg_xlog/\(name)").replacing("%f", with: name).replacing("%%", with: "%").utf8.count
    }

    /// What fetches a segment from it, on the slave.
    var restoreCommand: String { #"cp DIR/%f "%p""#.replacing("DIR", with: ArchiveDirectory.word(directory.path)) }

    /// What clears it of what the slave does not need any more.
    /// - Parameter program: `pg_archivecleanup`.
    func cleanupCommand(_ program: HostPath) -> String { "\(ArchiveDirectory.word(program.path)) \(ArchiveDirectory.word(directory.path)) %r" }
}

extension SlaveArchive {
    /// `nil` for a slave without one.
    /// - Throws: `Problem` for a path that is none.
    init?(_ slave: Playbook.DatanodeCluster.Slave) throws {
        guard let directory = slave.archive else { return nil }
        self.init(directory: try HostPath(checking: directory), host: slave.archiveHost ?? slave.node.address)
    }
}
