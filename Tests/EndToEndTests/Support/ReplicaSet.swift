import Bed
import Glibc
import Run
import Testing

/// What holds of a primary and its standbys whatever was done to them.
struct ReplicaSet: Sendable {
    let bed: Bed
    let nodes: [String]

    /// The node that takes writes, tried on each of them: never two, and after a run one.
    @discardableResult
    func expectOneWriter(_ expected: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) async throws -> [String] {
        let writers = try await bed.writable(nodes)
        if let expected { #expect(writers == [expected], "who takes writes", sourceLocation: sourceLocation) }
        #expect(writers.count < 2, "two primaries: \(writers)", sourceLocation: sourceLocation)
        return writers
    }

    /// Expects every other node to stream, with its slot, and nothing of the run to be left.
    /// - Parameter upstreams: the node that each of the standbys streams from.
    func expectStreaming(_ upstreams: [String: String], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for (node, upstream) in upstreams.sorted(by: { $0.key < $1.key }) {
            try await eventually("\(node) to stream from \(upstream)", within: .seconds(60)) {
                try await bed.psql(upstream, "SELECT state FROM pg_stat_replication JOIN pg_replication_slots ON pid = active_pid WHERE application_name = '\(node)'")
                    == "streaming"
            }
            #expect(try await bed.psql(node, "SELECT pg_is_in_recovery()") == "t", sourceLocation: sourceLocation)
        }
        for node in nodes {
            let directory = try await bed.psql(node, "SHOW data_directory")
            #expect(try await bed.host(node).run("find \(directory) -maxdepth 1 -name '*pggraft*'") == "", "\(node)", sourceLocation: sourceLocation)
            #expect(try await bed.psql(node, "SHOW default_transaction_read_only") == "off", "\(node)", sourceLocation: sourceLocation)
            #expect(
                try await bed.psql(node, "SELECT slot_name FROM pg_replication_slots WHERE NOT active") == "", "slots that nobody reads on \(node)", sourceLocation: sourceLocation)
        }
    }

    /// Whether a node has all that another one has, and the ledger is true there.
    func expectNothingLost(_ ledger: Ledger, on primary: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let end = try await bed.psql(primary, "SELECT pg_current_wal_lsn()")
        for node in nodes where node != primary {
            try await eventually("\(node) to have everything", within: .seconds(60)) {
                try await bed.psql(node, "SELECT pg_last_wal_replay_lsn() >= '\(end)'") == "t"
            }
        }
        // Of the standbys that they are the same: verifying writes.
        let verification = try await ledger.verify(on: [primary], of: bed, drained: false)
        #expect(verification.isClean, "\(verification)", sourceLocation: sourceLocation)
        let all = "SELECT count(*), sum(hashtext(l::text)) FROM app.ledger l; SELECT count(*), sum(hashtext(e::text)) FROM app.events e", right = try await bed.psql(primary, all)
        for node in nodes { #expect(try await bed.psql(node, all) == right, "\(node)", sourceLocation: sourceLocation) }
    }
}

extension Operator {
    /// Starts pggraft and kills it, with SIGKILL, as soon as its journal says that a step has begun, or is done, or a while after that.
    func killed(_ arguments: [String], in step: String, done: Bool = false, after time: Duration = .zero) async throws {
        let before = try journals().count, seen = arguments.first == "run" ? 0 : try entries().count
        let program = try start(arguments)
        do {
            try await eventually("\(step) in the journal", within: .seconds(120), every: .milliseconds(2)) {
                guard try arguments.first != "run" || journals().count > before else { return program.hasEnded }
                return try entries().dropFirst(seen).contains { $0.step == step && ($0.event == (done ? .done : .intent)) } || program.hasEnded
            }
        } catch {
            program.signal(SIGKILL)
            let output = try await program.wait(within: .seconds(20))
            throw BedError.unexpected("\(error)\n\(output.standardOutput)\(output.standardError)")
        }
        if time > .zero { try await Task.sleep(for: time) }
        program.signal(SIGKILL)
        let output = try await program.wait(within: .seconds(20))
        guard try entries().contains(where: { $0.step == step }) else { throw BedError.unexpected("it ended before \(step):\n\(output.standardOutput)\(output.standardError)") }
    }

    /// The name of the newest run.
    func run() throws -> String { try #require(journals().last.map { String($0.split(separator: "/").last?.dropLast(".jsonl".count) ?? "") }) }
}
