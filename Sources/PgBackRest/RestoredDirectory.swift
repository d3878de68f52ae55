public import EventLoop
public import PostgresClient
public import RemoteHost

/// What a restore, finished or not, left in a data directory.
public enum RestoredDirectory: Sendable, Hashable {
    /// There is no such directory.
    case absent
    case empty
    /// Directories of a cluster, and nothing in them: a restore, which begins with these, was cut off before its first file.
    case directories
    /// Something is there that no restore left: it has neither `PG_VERSION` nor a manifest.
    case foreign
    /// A restore was cut off; it continues with `delta`. The server cannot start: `global/pg_control` comes last.
    case incomplete(set: String?)
    /// Ready to start, or started before.
    case complete(Complete)

    public struct Complete: Sendable, Hashable {
        /// Where the backup began, from `backup_label` or `backup_label.old`: tells which backup it was.
        public let startLSN: LSN?
        /// The server has been started on it: `backup_label` was renamed.
        public let started: Bool
        /// `postmaster.pid` is there.
        public let hasPostmaster: Bool
        /// Comes up as a standby: `standby.signal`, or a `recovery.conf` before PostgreSQL 12.
        public let isStandby: Bool
    }

    // One call, so that all answers belong to one moment.
    private static let script = """
        [ -d "$1" ] || { echo absent; exit 0; }
        cd "$1" || exit 1
        [ -n "$(ls -A)" ] || { echo empty; exit 0; }
        if [ -d base ] || [ -d global ]; then [ -n "$(find . ! -type d | head -n 1)" ] || { echo directories; exit 0; }; fi
        for name in PG_VERSION backup.manifest backup_label backup_label.old global/pg_control postmaster.pid standby.signal recovery.conf; do
            [ ! -e "$name" ] || echo "has $name"
        done
        if [ -e backup.manifest ]; then sed -n 's/^backup-label="\\(.*\\)"$/set \\1/p' backup.manifest; fi
        for name in backup_label backup_label.old; do
            [ ! -e "$name" ] || { sed -n 's/^START WAL LOCATION: \\([0-9A-F/]*\\) .*/start \\1/p' "$name"; break; }
        done
        """

    /// Looks at `directory` as `user`, who must be able to read it.
    public static func inspect(_ directory: HostPath, on host: any Host, user: String, deadline: Deadline) async throws -> RestoredDirectory {
        let result = try await host.require(Command.script(script, directory.path).as(user), deadline: deadline)
        return RestoredDirectory(result.text)
    }

    init(_ text: String) {
        let lines = text.split(whereSeparator: \.isNewline).map(String.init)
        if lines == ["absent"] {
            self = .absent
            return
        }
        if lines == ["empty"] {
            self = .empty
            return
        }
        if lines == ["directories"] {
            self = .directories
            return
        }
        let has = { (name: String) in lines.contains("has \(name)") }
        let value = { (key: String) in lines.first { $0.hasPrefix("\(key) ") }.map { String($0.dropFirst(key.count + 1)) } }
        self =
            if has("backup.manifest") || (has("PG_VERSION") && !has("global/pg_control")) {
                .incomplete(set: value("set"))
            } else if has("PG_VERSION") {
                .complete(
                    Complete(
                        startLSN: value("start").flatMap { LSN($0) }, started: !has("backup_label"),
                        hasPostmaster: has("postmaster.pid"), isStandby: has("standby.signal") || has("recovery.conf")))
            } else {
                .foreign
            }
    }
}
