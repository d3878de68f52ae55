import Datanode
import Foundation
import PostgresClient
import PostgresConfig
import ProcedureKit
import Procedures
import Report
import Scratch
import Server
import Spock
import Synchronization
import Testing

@testable import Instance
@testable import Run
@testable import pggraft

@Suite("What is said in JSON")
struct JSONTests {
    /// What a console has written.
    private final class Lines: Sendable {
        private let lines = Mutex<[JSON]>([])
        func add(_ line: JSON) { lines.withLock { $0.append(line) } }
        var all: [JSON] { lines.withLock { $0 } }
    }

    private static let problem = Problem("n2: it is not there", hint: "make it")
    private static let step = StepID("8", "catch-up")
    private static let failure = RunFailure(step: step, title: "Let n4 catch up", cause: problem, interrupted: false, opened: ["window"], notOpened: [problem])
    private static let header = RunHeader(
        run: "20261128-070000-app", cluster: "app", procedure: "add-spock-node", startedBy: "ann@desk", steps: ["requirements", "catch-up"],
        from: RunOrigin(path: "/p.yaml", content: "x"))

    /// Every event that there is, and every ending.
    static func values() throws -> [JSON] {
        let findings = [
            Finding("clocks", "they agree"), Finding("disk", on: "n4", "room for 3 GB", .note(hint: "make more")), Finding("port", on: "n4", "in use", .notMet(hint: nil)),
        ]
        let plan: [(inspection: Inspection, title: String)] = [
            (.done("all 3 are met"), "Check"), (.needed([Change("n1: make it"), Change("/f", diff: "--- /f\n+++ /f\n")]), "Make"), (.blocked([problem]), "Let"),
        ]
        let things = [Created("original", on: "n1", "/f.before-r")]
        let run: [RunEvent] = [
            .inspecting(step, title: "Look"), .skipped(step, title: "Look", seen: "it is so"), .began(step, title: "Do"), .progress(step, "12 of 24 MB", fraction: 0.5),
            .progress(step, "it moves", fraction: nil), .note(step, "it waits"), .done(step, title: "Do", result: "done", took: .milliseconds(1234)),
            .failed(step, title: "Do", problem), .released(bracket: "read-only window", problems: []), .released(bracket: "read-only window", problems: [problem]),
            .undone(step, title: "Do", lines: ["n1: gone"]), .left(step, title: "Do", problems: [problem]),
        ]
        let events: [SessionEvent] =
            [
                .looking(at: "Look"), .findings(findings), .plan(plan.map { Runner.Planned(id: step, title: $0.title, inspection: $0.inspection) }),
                .began(header, journal: "/j.jsonl"), .takesAway(run: "r", ["n4: a member"]), .removed(run: "r"), .notRemoved(run: "r", problem), .note("it is late"),
            ] + run.map(SessionEvent.run)
        let endings: [Ending] = [
            .mayRun(requirements: 3), .mayNotRun(unmet: 1, requirements: 3), .planned, .planIsBlocked, .nothingToDo, .declined, .done(run: "r", words: ["Done."]),
            .failed(run: "r", failure, words: "a\nb"), .takenBack(run: "r", failure, left: [problem]), .undone(run: "r", left: []), .undoInterrupted(run: "r"),
            .cleaned(runs: 2, left: 1),
        ]
        return events.map(\.json) + [SessionEvent.leavings(try summary(), things).json] + endings.map { JSON(event: "ended", $0.fields) }
    }

    private static func summary() throws -> RunSummary {
        let directory = NSTemporaryDirectory() + "pggraft-json-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(atPath: directory) } }
        let journal = try Journal.create(at: directory + "/20261128-070000-app.jsonl", header: header)
        try journal.append(JournalEntry(.intent, step: "catch-up", text: "Let n4 catch up"))
        return try RunStore(environment: ["PGGRAFT_STATE_DIR": directory]).run("2026")
    }

    static func objects() throws -> [JSON] {
        let server = HBAServer(.postgres(16))
        let snapshot = FileSnapshot([.file("/hba"): .file(Array("local all all peer\nhost all +team 10.0.0.0/8 md5\nhost all all all reject\n".utf8))])
        func explained(_ user: String, _ snapshot: FileSnapshot, answers: [HBAQuestion: Bool] = [:]) throws -> HBAExplanation {
            let client = HBAConnection(user: user, database: "app", from: .address(try #require(IPAddress("10.1.1.1"))))
            return HBARules(file: "/hba", in: snapshot, for: server).explain(client, answers: answers)
        }
        let broken = FileSnapshot([.file("/hba"): .file(Array("host all all nonsense\n".utf8))]), none = FileSnapshot([.file("/hba"): .file(Array("local all all peer\n".utf8))])
        let explanations = [
            try explained("ann", snapshot), try explained("ann", snapshot, answers: [.isMember(of: "team"): true]), try explained("ann", broken), try explained("ann", none),
        ].map { explanation in
            let reasons = explanation.decision.refused.map { _ in "the server's words" }
            return ExplanationView(
                node: "n1", unasked: nil, isNewerThanServer: false, sslIsOff: false, explanation: explanation, reasons: reasons, absent: []
            ).json
        }
        let absent = ExplanationView(
            node: "n1", unasked: "it does not run", isNewerThanServer: true, sslIsOff: true, explanation: try explained("ann", snapshot), reasons: [], absent: [problem])
        let files = FileSnapshot([
            .file("/pg.conf"): .file(Array("work_mem = 1MB\nwork_mem = 8MB\n".utf8)), .file("/data/postgresql.auto.conf"): FileSnapshot.absent,
        ])
        let tree = SettingsTree(configFile: "/pg.conf", dataDirectory: "/data", snapshot: files, version: .postgres(16)), entry = try #require(tree.deciding("work_mem"))
        let states: [(SettingReport.Decider, SettingReport.State)] = [
            (.file(entry), .inForce), (.commandLine("8MB"), .waitsForRestart("9MB")), (.environment, .waitsForReload(nil)), (.session, .unknown), (.nobody, .inForce),
        ]
        let reports = states.map { decider, state in
            SettingReport(
                name: "work_mem", value: "8MB", decider: decider, hidden: tree.overridden("work_mem"),
                overrides: [ServerSettings.Override(name: "work_mem", value: "1GB", database: "app", role: nil)], state: state, isKnown: true)
        }
        let secret = SettingReport(
            name: "primary_conninfo", value: "host=n2 password=s3cret", decider: .nobody, hidden: [], overrides: [], state: .waitsForRestart("password=s3cret"), isKnown: true)
        let settings = SettingsView(node: "n1", unasked: nil, errors: [], reports: reports + [secret], unknown: [("wrk_mem", problem)], isOfNames: true)
        let summary = try summary(), moment = Date(timeIntervalSince1970: 1_795_244_400)
        let timeline = try Timeline([JournalEntry(at: moment, .began), JournalEntry(at: moment, .seen, step: "catch-up", text: "it is so")])
        let view = GroupView([
            GroupView.Node(
                name: "db1", address: "10.0.0.1",
                state: .serving(
                    ReplicationLook(
                        recovery: RecoveryState(isInRecovery: false), timeline: 1, writtenLSN: LSN(position: 0x3000148),
                        settings: ["synchronous_standby_names": "FIRST 1 (db2)", "server_version_num": "150018"]))),
            GroupView.Node(name: "db2", address: "10.0.0.2", state: .unreachable(problem)),
        ])
        let status = StatusView(cluster: "app", status: GroupStatus(view), hanging: .milliseconds(31_400)).json(at: moment)
        let diagnosis = Diagnosis(.unreadSlot, on: "n1", "slot old", found: "nobody reads it", needed: nil, why: "it keeps WAL", mend: "SELECT 1")
        let doctor = DoctorView(report: Doctor.Report(cluster: "app", nodes: ["n1"], findings: [diagnosis])).json(at: moment)
        return explanations + [status, meshStatus(at: moment), datanodeStatus(at: moment), doctor, absent.json, settings.json, summary.json, JSON(each: timeline.lines, \.json)]
    }

    private static func datanodeStatus(at moment: Date) -> JSON {
        let known = [ClusterNode(name: "datanode1", kind: .datanode, place: NodeAddress(host: "10.0.0.1", port: 20006), isPrimary: true)]
        let view = GroupView([GroupView.Node(name: "datanode1", address: "10.0.0.2", port: 20006, state: .unreachable(problem))])
        let status = DatanodeStatus(
            coordinators: [("coord1", .serving(.init(known: known))), ("coord2", .unreachable(problem))], datanodes: [DatanodeStatus.Datanode("datanode1", view)])
        return DatanodeStatusView(cluster: "xc", status: status).json(at: moment)
    }

    private static func meshStatus(at moment: Date) -> JSON {
        let slot = ReplicationSlot(
            name: "spk_n1", plugin: "spock_output", database: "app", activePID: 7, restartLSN: .zero, confirmedFlushLSN: LSN(position: 0x2FF_FF00), walStatus: "reserved",
            retainedBytes: 328)
        let other = ReplicationSlot(name: "old", plugin: nil, database: nil, activePID: nil, restartLSN: .zero, confirmedFlushLSN: nil, walStatus: "lost", retainedBytes: nil)
        let subscription = Subscription(
            id: 1, name: "sub_n1_n2", provider: "n1", subscriber: "n2", providerDSN: Conninfo([:]), isEnabled: true, slot: "spk_n1", settings: .init())
        let looks = [
            SpockLook(database: "app", written: LSN(position: 0x3000148), at: ServerMoment(microseconds: 9_000_000), local: "n1", known: ["n1", "n2"], slots: [slot, other]),
            SpockLook(
                database: "app", written: LSN(position: 0x4000148), at: ServerMoment(microseconds: 9_000_000), local: "n2", known: ["n1", "n2"], subscriptions: [subscription],
                statuses: ["sub_n1_n2": .replicating], lastCommits: ["n1": ServerMoment(microseconds: 5_500_000)]),
        ]
        var clock = LagClock()
        clock.look("n1", at: LSN(position: 0x3000148))
        let answers = zip(["n1", "n2"], looks).map { MeshStatus.Answer($0, .serving($1)) }
        return MeshStatusView(cluster: "app", status: MeshStatus(SpockMembers(cluster: "app", members: ["n1", "n2"], unsettled: "n4"), answers, clock)).json(at: moment)
    }

    /// What differs from one time to the next.
    private func text(_ values: [JSON]) throws -> String {
        try values.map { try $0.line() }.joined(separator: "\n")
            .replacing(#/"journal":"[^"]*/20261128/#, with: "\"journal\":\"…/20261128").replacing(#/"begun":"[^"]*"/#, with: "\"begun\":\"…\"")
            .replacing(#/"version":"[^"]*"/#, with: "\"version\":\"…\"") + "\n"
    }

    @Test func `no password is in it`() throws {
        #expect(try !text(Self.objects()).contains("s3cret"))
    }

    /// A setting whose name says that it is one, whatever form its value has, everywhere that a value of it can stand.
    @Test(arguments: ["s3cret", "s3cret two", "-----BEGIN KEY-----\ns3cret\ns3cret=="])
    func `a setting that is a secret is shown in no place, neither in JSON nor in the text`(value: String) throws {
        func report(_ name: String, _ state: (String?) -> SettingReport.State, _ value: String) -> SettingReport {
            let written = "'" + value.replacing("\n", with: "\\n") + "'"
            let files = FileSnapshot([
                .file("/pg.conf"): .file(Array("\(name) = \(written)\n\(name) = \(written)\n".utf8)), .file("/data/postgresql.auto.conf"): FileSnapshot.absent,
            ])
            let tree = SettingsTree(configFile: "/pg.conf", dataDirectory: "/data", snapshot: files, version: .postgres(16))
            return SettingReport(
                name: name, value: value, decider: .nobody, hidden: tree.overridden(name),
                overrides: [ServerSettings.Override(name: name, value: value, database: "app", role: nil)], state: state(value), isKnown: true)
        }
        func shown(_ report: SettingReport) throws -> (json: String, text: String) {
            let view = SettingsView(node: "n1", unasked: nil, errors: [], reports: [report], unknown: [], isOfNames: true)
            return (try view.json.line(), [report.shownValue, report.remark].joined(separator: "\n") + "\(report.hidden)\(report.overrides)")
        }
        for state in [SettingReport.State.waitsForRestart, SettingReport.State.waitsForReload] {
            let secret = report("app.jwt_secret", state, value)
            try #require(secret.hidden.map(\.value) == [value])
            let (json, text) = try shown(secret)
            #expect(!json.contains("s3cret") && !text.contains("s3cret"), "\(json)\n\(text)")
            #expect(json.ranges(of: Redaction.mark).count == 4 && text.ranges(of: Redaction.mark).count == 4, "\(json)\n\(text)")
            // One that holds a secret among other things stays readable.
            let conninfo = try shown(report("primary_conninfo", state, "host=n2 password=s3cret user=repl"))
            #expect(!conninfo.json.contains("s3cret") && conninfo.json.ranges(of: "host=n2 password=‹redacted› user=repl").count == 4, "\(conninfo.json)")
            #expect(!conninfo.text.contains("s3cret") && conninfo.text.ranges(of: "host=n2 password=‹redacted› user=repl").count == 4, "\(conninfo.text)")
        }
    }

    @Test(arguments: ["events", "objects"])
    func `each is as the file has it; PGGRAFT_RECORD=1 writes it anew`(kind: String) throws {
        let values = try kind == "events" ? Self.values() : Self.objects()
        let path = String(#filePath.dropLast("JSONTests.swift".count)) + "Snapshots/\(kind).jsonl"
        let difference = try snapshotDifference(try text(values), from: path)
        #expect(difference == nil, "\(difference ?? "")")
    }

    @Test func `every field, every event and every ending stands in the document`() throws {
        let root = #filePath.dropLast("/Tests/pggraftTests/JSONTests.swift".count)
        let document = try String(contentsOfFile: root + "/docs/json.md", encoding: .utf8)
        var words: Set<String> = []
        func collect(_ value: JSON) {
            switch value {
            case .object(let fields):
                for (name, value) in fields {
                    words.insert(name)
                    if ["event", "ending", "verdict", "kind", "mark", "source", "state"].contains(name), case .string(let word) = value { words.insert(word) }
                    collect(value)
                }
            case .array(let values): values.forEach(collect)
            default: break
            }
        }
        try (Self.values() + Self.objects()).forEach(collect)
        #expect(words.count > 60)
        let missing = words.filter { !document.contains("`\($0)`") }.sorted()
        #expect(missing == [])
    }

    @Test func `an object holds everything that was shown, and how it ended`() throws {
        let lines = Lines()
        let console = JSONConsole(isAgreed: false, asObject: true) { lines.add($0) }
        console.show(.looking(at: "Look"))
        console.show(.note("one"))
        console.show(.note("two"))
        console.show(.findings([Finding("clocks", "they agree")]))
        console.end(.mayRun(requirements: 1))
        #expect(
            try lines.all.map { try $0.line() } == [
                #"{"ending":"may_run","findings":[{"found":"they agree","hint":null,"place":null,"requirement":"clocks","verdict":"met"}],"notes":["one","two"],"requirements":1,"status":0,"steps":[]}"#
            ])
        #expect(console.wantsToGoOn() == nil)
        #expect(JSONConsole(isAgreed: true, asObject: false) { _ in }.wantsToGoOn() == true)
    }
}
