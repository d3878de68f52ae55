import Playbook
import Testing

@Suite("A playbook for a rejoin") struct RejoinFormTests {
    private static let text = Examples.pair("rejoin", "node: db1")

    private func copy(_ more: String) throws -> Playbook.Rejoin.NewCopy? {
        guard case .rejoin(let order) = try Playbook.parse(Self.text + more, name: "p.yaml").procedure else { throw OtherProcedure() }
        return if case .anew(let copy) = order.copy { copy } else { nil }
    }

    @Test func `makes a new copy only where it says so, and removes nothing by itself`() throws {
        #expect(try copy("")?.existing == nil)
        #expect(try copy("copy: none\n")?.existing == nil)
        #expect(try copy("copy: {method: pg_basebackup}\n")?.existing == .moveAside)
        #expect(try copy("copy: {method: pg_basebackup, existing: remove}\n")?.existing == .remove)
        #expect(try copy("copy: {method: pgbackrest, repository: existing}\n")?.existing == .delta)
    }

    @Test(arguments: [
        ("copy: {existing: delta}\n", "pg_basebackup cannot go on with what is there"),
        ("copy: {method: pgbackrest, repository: existing, existing: remove}\n", "pgbackrest overwrites what differs in the data directory"),
        ("copy: yes\n", "none, or the keys of a copy"),
    ]) func `says what is wrong with it`(_ more: String, _ problem: String) {
        #expect(Examples.report(Self.text + more).contains(problem), "\(Examples.report(Self.text + more))")
    }
}
