import Playbook
import ProcedureKit
import Procedures
import Report
import Run
import Testing

@Suite("Adding a Spock node")
struct StepTests {
    private func procedure() throws -> any Procedure {
        let path = String(#filePath.dropLast("/Tests/ProceduresTests/StepTests.swift".count)) + "/playbooks/spock-add-node.yaml"
        let catalog = Catalog(Ways { _, name, _ in throw Problem("\(name) is not to be reached here") })
        return try catalog.procedure(for: try Playbook.load(path: path), at: path)
    }

    @Test func `the steps carry the document's numbers, in the order that keeps every row`() throws {
        let steps = try procedure().steps.map { step in
            String(repeating: " ", count: 2 - step.id.number.count) + "\(step.id.number)  \(step.id.name): \(step.title)"
        }
        #expect(
            steps.joined(separator: "\n") == """
                 1  pgbackrest-configuration: Configure pgBackRest for the stanza app
                 1  archiving: Archive the WAL of n1 into the stanza
                 1  stanza: Create the stanza app, and prove that WAL of n1 arrives there
                 2  backup: Take a full backup of n1
                 3  restore: Restore the backup to n4
                 4  streaming: Set up streaming replication from n1 on n4; archiving off, closed to clients
                 7  remove-preload: Remove Spock from shared_preload_libraries on n4
                 8  start-standby: Start n4 as a standby of n1
                 4  catch-up: Let n4 and the mesh catch up
                 5  read-only: Make n1, n2 and n3 read-only
                 6  end-transactions: Terminate all client transactions on n1, n2 and n3
                15  slots: Create the slots of n4 on n1, n2 and n3
                 6  drain: Drain n1, n2 and n3 in every direction, and n4 with them
                 9  promote: Promote n4
                16  drained-point: Hold the drained point on n1, n2 and n3 for the proof
                14  read-write: Remove read-only mode from n2 and n3, then n1
                10  remove-identity: Remove the identity of n1 from n4: replication sets, nodes, origins
                11  restore-preload: Add Spock to shared_preload_libraries on n4 again
                12  restart: Restart n4 with Spock
                13  add-node: Make n4 a Spock node, with the replication sets of n1
                15  subscriptions: Add the subscriptions between n4 and n1, n2 and n3, both ways
                14  open-new-node: Open n4 to clients, with the rules of n1
                16  verify: List all nodes from n1, n2, n3 and n4, and prove that nothing was lost
                """)
    }

    @Test func `no two steps have the same name`() throws {
        let names = try procedure().steps.map(\.id.name)
        #expect(Set(names).count == names.count)
    }

    @Test func `the window opens with step 5 and closes with step 14, once the new node is promoted: the slots are there, the rest comes afterwards`() throws {
        let procedure = try procedure(), ids = procedure.steps.map(\.id.name)
        let brackets = procedure.brackets(Memory())
        #expect(brackets.map(\.opens) == ["read-only"])
        #expect(brackets.map(\.closes) == ["read-write"])
        let closes = try #require(ids.firstIndex(of: "read-write"))
        for earlier in ["read-only", "slots", "drain", "promote", "drained-point"] { #expect(try #require(ids.firstIndex(of: earlier)) < closes, "\(earlier)") }
        for later in ["remove-identity", "restart", "add-node", "subscriptions", "open-new-node"] {
            #expect(try #require(ids.firstIndex(of: later)) > closes, "\(later)")
        }
    }

    @Test func `without a way to the hosts every host is a finding, and nothing is asked of servers`() async throws {
        let findings = try await Requirements(try procedure().requirements).findings()
        #expect(
            findings.prefix(5).map { "\($0.requirement) \($0.place ?? ""): \($0.found)" } == [
                "host n1: n1 is not to be reached here", "host n2: n2 is not to be reached here", "host n3: n3 is not to be reached here",
                "host n4: n4 is not to be reached here", "host repo: repo is not to be reached here",
            ])
        #expect(findings.allSatisfy { !$0.isMet })
        #expect(findings.last?.found == "could not be looked at as a whole: n1, n2 and n3 are missing")
    }
}

@Suite("Findings")
struct FindingTests {
    static let table: [(finding: Finding, problem: String?)] = [
        (Finding("port", on: "n4", "5432 is free"), nil),
        (Finding("programs", on: "n4", "PostgreSQL 15.20", .note(hint: "n1 has 15.18")), nil),
        (Finding("port", on: "n4", "somebody listens", .notMet(hint: "stop it")), "n4: port: somebody listens\n  HINT: stop it"),
        (Finding("clocks", "2000 ms apart", .notMet(hint: nil)), "clocks: 2000 ms apart"),
    ]

    @Test(arguments: table.indices)
    func `what is not met stands in the way, with its place and a hint`(index: Int) {
        let (finding, problem) = Self.table[index]
        #expect(finding.problem?.description == problem)
        #expect(finding.isMet == (problem == nil))
    }
}
