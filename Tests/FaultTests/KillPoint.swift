import Bed
import Foundation
import Playbook
import ProcedureKit
import Procedures
import Report
import Run
import Testing

/// Where pggraft is killed: by what its journal says, which is on disk before the step goes on.
struct KillPoint: Sendable, CustomTestStringConvertible {
    enum Moment: Sendable {
        /// As soon as the step says what it is about to do.
        case begun
        /// This part of the step's usual time later.
        case inside(Double)
        /// A moment later, as long as every step takes that does something.
        case soon
        /// As soon as the step has kept this fact.
        case kept(String)
        /// Before the next step.
        case done
    }

    var step: String
    var moment: Moment

    private static let aMoment = Duration.milliseconds(100)

    /// How long after the begin of the step that the journal shows.
    func delay(_ durations: Durations) async -> Duration {
        switch moment {
        case .begun, .kept, .done: .zero
        case .inside(let part): await durations[step] * part
        case .soon: Self.aMoment
        }
    }

    var testDescription: String {
        switch moment {
        case .begun: "\(step), begun"
        case .inside(let part): "\(step), after \(Int(part * 100)) %"
        case .soon: "\(step), a moment later"
        case .kept(let fact): "\(step), which knows the \(fact)"
        case .done: "\(step), done"
        }
    }

    /// Every step of the procedure, in its order: what is added to it is killed in, too.
    /// - Parameters:
    ///   - name: of its shipped playbook.
    ///   - edits: text that stands in it, and what stands there instead.
    static func steps(of name: String = "spock-add-node", _ edits: KeyValuePairs<String, String> = [:]) throws -> [String] {
        let path = Operator.shippedPlaybook(name), catalog = Catalog(Ways { _, name, _ in throw Problem("\(name) is not to be reached here") })
        let text = try edits.reduce(readFile(path)) { text, edit in text.replacing(edit.key, with: edit.value) }
        return try catalog.procedure(for: try Playbook.parse(text, name: path), at: path).steps.map(\.id.name)
    }

    /// Three moments inside of `step`, chosen at random, and the boundary behind it; the one before it is its begin.
    static func all(in step: String, withBegin: Bool) -> [KillPoint] {
        (withBegin ? [KillPoint(step: step, moment: .begun)] : [])
            + (0..<3).map { KillPoint(step: step, moment: .inside((Double($0) + Double.random(in: 0..<1)) / 3)) }
            + [KillPoint(step: step, moment: .done)]
    }
}

/// The handover in which nobody waits.
let live: KeyValuePairs<String, String> = ["  mode: read-only": "  mode: live"]

/// Where one run is killed, again and again.
struct KillCase: Sendable, CustomTestStringConvertible {
    var points: [KillPoint]
    var isLive = false

    var testDescription: String { "\(isLive ? "live: " : "")\(points.map(\.testDescription).joined(separator: "; at "))" }

    /// One for every step, and for each of the live handover that is another one there, or stands between others.
    static func all(withBegin: Bool) throws -> [KillCase] {
        let cases = try KillPoint.steps().map { KillCase(points: KillPoint.all(in: $0, withBegin: withBegin)) }
        let others = try KillPoint.steps(of: "spock-add-node", live).drop { $0 != "slots" }
        return (cases + others.map { KillCase(points: KillPoint.all(in: $0, withBegin: withBegin), isLive: true) }).asked(\.testDescription)
    }
}

/// How long the steps take here: a kill inside of a step needs to know.
actor Durations {
    static let shared = Durations()
    private var known: [String: Duration] = [:]

    /// A step that only looks has no time of its own.
    subscript(step: String) -> Duration { known[step] ?? .milliseconds(300) }

    /// Learns from a run that nobody disturbs, once for all cases, and puts the bed back; where one of `points` is a part of a step.
    func learn(for points: [KillPoint], in bed: Bed, _ run: WatchedRun) async throws {
        let needed = points.contains { if case .inside = $0.moment { true } else { false } }
        guard needed, known.isEmpty else { return }
        try await run.succeeds(run.begin)
        var begun: [String: Date] = [:]
        for entry in try run.entries {
            guard let step = entry.step else { continue }
            if entry.event == .intent { begun[step] = entry.at }
            if entry.event == .done, let start = begun[step] { known[step] = .seconds(entry.at.timeIntervalSince(start)) }
        }
        try await run.succeeds(["undo", "--yes", "--purge-data", try run.name])
    }
}

/// A run of pggraft in a bed, watched through its journal.
struct WatchedRun: Sendable {
    let someone: Operator

    /// What begins the run.
    var begin: [String] { ["run", "--yes", someone.playbook] }

    var entries: [JournalEntry] {
        get throws { try someone.journals().last.map { try Journal.read(at: $0) } ?? [] }
    }

    var name: String {
        get throws {
            guard let path = try someone.journals().last else { throw BedError.unexpected("pggraft has not begun a run") }
            return URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        }
    }

    /// Waits for `point` among the entries after the first `seen`.
    /// - Returns: false when the program ended before.
    func wait(for point: KillPoint, after seen: Int, of program: RunningProgram) async throws -> Bool {
        var isThere = false
        try await eventually("\(point.testDescription) in the journal", within: .seconds(240), every: .milliseconds(2)) {
            let new = try entries.dropFirst(seen)
            isThere = new.contains { entry in
                guard entry.step == point.step else { return false }
                if case .done = point.moment { return entry.event == .done || entry.event == .seen }
                if case .kept(let fact) = point.moment { return entry.event == .fact && entry.key == fact }
                return entry.event == .intent || entry.event == .seen
            }
            return isThere || new.contains { $0.event == .ended }
        }
        if isThere { try await Task.sleep(for: await point.delay(Durations.shared)) }
        return isThere
    }

    /// Starts pggraft and waits until it is at `point`.
    func starts(_ arguments: [String], until point: KillPoint) async throws -> RunningProgram {
        let seen = try entries.count, journals = try someone.journals().count
        let program = try someone.start(arguments)
        let isNew = arguments.first == "run"
        if isNew {
            try await eventually("pggraft to begin a run, or to end", within: .seconds(120), every: .milliseconds(2)) {
                try someone.journals().count > journals || program.hasEnded
            }
        }
        let hasBegun = try !isNew || someone.journals().count > journals
        let isThere = hasBegun ? try await wait(for: point, after: isNew ? 0 : seen, of: program) : false
        guard isThere else {
            let output = try await program.wait(within: .seconds(60))
            throw BedError.unexpected("pggraft ended before \(point.testDescription):\n\(output.standardOutput)\(output.standardError)")
        }
        return program
    }

    /// Starts pggraft and kills it at `point`, with SIGKILL.
    func killed(at point: KillPoint, _ arguments: [String]) async throws {
        let program = try await starts(arguments, until: point)
        program.signal(SIGKILL)
        _ = try await program.wait(within: .seconds(20))
    }

    /// Runs pggraft to its end and expects it to succeed.
    @discardableResult
    func succeeds(_ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws -> CommandOutput {
        let output = try await someone.start(arguments).wait(within: .seconds(400))
        #expect(output.status == 0, "pggraft \(arguments.joined(separator: " "))\n\(output.standardOutput)\(output.standardError)", sourceLocation: sourceLocation)
        return output
    }
}
