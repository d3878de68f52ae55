import EventLoop
import PostgresClient
import PostgresConfig
import Scratch
import Testing

@testable import Server

@Suite("Replication", .serialized) struct ReplicationTests {
    @Test(arguments: ScratchArea.versions)
    func `a standby is seen from both ends, and waited for`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let primary = try await pair.session(), standby = try await pair.standbySession()
        try await wait(for: "the standby to stream", until: soon) {
            try await standby.isStreaming(from: primary, as: "n2", deadline: soon) ? .found(()) : .notYet("it does not")
        }
        #expect(try await !standby.isStreaming(from: primary, as: "n3", deadline: soon))
        #expect(try await !primary.isStreaming(from: primary, as: "n2", deadline: soon))
        #expect(try await standby.isInRecovery(deadline: soon))
        #expect(try await !primary.isInRecovery(deadline: soon))

        try await primary.run("CREATE TABLE public.streamed AS SELECT g FROM generate_series(1, 1000) AS g")
        let target = try await primary.insertLSN(deadline: soon)
        try await standby.waitReplayed(to: target, of: "n1", deadline: soon)
        let state = try await standby.recovery(deadline: soon)
        #expect(state.isReceiving && state.isStreaming)
        #expect(try #require(state.replayedLSN) >= target)
        #expect(try #require(state.receivedLSN) >= target)
        let (flushed, written, inserted) = (
            try #require(try await primary.flushedLSN(deadline: soon)), try await primary.currentLSN(deadline: soon), try await primary.insertLSN(deadline: soon)
        )
        #expect(flushed <= written && written <= inserted)
        try await wait(for: "the standby to have replayed everything", until: soon) {
            let lag = try await standby.replay(behind: primary, deadline: soon).lag
            return lag <= 0 ? .found(()) : .notYet("\(lag) bytes behind")
        }

        let row = try #require(try await primary.standbys(deadline: soon).first { $0.application == "n2" })
        #expect(row.isStreaming && row.client == "127.0.0.1" && row.sync == .async)
        let positions = [row.sentLSN, row.writtenLSN, row.flushedLSN, row.replayedLSN].compactMap(\.self)
        #expect(positions.count == 4 && positions == positions.sorted(by: >))

        let far = LSN(position: target.position + 1_000_000_000)
        let late = await #expect(throws: DeadlineExceeded.self) { try await standby.waitReplayed(to: far, of: "n1", deadline: .after(.milliseconds(100))) }
        #expect(late?.waitedFor == "n2 to replay n1 up to \(far)")
        #expect(late?.lastSeen?.hasPrefix("replayed up to ") == true)
        #expect(late?.lastSeen?.contains("paused") == false)
        let pause = SQL(stringLiteral: "SELECT \(standby.features.functionName(.pauseReplay))()"),
            resume = SQL(stringLiteral: "SELECT \(standby.features.functionName(.resumeReplay))()")
        try await standby.run(pause)
        let paused = await #expect(throws: DeadlineExceeded.self) { try await standby.waitReplayed(to: far, of: "n1", deadline: .after(.milliseconds(100))) }
        #expect(paused?.lastSeen?.contains("its replay is paused (SELECT pg_") == true)
        let received = try await primary.currentLSN(deadline: soon)
        try await standby.waitReceived(to: received, of: "n1", deadline: soon)
        try await standby.run(resume)
        let promoted = await #expect(throws: ServerError.self) { try await primary.waitReplayed(to: target, of: "n0", deadline: soon) }
        guard case .promoted("n1") = promoted else {
            Issue.record("\(String(describing: promoted))")
            return
        }
        for session in [primary, standby] { await session.connection.close() }
    }

    @Test(arguments: ScratchArea.versions)
    func `who commits wait for is told by name`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let primary = try await pair.session()
        #expect(try await primary.synchronousStandbyNames(deadline: soon).names.isEmpty)
        for (value, sync) in [("ANY 1 (n2)", StreamingStandby.Sync.quorum), ("n2", .sync), ("n3, n2", .sync), ("", .async)] {
            try await primary.alterSystem("synchronous_standby_names", to: value, deadline: soon)
            try await wait(for: "n2 to be \(sync)", until: soon) {
                let found = try await primary.standbys(deadline: soon).first { $0.application == "n2" }?.sync
                return found == sync ? .found(()) : .notYet("\(String(describing: found))")
            }
            #expect(try await primary.synchronousStandbyNames(deadline: soon).description == value)
        }
        try await primary.alterSystem("synchronous_standby_names", to: nil, expecting: "", deadline: soon)
        await primary.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `a physical slot holds WAL from the moment it is made, and is dropped when nobody reads it`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let primary = try await pair.session()
        let lsn = try #require(try await primary.createPhysicalSlot("n9", deadline: soon))
        let slot = try #require(try await primary.slot("n9", deadline: soon))
        #expect(slot.plugin == nil && slot.database == nil && !slot.isActive && slot.activePID == nil)
        #expect(slot.restartLSN == lsn && slot.walStatus == "reserved")
        #expect(try #require(slot.retainedBytes) >= 0)
        #expect(try await primary.finishedSlot("n9", deadline: soon) != nil)
        #expect(try await primary.slots(deadline: soon).contains { $0.name == "n9" })
        let twice = await #expect(throws: PostgresError.self) { try await primary.createPhysicalSlot("n9", deadline: soon) }
        #expect(twice?.code == "42710")
        #expect(try await primary.dropSlot("n9", deadline: soon))
        #expect(try await !primary.dropSlot("n9", deadline: soon))
        #expect(try await primary.slot("n9", deadline: soon) == nil)
        #expect(try await primary.finishedSlot("n9", deadline: soon) == nil)

        // The standby's own.
        try await wait(for: "the standby to read its slot", until: soon) {
            try await primary.slot("n2", deadline: soon)?.isActive == true ? .found(()) : .notYet("it does not")
        }
        let busy = await #expect(throws: DeadlineExceeded.self) { try await primary.dropSlot("n2", deadline: .after(.milliseconds(100))) }
        #expect(busy?.waitedFor == "slot n2 on n1 to be free to drop")
        #expect(busy?.lastSeen?.hasSuffix(" reads it") == true)
        await primary.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `an origin's progress is read, waited for, and dropped with it`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let session = try await pair.session()
        #expect(try await session.originProgress("from_n3", deadline: soon) == nil)
        try await session.run("SELECT pg_replication_origin_create('from_n3')")
        #expect(try await session.originProgress("from_n3", deadline: soon) == nil)
        let none = await #expect(throws: DeadlineExceeded.self) {
            try await session.waitApplied("from_n3", to: LSN(position: 0x100), of: "n3", deadline: .after(.milliseconds(50)))
        }
        #expect(none?.lastSeen == "origin from_n3 on n1 has applied nothing")
        try await session.run("SELECT pg_replication_origin_advance('from_n3', '0/200')")
        #expect(try await session.waitApplied("from_n3", to: LSN(position: 0x100), of: "n3", deadline: soon) == LSN(position: 0x200))
        let late = await #expect(throws: DeadlineExceeded.self) {
            try await session.waitApplied("from_n3", to: LSN(position: 0x300), of: "n3", deadline: .after(.milliseconds(50)))
        }
        #expect(late?.waitedFor == "n1 to apply n3 up to 0/300")
        #expect(late?.lastSeen == "applied up to 0/200, 256 bytes behind")
        #expect(try await session.origins(deadline: soon).first { $0.name == "from_n3" }?.remoteLSN == LSN(position: 0x200))
        #expect(try await session.dropOrigins(["from_n3", "never_there"], deadline: soon) == ["from_n3"])
        #expect(try await session.dropOrigins(["from_n3"], deadline: soon).isEmpty)
        await session.connection.close()
    }
}
