import EventLoop
import PostgresClient
import Scratch
import Testing

@testable import Server

@Suite("Logical slots") struct LogicalSlotTests {
    @Test(arguments: ScratchArea.versions)
    func `wait for what is open, name it, and are not left half made`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("logical")
        let primary = try await pair.session(database: "logical"), watcher = try await pair.session(database: "logical")
        let client = try await pair.client(database: "logical", application: "shop")
        try await client.query("BEGIN", deadline: soon)
        try await client.query("CREATE TABLE public.t (id int)", deadline: soon)
        let failure = await #expect(throws: ServerError.self) {
            try await primary.createLogicalSlots(["sub_n9"], plugin: "pgoutput", watcher: watcher, deadline: .after(.seconds(4)))
        }
        guard case .slotCreationBlocked("n1", "sub_n9", let blockers, .seconds(4)) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        let pid = await client.backendPID
        #expect(blockers.map(\.description).contains("pid \(pid) (postgres, database logical, shop, idle in transaction)"), "\(blockers)")
        #expect(try await primary.slot("sub_n9", deadline: soon) == nil)

        try await client.query("PREPARE TRANSACTION 'left behind'", deadline: soon)
        let prepared = await #expect(throws: ServerError.self) {
            try await primary.createLogicalSlots(["sub_n9"], plugin: "pgoutput", watcher: watcher, deadline: .after(.seconds(4)))
        }
        #expect(prepared?.fact.contains("prepared transaction 'left behind' (postgres, database logical) since ") == true, "\(String(describing: prepared))")
        try await client.query("ROLLBACK PREPARED 'left behind'", deadline: soon)

        let lsn = try await primary.createLogicalSlots(["sub_n9"], plugin: "pgoutput", watcher: watcher, deadline: soon).begins["sub_n9"]
        let slot = try #require(try await primary.finishedSlot("sub_n9", deadline: soon))
        #expect(slot.confirmedFlushLSN == lsn && slot.plugin == "pgoutput" && slot.database == "logical" && !slot.isActive)
        #expect(try await primary.dropSlot("sub_n9", deadline: soon))
        for session in [primary, watcher] { await session.connection.close() }
        await client.close()
    }
}
