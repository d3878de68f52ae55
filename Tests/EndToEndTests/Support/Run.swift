import Bed
import Glibc
import Run
import Testing

extension Operator {
    /// The newest journal so far.
    func entries() throws -> [JournalEntry] {
        guard let path = try journals().last else { return [] }
        return try Journal.read(at: path)
    }

    /// Waits until the run has begun a step.
    func reaches(_ step: String, within deadline: Duration = .seconds(180)) async throws {
        try await eventually("the run to reach the step \(step)", within: deadline, every: .milliseconds(20)) {
            try entries().contains { $0.step == step && $0.event == .intent }
        }
    }

    /// The name of the newest run.
    func lastRun() throws -> String {
        let path = try #require(try journals().last)
        return String(try #require(path.split(separator: "/").last).dropLast(".jsonl".count))
    }

    /// How long the nodes were read-only, in seconds, as the run printed it: `the read-only window lasted 3.1 s (...)`.
    func window(in output: String) throws -> Double {
        let match = try #require(output.firstMatch(of: #/the read-only window lasted ([0-9.]+) (ms|s|min)/#), "no window in the output:\n\(output)")
        let value = try #require(Double(match.1))
        return match.2 == "ms" ? value / 1000 : match.2 == "s" ? value : value * 60
    }
}

/// Writes a figure where the one who runs the tests sees it.
func report(_ text: String) {
    let line = "  \(text)\n"
    _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
}
