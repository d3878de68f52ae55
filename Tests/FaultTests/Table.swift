import Bed
import Foundation
import Report
import Synchronization
import Testing

/// Whether the whole matrix runs (`make test-faults`), or what of it is asked for, and not the cases that stand for it.
let isWhole = environment("PGGRAFT_FAULTS") != nil

extension Sequence {
    /// The cases that PGGRAFT_FAULTS asks for: all, or those whose name holds its words.
    func asked(_ name: (Element) -> String) -> [Element] {
        guard let words = environment("PGGRAFT_FAULTS"), words != "all" else { return Array(self) }
        return filter { name($0).contains(words) }
    }
}

func environment(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

/// A line of the table of results, as soon as it is known; and in the file that PGGRAFT_FAULTS_TABLE names, where it does.
private func tell(_ line: String) throws {
    FileHandle.standardError.write(Data("FAULTS  \(line)\n".utf8))
    guard let path = environment("PGGRAFT_FAULTS_TABLE") else { return }
    if !FileManager.default.fileExists(atPath: path) { try writeFile("", to: path) }
    let table = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try table.seekToEnd()
    try table.write(contentsOf: Data("\(line)\n".utf8))
    try table.close()
}

private let failedExpectations = Mutex(0)

extension Trait where Self == IssueHandlingTrait {
    /// Counts what is not as expected, so that the table shows it.
    static var counted: Self {
        .compactMapIssues { issue in
            failedExpectations.withLock { $0 += 1 }
            return issue
        }
    }
}

/// Runs one case with writers on all nodes, searches its journals for secrets, and prints its line of the table.
/// - Parameters:
///   - onOneHost: whether all nodes are on one host.
///   - prepare: what the hosts get before the writers begin.
///   - body: returns what was seen, for the table.
func withLoad(
    _ title: String, onOneHost: Bool = false, prepare: (Bed) async throws -> Void = { _ in }, playbook edits: KeyValuePairs<String, String> = [:],
    _ body: (Bed, Writers, WatchedRun) async throws -> String
) async throws {
    try await tabled(title) {
        try await Bed.exclusively { bed in
            try await bed.mesh(onOneHost: onOneHost)
            try await prepare(bed)
            // How far away the operator is.
            if let distance = environment("PGGRAFT_DISTANCE").flatMap({ Int($0) }) {
                for host in Set(try (everyNode + ["repo"]).map { try bed.host($0).name }).sorted() { try await bed.delay([host], milliseconds: distance) }
            }
            let someone = try Operator(of: bed, playbook: edits)
            let seen: String
            do {
                seen = try await body(bed, try await Writers.start(of: bed, perNode: 1, rate: 15), WatchedRun(someone: someone))
            } catch {
                // What a worker says of itself stands nowhere else.
                for node in everyNode {
                    let directory = try bed.place(of: node)?.dataDirectory ?? Bed.dataDirectory
                    let log = try await bed.host(node).execute(
                        "cat /var/log/postgresql/*.log \(directory)/log/*.log 2>/dev/null | grep -E 'ERROR|FATAL|PANIC|WARNING|spock|pglogical' | grep -v 'STATEMENT:' | grep -v 'no pg_hba.conf entry' | tail -n 60"
                    )
                    Issue.record("the log of \(node):\n\(log.standardOutput)\(log.standardError)")
                }
                throw error
            }
            try expectNoSecrets(someone)
            return seen
        }
    }
}

/// Runs one case, and prints its line of the table.
/// - Parameter body: returns what was seen, for the table.
func tabled(_ title: String, _ body: () async throws -> String) async throws {
    let began = ContinuousClock.now, failedBefore = failedExpectations.withLock { $0 }
    func row(_ result: String, _ seen: String) -> String {
        let seconds = "\(began.duration(to: .now).components.seconds) s"
        return result.padding(toLength: 7, withPad: " ", startingAt: 0) + String(repeating: " ", count: max(0, 6 - seconds.count)) + seconds + "  \(title): \(seen)"
    }
    do {
        let seen = try await body()
        try tell(row(failedExpectations.withLock { $0 } == failedBefore ? "ended" : "FAILED", seen))
    } catch {
        try tell(row("FAILED", "\(error)".split(separator: "\n").first.map(String.init) ?? ""))
        throw error
    }
}

/// Searches every journal for every secret of the bed.
func expectNoSecrets(_ someone: Operator) throws {
    let secrets = try someone.secrets(), journals = try someone.journals()
    #expect(secrets.count > 4)
    #expect(!journals.isEmpty)
    for path in journals {
        let text = try readFile(path)
        #expect(!text.isEmpty)
        #expect(!secrets.contains { text.contains($0) }, "a secret in \(path)")
    }
}

extension Ledger {
    /// `n1 2.3 s, n2 2.1 s`: the longest time without an acknowledged transaction on each of `nodes`.
    func gaps(on nodes: [String]) -> String {
        nodes.map { "\($0) \(longestGap(on: $0).inTenths) s" }.joined(separator: ", ")
    }
}

extension Duration {
    /// `2.3`: seconds.
    var inTenths: String { "\(components.seconds).\(components.attoseconds / 100_000_000_000_000_000)" }
}
