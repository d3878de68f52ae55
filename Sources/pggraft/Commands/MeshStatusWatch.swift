import ArgumentParser
import EventLoop
import Foundation
import ProcedureKit
import Procedures
import Run

/// `pggraft status` of a Spock cluster: once, or a screen after each look.
struct MeshStatusWatch: Sendable {
    private let members: SpockMembers
    private let looks: MeshLooks
    private let output: Output
    private let interval: Duration

    init(_ members: SpockMembers, of roster: Roster, _ ways: Ways, _ output: Output, interval: Duration) {
        (self.members, self.output, self.interval) = (members, output, interval)
        looks = MeshLooks(members, in: roster, ways)
    }

    func run(again: Bool) async throws {
        do {
            try await Interruption.cancelling { again ? try await watch() : try await once() }
            await looks.close()
        } catch {
            await looks.close()
            throw error
        }
    }

    private func once() async throws {
        var status = try await looks.look(within: .seconds(40))
        // A second look says for how long: who has caught up by then was behind for no longer.
        if status.links.contains(where: { $0.isRead == true && $0.lag != Lag.none }) {
            try await Task.sleep(for: .milliseconds(250))
            status = try await looks.look(within: .seconds(40))
        }
        let view = MeshStatusView(cluster: members.cluster, status: status)
        switch output.form {
        case .text: for line in view.lines(output.terminal) { output.terminal.print(line) }
        case .json: output.write(view.json(at: Date()))
        }
        guard view.exitStatus == 0 else { throw ExitCode(view.exitStatus) }
    }

    private func watch() async throws {
        var shape: [String]?, next = ContinuousClock.now
        while true {
            // At the first look every host has yet to be reached.
            let view = MeshStatusView(cluster: members.cluster, status: try await looks.look(within: shape == nil ? max(interval, .seconds(5)) : interval * 4 / 5)), moment = Date()
            switch output.form {
            case .json: output.write(view.json(at: moment))
            case .text:
                let isChanged = view.shape != shape
                if let height = output.terminal.height {
                    output.terminal.screen([moment.onTheOperatorsClock] + view.lines(output.terminal, atMost: height - 2))
                } else if isChanged {
                    output.terminal.print((shape == nil ? "" : "\n") + moment.onTheOperatorsClock)
                    for line in view.lines(output.terminal) { output.terminal.print(line) }
                }
            }
            shape = view.shape
            next = max(next + interval, .now)
            try await Task.sleep(until: next, clock: .continuous)
        }
    }
}
