import ArgumentParser
import EventLoop
import Foundation
import Playbook
import ProcedureKit
import Procedures
import Report
import Run

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A Spock cluster, a primary and its standbys, or datanodes: who is what, how far, which slots keep WAL, and what is wrong. Changes nothing.",
        discussion: """
            Takes any playbook. Of a Spock cluster: every node and every subscription, whether its slot is read, and how far it is behind. Of a pair: who streams from whom, and what \
            commits wait for. Of Postgres-XC: where each coordinator has each datanode, masters and slaves, transactions in doubt. Ends with 1 where something is wrong. With --watch it looks again and again until Ctrl-C: of a Spock cluster it shows a screen after each look, elsewhere \
            it says what has changed.
            """)

    @OptionGroup var options: PlaybookOptions

    @Flag(help: "Look again and again.")
    var watch = false

    @Option(help: ArgumentHelp("With --watch: how long after a look the next one is made; by default 5s, of a Spock cluster 1s.", valueName: "time"))
    var interval: Span?

    @Option(
        name: .customLong("degrade-after"),
        help: ArgumentHelp(
            "With --watch, of a pair: when commits have waited so long for standbys that are not there, have them wait for nobody any more (a run of its own, with a journal).",
            valueName: "time"))
    var degradeAfter: Span?

    func validate() throws {
        if degradeAfter != nil, !watch { throw ValidationError("--degrade-after goes with --watch: nobody else would see that commits wait") }
        if let interval, interval.duration < .seconds(1) { throw ValidationError("--interval is at least 1s") }
        if let degradeAfter, degradeAfter.duration < .seconds(5) { throw ValidationError("--degrade-after is at least 5s: a standby may be restarting") }
    }

    func run() async throws {
        let output = Output(options.output)
        try await Commanding.failing(output) {
            let playbook = try Playbook.load(path: options.playbook)
            let (roster, cluster) = try Catalog.roster(of: playbook), ways = options.connection.ways(output.terminal, sessionName: "pggraft status")
            if let members = SpockMembers(of: playbook) {
                guard degradeAfter == nil else {
                    throw Problem("\(options.playbook) is of a Spock cluster, where no commit waits for another node", hint: "leave --degrade-after out")
                }
                try await MeshStatusWatch(members, of: roster, ways, output, interval: interval?.duration ?? .seconds(1)).run(again: watch)
            } else if let looks = try DatanodeLooks(of: playbook, ways) {
                guard degradeAfter == nil else {
                    throw Problem("\(options.playbook) is of a Postgres-XC cluster", hint: "leave --degrade-after out: pggraft status has commits wait for nobody in a pair only")
                }
                try await datanodes(looks, cluster, output)
            } else {
                try await pair(roster, cluster, ways, output)
            }
        }
    }

    private func datanodes(_ looks: DatanodeLooks, _ cluster: String, _ output: Output) async throws {
        do {
            try await Interruption.cancelling {
                var shape: [String]?
                repeat {
                    let view = DatanodeStatusView(cluster: cluster, status: try await looks.look()), moment = Date()
                    switch output.form {
                    case .json: output.write(view.json(at: moment))
                    case .text where view.shape != shape:
                        if watch { output.terminal.print((shape == nil ? "" : "\n") + moment.onTheOperatorsClock) }
                        view.show(on: output.terminal)
                    case .text: break
                    }
                    shape = view.shape
                    guard watch else {
                        guard view.exitStatus == 0 else { throw ExitCode(view.exitStatus) }
                        return
                    }
                    try await Task.sleep(for: interval?.duration ?? .seconds(5))
                } while true
            }
            await looks.close()
        } catch {
            await looks.close()
            throw error
        }
    }

    private func pair(_ roster: Roster, _ cluster: String, _ ways: Ways, _ output: Output) async throws {
        // By then there is no time to find out that it does not say enough.
        if degradeAfter != nil { _ = try Synchronous.off(in: roster, cluster: cluster, called: options.playbook) }
        let access = ClusterAccess(roster, ways), group = Group(roster.entries.map(\.name), of: access)
        do {
            if watch {
                try await Interruption.cancelling { try await watch(group, cluster, ways, output) }
            } else {
                try await once(group, cluster, output)
            }
            await access.close()
        } catch {
            await access.close()
            throw error
        }
    }

    private func once(_ group: Group, _ cluster: String, _ output: Output) async throws {
        let view = StatusView(cluster: cluster, status: GroupStatus(try await group.look()))
        switch output.form {
        case .text: view.show(on: output.terminal)
        case .json: output.write(view.json(at: Date()))
        }
        guard view.exitStatus == 0 else { throw ExitCode(view.exitStatus) }
    }

    private func watch(_ group: Group, _ cluster: String, _ ways: Ways, _ output: Output) async throws {
        var clock = HangingCommits(), shape: [String]?
        while true {
            var status = GroupStatus(try await group.look())
            let hanging = try await clock.look(&status, of: group)
            let view = StatusView(cluster: cluster, status: status, hanging: hanging), moment = Date()
            switch output.form {
            case .json: output.write(view.json(at: moment))
            case .text where view.shape != shape:
                output.terminal.print((shape == nil ? "" : "\n") + moment.onTheOperatorsClock)
                view.show(on: output.terminal)
            case .text: break
            }
            shape = view.shape
            if let degradeAfter, let hanging, hanging >= degradeAfter.duration {
                try await degrade(group.access.roster, cluster, ways, output)
                clock = HangingCommits()
            }
            try await Task.sleep(for: interval?.duration ?? .seconds(5))
        }
    }

    /// Has commits wait for nobody, in a run of its own. Where that fails it is said, and the watch goes on.
    private func degrade(_ roster: Roster, _ cluster: String, _ ways: Ways, _ output: Output) async throws {
        let path = URL(fileURLWithPath: options.playbook).standardizedFileURL.path
        let off = try Synchronous.off(in: roster, cluster: cluster, called: options.playbook)
        let console = output.console(isAgreed: true, asObject: false)
        console.show(.note("commits have waited for \(degradeAfter?.duration.inSeconds ?? ""): from now on they wait for no standby (--degrade-after)"))
        let session = RunSession(try Catalog(ways).procedure(for: off, at: path), in: RunStore(), console: console)
        do {
            console.end(try await session.run())
        } catch let error where !(error is CancellationError) {
            output.terminal.printError(output.terminal.styled(Problem(explaining: error).description, .bad))
        }
    }
}

/// A time of the command line: `30s`, `2min`, `1h`.
struct Span: ExpressibleByArgument, CustomStringConvertible {
    var duration: Duration
    var description: String { duration.inSeconds }

    init(duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard let match = argument.wholeMatch(of: #/([0-9]{1,6})(s|min|h)/#), let number = Int(match.1) else { return nil }
        duration = .seconds(number * (match.2 == "s" ? 1 : match.2 == "min" ? 60 : 3600))
    }
}
