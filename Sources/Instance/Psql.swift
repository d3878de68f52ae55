public import EventLoop
public import PostgresClient
public import RemoteHost

extension Instance {
    /// Runs psql of this instance's programs on its host as the servers' user, to see whether a connection works from there. A
    /// password goes in by standard input, never on the command line.
    public func psql(_ conninfo: Conninfo, _ statement: String, deadline: Deadline) async throws -> CommandResult {
        try await host.run(Psql.command(binaries.directory / "psql", conninfo, statement).as(user), deadline: deadline)
    }
}

enum Psql {
    static func command(_ program: HostPath, _ conninfo: Conninfo, _ statement: String) -> Command {
        var shown = conninfo.withoutSecrets
        if shown["connect_timeout"] == nil { shown["connect_timeout"] = "5" }
        let script = #"IFS= read -r PGPASSWORD; if [ -n "$PGPASSWORD" ]; then export PGPASSWORD; else unset PGPASSWORD; fi; exec "$1" -wXAtq -d "$2" -c "$3""#
        return Command.script(script, program.path, shown.connectionString, statement)
            .reading(Array(((conninfo.password?.reveal() ?? "") + "\n").utf8))
    }
}
