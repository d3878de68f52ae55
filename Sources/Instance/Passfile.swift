public import EventLoop
public import PostgresClient
public import RemoteHost
import Report

/// The password file of a host's OS user. <https://www.postgresql.org/docs/current/libpq-pgpass.html>
public enum Passfile {
    /// Where `user`'s password file is; `nil` where he has none.
    public static func find(of user: String, on host: any Host, deadline: Deadline) async throws -> String? {
        let path = try await host.require(.script(finding, user).as(user), deadline: deadline).text
        return path.isEmpty ? nil : path
    }

    /// Where `user`'s password file is, or would be.
    public static func place(of user: String, on host: any Host, deadline: Deadline) async throws -> HostPath {
        let home = try await host.require(.script(home, user).as(user), deadline: deadline).text
        guard let path = HostPath(home) else { throw Problem("\(host.name): the OS user \(user) has no home directory, and so no password file") }
        return path / ".pgpass"
    }

    /// Whether others may read it, and libpq therefore does not.
    public static func isOpen(_ mode: FileMode) -> Bool { mode.bits & 0o077 != 0 }

    static let home = #"getent passwd "$1" | cut -d: -f6"#

    static let finding = #"file=$(getent passwd "$1" | cut -d: -f6)/.pgpass; [ -e "$file" ] && echo "$file"; true"#

    /// What became of a login with a password of the file.
    public enum Trial: Sendable {
        /// It has no line for the connection, or is not there.
        case noLine(file: String)
        /// Others may read it, and libpq therefore does not.
        case open(file: String)
        case tried(CommandResult)
    }

    /// Logs in with the password that libpq would take for another connection. It never leaves the host.
    static func trial(_ program: HostPath, _ conninfo: Conninfo, for other: Conninfo, _ statement: String) -> Command {
        var shown = conninfo.withoutSecrets
        shown["passfile"] = nil
        if shown["connect_timeout"] == nil { shown["connect_timeout"] = "5" }
        return .script(
            trying, program.path, other["passfile"] ?? "", other["host"] ?? other["hostaddr"] ?? "", other["port"] ?? "5432",
            other["dbname"] ?? other["user"] ?? "", other["user"] ?? "", shown.connectionString, statement)
    }

    /// The states of ``trying`` that psql does not end with.
    static let withoutLine: Int32 = 81, readByOthers: Int32 = 82

    /// libpq's own reading of the file: `*`, backslashes, the first line that fits.
    static let trying = #"""
        file=$2
        [ -n "$file" ] || file=$(getent passwd "$(id -un)" | cut -d: -f6)/.pgpass
        [ -r "$file" ] || { echo "$file"; exit 81; }
        case $(stat -L -c %a "$file") in *00) ;; *) echo "$file"; exit 82 ;; esac
        PGPASSWORD=$(host=$3 port=$4 database=$5 role=$6 awk '
          function fits(token,    i, t, c) {
            if (substr(rest, 1, 2) == "*:") { rest = substr(rest, 3); return 1 }
            t = 1
            for (i = 1; i <= length(rest); i++) {
              c = substr(rest, i, 1)
              if (c == ":" && t > length(token)) { rest = substr(rest, i + 1); return 1 }
              if (c == "\\") { i++; c = substr(rest, i, 1) }
              if (t > length(token) || c != substr(token, t, 1)) return 0
              t++
            }
            return 0
          }
          /^#/ { next }
          {
            rest = $0
            if (fits(ENVIRON["host"]) && fits(ENVIRON["port"]) && fits(ENVIRON["database"]) && fits(ENVIRON["role"])) {
              password = ""
              for (i = 1; i <= length(rest); i++) {
                c = substr(rest, i, 1)
                if (c == "\\" && i < length(rest)) { i++; c = substr(rest, i, 1) }
                password = password c
              }
              print password
              found = 1
              exit
            }
          }
          END { exit !found }' "$file") || { echo "$file"; exit 81; }
        export PGPASSWORD
        exec "$1" -wXAtq -d "$7" -c "$8"
        """#
}

extension Instance {
    /// Logs in to `conninfo` as the servers' user of this host, with the password that its password file has for `other`: what
    /// would happen at `other`, where nobody answers yet.
    public func tryPassword(of other: Conninfo, at conninfo: Conninfo, deadline: Deadline) async throws -> Passfile.Trial {
        let result = try await host.run(Passfile.trial(binaries.directory / "psql", conninfo, for: other, "SELECT 1").as(user), deadline: deadline)
        return switch result.status {
        case .code(Passfile.withoutLine): .noLine(file: result.text)
        case .code(Passfile.readByOthers): .open(file: result.text)
        default: .tried(result)
        }
    }
}
