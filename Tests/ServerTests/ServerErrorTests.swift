import PostgresConfig
import Report
import Testing

@testable import Server

@Suite("Refusals") struct ServerErrorTests {
    @Test(
        arguments: [
            (
                ServerError.reloadFailed(node: "n1"),
                "n1: the server did not take the signal to reload its configuration\n  HINT: look into the server's log; nothing was changed but postgresql.auto.conf"
            ),
            (
                .cannotAlterSystem(node: "n1", setting: "archive_command", version: .postgres(10)),
                "n1: archive_command cannot be set by ALTER SYSTEM and read back on PostgreSQL 10\n  HINT: write it into a configuration file"
            ),
            (
                .listSetting(node: "n1", setting: "search_path"),
                "n1: search_path is a list, which ALTER SYSTEM would store as one element\n  HINT: write it into a configuration file"
            ),
            (
                .slotCreationBlocked(
                    node: "n1", slot: "s", blockers: [.session(pid: 7, role: "app", database: "crm", application: "", state: "idle in transaction")], budget: .seconds(2)),
                """
                n1: slot s could not be created within 2 s: transactions open before it have not ended: pid 7 (app, database crm, idle in transaction)
                  HINT: end them, or COMMIT PREPARED / ROLLBACK PREPARED them, and run again; no slot is left behind
                """
            ),
            (
                .cannotHaveSlots(node: "n1", version: .postgres(10)),
                "n1: PostgreSQL 10 has no replication slots\n  HINT: keep WAL for the standby with wal_keep_segments or an archive"
            ),
            (.promoted(node: "n4"), "n4 is no standby any more\n  HINT: somebody promoted it; see its log"),
        ] as [(ServerError, String)])
    func `say what happened, and what to do`(error: ServerError, text: String) { #expect(error.description == text) }
}
