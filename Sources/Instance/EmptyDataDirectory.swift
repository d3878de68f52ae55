public import EventLoop
import PostgresConfig
import RemoteHost

extension Instance {
    /// Up to a few of the files in the data directory, directories left out; none where there is no such directory.
    public func someFiles(deadline: Deadline) async throws -> [String] {
        let text = try await host.require(.script(EmptyDataDirectory.someFiles, dataDirectory.path).as(user), deadline: deadline).text
        return text.split(separator: "\n").map(String.init)
    }

    /// Removes the directories in the data directory that have no file in them.
    public func removeEmptyDirectories(deadline: Deadline) async throws {
        try await host.require(Command("find", dataDirectory.path, "-mindepth", "1", "-depth", "-type", "d", "-empty", "-delete").as(user), deadline: deadline)
    }

    /// Removes what is in the data directory and, of the cluster, in its tablespaces. What tells whose it is goes last, so that
    /// one that was cut off is known again.
    public func emptyDataDirectory(deadline: Deadline) async throws {
        try await host.require(.script(EmptyDataDirectory.emptying, dataDirectory.path).as(user), deadline: deadline)
    }
}

extension Instance {
    /// Removes all that a data directory holds, wherever that is: itself, its tablespaces, its log.
    public func removeData(deadline: Deadline) async throws {
        // Its link goes with the data directory.
        if let wal = try await placesElsewhere(deadline: deadline)[features.walDirectory] {
            try await removeLeftovers(ofTablespaces: [], walDirectory: wal, deadline: deadline)
        }
        try await emptyDataDirectory(deadline: deadline)
    }

    /// Removes what a copy that was cut off has left beside the data directory: the clusters' directories in `spaces`, and everything in the
    /// directory of the log.
    public func removeLeftovers(ofTablespaces spaces: [HostPath], walDirectory: HostPath?, deadline: Deadline) async throws {
        let words = ["sh", "-c", EmptyDataDirectory.leftovers, "sh", walDirectory?.path ?? ""] + spaces.map(\.path)
        try await host.require(Command(words: words, user: user), deadline: deadline)
    }
}

extension Instance {
    /// Removes the segments, histories and backup files of the log in a directory that they were archived to, and nothing else.
    public func removeArchivedWAL(in directory: HostPath, deadline: Deadline) async throws {
        try await host.require(.script(EmptyDataDirectory.archived, directory.path).as(user), deadline: deadline)
    }
}

enum EmptyDataDirectory {
    static let archived = """
        cd -- "$1" || exit 1
        find . -mindepth 1 -maxdepth 1 -type f -regextype posix-extended \
            -regex '\\./[0-9A-F]{8}([0-9A-F]{16}(\\.partial|\\.[0-9A-F]{8}\\.backup)?|\\.history)(\\.part)?' -delete
        """

    static let leftovers = """
        wal=$1; shift
        for space; do
            [ ! -d "$space" ] || find "$space" -mindepth 1 -maxdepth 1 -name 'PG_*' -exec rm -rf -- {} + || exit 1
        done
        [ -z "$wal" ] || [ ! -d "$wal" ] || find "$wal" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf -- {} +
        """

    static let someFiles = #"[ -d "$1" ] || exit 0; cd -- "$1" && find . ! -type d -printf '%P\n' | head -n 5"#

    static let emptying = """
        cd -- "$1" || exit 1
        for space in pg_tblspc/*/; do
            [ ! -d "$space" ] || find "$space" -mindepth 1 -maxdepth 1 -name 'PG_*' -exec rm -rf -- {} + || exit 1
        done
        find . -mindepth 1 -maxdepth 1 ! -name global ! -name PG_VERSION ! -name backup.manifest -exec rm -rf -- {} + &&
            { [ ! -d global ] || find global -mindepth 1 ! -name pg_control -delete; } &&
            rm -f PG_VERSION && rm -rf global && rm -f backup.manifest
        """
}
