public import EventLoop
public import PostgresClient
public import RemoteHost

/// The password file of a host's OS user. <https://www.postgresql.org/docs/current/libpq-pgpass.html>
public enum Passfile {
    /// Where `user`'s password file is; `nil` where he has none.
    public static func find(of user: String, on host: any Host, deadline: Deadline) async throws -> String? {
        let path = try await host.require(.script(finding, user).as(user), deadline: deadline).text
        return path.isEmpty ? nil : path
    }

    /// Whether it has a line for `conninfo`.
    public static func hasLine(for conninfo: Conninfo, of user: String, on host: any Host, deadline: Deadline) async throws -> Bool {
        let fields = [conninfo["host"] ?? "", conninfo["port"] ?? "5432", conninfo["dbname"] ?? "", conninfo["user"] ?? ""]
        return try await host.run(.script(matching, fields[0], fields[1], fields[2], fields[3]).as(user), deadline: deadline).succeeded
    }

    static let finding = #"file=$(getent passwd "$1" | cut -d: -f6)/.pgpass; [ -e "$file" ] && echo "$file"; true"#

    static let matching =
        #"file=$(getent passwd "$(id -un)" | cut -d: -f6)/.pgpass; [ -r "$file" ] || exit 1; awk -F: -v h="$1" -v p="$2" -v d="$3" -v u="$4" 'function fits(a, b) { return a == "*" || a == b } fits($1, h) && fits($2, p) && fits($3, d) && fits($4, u) { found = 1 } END { exit !found }' "$file""#
}
