import PostgresClient
import Report
import Testing

@Suite struct `Rows of an answer` {
    let rows = Rows(columns: ["name", "oid", "ready", "load", "at"], values: [["n1", "4294967295", "t", "0.5", nil]], commandTag: "SELECT 1", node: "n7")

    @Test func `are read as types`() throws {
        let row = try rows.one()
        #expect(try row.get("name") == "n1")
        #expect(try row.get("oid", as: UInt32.self) == .max)
        #expect(try row.get("ready") == true)
        #expect(try row.get("load", as: Double.self) == 0.5)
        #expect(try row.optional("at", as: LSN.self) == nil)
        #expect(rows.map(\.columns.count) == [5])
    }

    @Test func `name the node and the column that is not as expected`() throws {
        let row = try rows.one()
        func message(_ body: () throws -> some Any) -> String? {
            #expect(throws: UnexpectedAnswer.self) { _ = try body() }?.description
        }
        #expect(message { try row.get("at", as: String.self) } == "n7: unexpected answer: at is NULL")
        #expect(message { try row.get("name", as: Int.self) } == "n7: unexpected answer: name = n1 is no Int")
        #expect(message { try row.get("oid", as: Bool.self) } == "n7: unexpected answer: oid = 4294967295 is no Bool")
        #expect(message { try row.get("nme", as: Int.self) } == "n7: unexpected answer: no column nme among name, oid, ready, load, at")
        #expect(message { try Rows(columns: ["a"], values: []).one() } == "unexpected answer: expected one row, got 0")
        #expect(message { try Rows(columns: ["a"], values: [["1"], ["2"]]).one() } == "unexpected answer: expected one row, got 2")
    }
}
