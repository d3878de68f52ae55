import Bed
import Foundation
import Run
import Testing

/// A whole run as a program reads it.
@Suite("In JSON", .serialized)
struct JSONTests {
    /// Every line of what was said, which is all there is.
    private func events(_ output: CommandOutput, ending: Int32) throws -> [[String: JSON]] {
        #expect(output.status == ending, "\(output.standardOutput)\(output.standardError)")
        #expect(output.standardError.isEmpty, "\(output.standardError)")
        let events = try output.standardOutput.split(separator: "\n").map { try JSONDecoder().decode([String: JSON].self, from: Data($0.utf8)) }
        #expect(events.allSatisfy { $0["event"] != nil })
        #expect(events.last?["event"] == "ended" && events.last?["status"] == .integer(Int64(ending)), "\(String(describing: events.last))")
        return events
    }

    /// The places of the steps of which an event like these tells.
    private func places(_ events: [[String: JSON]], _ names: Set<String>) throws -> [Int] {
        try events.compactMap { fields in
            guard case .string(let name)? = fields["event"], names.contains(name), case .object(let step)? = fields["step"] else { return nil }
            return try step["place"]?.decoded(as: Int.self)
        }
    }

    @Test func `a run and its undo are a line for each event, each step at its place, and the last says how it ended`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed)
            let run = try events(try await someone.pggraft("run", someone.playbook, "--yes", "--output", "json"), ending: 0)
            #expect(try places(run, ["step_done", "skipped"]) == Array(1...23))
            #expect(run.last?["ending"] == "done" && run.last?["words"] == .array(["Done. Nothing was lost."]), "\(String(describing: run.last))")
            let plan = try #require(run.first { $0["event"] == "plan" }?["steps"])
            guard case .array(let steps) = plan else { throw BedError.unexpected("\(plan)") }
            #expect(steps.count == 23)
            let begun = try #require(run.first { $0["event"] == "run_begun" })
            #expect(begun["run"] == run.last?["run"] && begun["procedure"] == "add-spock-node" && begun["cluster"] == "app")

            guard case .string(let name)? = begun["run"] else { throw BedError.unexpected("\(begun)") }
            let unasked = try events(try await someone.pggraft("undo", name, "--purge-data", "--output", "json"), ending: 1)
            #expect(unasked.last?["ending"] == "error" && unasked.last?["fact"] == "nobody is there to say yes", "\(String(describing: unasked.last))")
            #expect(unasked.contains { $0["event"] == "takes_away" })
            let undo = try events(try await someone.pggraft("undo", name, "--purge-data", "--yes", "--output", "json"), ending: 0)
            let undone = try places(undo, ["step_undone", "skipped"])
            #expect(undone == undone.sorted(by: >) && undone.count > 10, "\(undone)")
            #expect(undo.last?["ending"] == "undone")
            for secret in try someone.secrets() {
                for fields in run + undo { #expect(!"\(fields)".contains(secret)) }
            }
        }
    }
}

extension JSON: ExpressibleByStringLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
}
