public import EventLoop
import RemoteHost

extension Instance {
    /// Up to a few of the files in the data directory, directories left out; none where there is no such directory.
    public func someFiles(deadline: Deadline) async throws -> [String] {
        let text = try await host.require(.script(EmptyDataDirectory.someFiles, dataDirectory.path).as(user), deadline: deadline).text
        return text.split(separator: "\n").map(String.init)
    }

    /// Removes what is in the data directory and, of the cluster, in its tablespaces. What tells whose it is goes last, so that
    /// one that was cut off is known again.
    public func emptyDataDirectory(deadline: Deadline) async throws {
        try await host.require(.script(EmptyDataDirectory.emptying, dataDirectory.path).as(user), deadline: deadline)
    }
}

enum EmptyDataDirectory {
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
