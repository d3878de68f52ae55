import ArgumentParser
import Foundation
import Procedures
import Report
import Run

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Do it: show the plan, ask, perform every step, end with the node table and the proof.")

    @OptionGroup var options: PlaybookOptions

    @Flag(name: .shortAndLong, help: "Answer the question before the first change with yes.")
    var yes = false

    func run() async throws {
        try await Operation.with(options) { operation in
            let terminal = operation.terminal, store = RunStore()
            do {
                let lock = try RunLock(cluster: operation.cluster, in: store, holder: Holder())
                defer { withExtendedLifetime(lock) {} }
                if let unfinished = try store.unfinished(cluster: operation.cluster, ignoring: ConfigureNode.isOver) {
                    throw Problem(
                        "run \(unfinished.header.run) of cluster \(operation.cluster) is not finished: \(unfinished.state.rawValue) in step \(unfinished.progress)",
                        hint: unfinished.ways)
                }
                do {
                    try await operation.procedure.takeLock(holder: Holder())
                } catch let problem as Problem {
                    throw problem
                } catch {
                    // Why the source cannot be reached is one of the requirements.
                    guard try await operation.showPlan() else { throw ExitCode(1) }
                    throw error
                }
                guard try await operation.showPlan() else { throw ExitCode(1) }
                guard try terminal.asksToGoOn(yes) else { return }
                let (header, journal) = try store.begin(
                    cluster: operation.cluster, procedure: AddSpockNode.name, playbook: operation.playbookPath,
                    steps: operation.procedure.steps.map(\.id.name))
                let holder = Holder(run: header.run)
                try lock.describe(holder)
                try await operation.procedure.takeLock(holder: holder)
                terminal.print("\nrun \(header.run), journal \(journal.path)\n")
                try await operation.perform(journal)
            } catch {
                throw finish(terminal, error)
            }
        }
    }
}

extension Operation {
    /// Performs what the journal's run still needs, so that Ctrl-C ends it safely.
    func perform(_ journal: Journal) async throws {
        let memory = Memory(journal)
        let header = try memory.header
        do {
            try await Interruption.cancelling { try await runner(memory).perform(journal) }
        } catch let failure as RunFailure {
            terminal.print()
            let nodes =
                if !failure.notOpened.isEmpty {
                    failure.step == nil ? " \(failure.cause)." : ""
                } else {
                    failure.opened.isEmpty ? " No node is read-only because of it." : " Every node that was closed is open again."
                }
            terminal.print(terminal.styled((failure.interrupted ? "Interrupted." : "It failed.") + nodes, .bad))
            for problem in failure.notOpened { terminal.print(terminal.styled("NOT OPEN: \(problem)", .bad)) }
            if let run = header?.run {
                terminal.print("  pggraft resume \(run)   goes on from here")
                terminal.print("  pggraft undo \(run)     takes it back")
            }
            throw ExitCode(failure.interrupted ? 130 : 1)
        }
        terminal.print()
        terminal.print(terminal.styled("Done. Nothing was lost.", .good))
    }
}
