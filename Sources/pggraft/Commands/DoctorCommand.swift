import ArgumentParser
import Foundation
import Playbook
import Procedures
import Report
import Run

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "What is wrong with a cluster though nothing says so: slots, origins, sets, sequences, settings, files, rules and clocks of every node. Changes nothing.",
        discussion: """
            Takes any playbook. Each finding names the node and the object, what was found and what is needed, what comes of it, and the statement or command that mends it. Ends with 1 \
            where there is one.
            """)

    @OptionGroup var options: PlaybookOptions

    func run() async throws {
        let output = Output(options.output)
        try await Commanding.failing(output) {
            let playbook = try Playbook.load(path: options.playbook)
            let doctor = try Doctor(playbook, options.connection.ways(output.terminal, sessionName: "pggraft doctor"))
            let view = DoctorView(report: try await Interruption.cancelling { try await doctor.examine() })
            switch output.form {
            case .text: view.show(on: output.terminal)
            case .json: output.write(view.json(at: Date()))
            }
            guard view.exitStatus == 0 else { throw ExitCode(view.exitStatus) }
        }
    }
}
