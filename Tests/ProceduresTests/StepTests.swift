import Foundation
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

    @Test func `the steps carry the document's numbers, in the order that keeps every row, as docs tell them`() throws {
        let root = #filePath.dropLast("/Tests/ProceduresTests/StepTests.swift".count)
        let text = try String(contentsOfFile: root + "/docs/add-spock-node.md", encoding: .utf8)
        let documented = text.matches(of: #/(?m)^ ?(\d+)\/(\d+) +(?:\((\d+)\))? +([a-z-]+: .*)$/#)
        let steps: [(number: String, text: String)] = [("", "requirements: Check every requirement")] + (try procedure()).steps.map { ($0.id.number, "\($0.id.name): \($0.title)") }
        #expect(documented.map { String($0.4) } == steps.map(\.text))
        #expect(documented.map { $0.3.map(String.init) ?? "" } == steps.map(\.number))
        #expect(documented.map { "\($0.1)/\($0.2)" } == (1...steps.count).map { "\($0)/\(steps.count)" })
        // The page has sixteen, and each is done.
        #expect(Set(steps.compactMap { Int($0.number) }) == Set(1...16))
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
        for earlier in ["read-only", "slots", "drain", "promote"] { #expect(try #require(ids.firstIndex(of: earlier)) < closes, "\(earlier)") }
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
