import ArgumentParser
import Foundation
import Procedures
import Report
import Run

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Look again at an unfinished run, and do what is still needed.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        func check(_ run: RunSummary) throws {
            if ConfigureNode.isOne(run.header.procedure), run.state == .finished {
                throw Problem("run \(run.header.run) is finished", hint: "`pggraft undo \(run.header.run)` takes it back.")
            }
            guard !run.canResume else { return }
            throw Problem(
                "run \(run.header.run) is \(run.state.rawValue): it cannot be gone on with",
                hint: run.state == .undone ? "Begin anew: pggraft run \(run.header.playbook)" : run.ways)
        }
        try await with(
            name, connection, check: check,
            node: { operation, configure, journal in
                try journal.append(JournalEntry(.resumed))
                try await operation.perform(configure, journal)
            }
        ) { operation, journal in
            try await operation.procedure.takeOver(holder: Holder(run: try Memory(journal).header?.run))
            try journal.append(JournalEntry(.resumed))
            try await operation.perform(journal)
        }
    }
}

struct Undo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Take back exactly what a run created.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    @Flag(name: .customLong("purge-data"), help: "Also empty the data directory that the run restored into.")
    var purgeData = false

    @Flag(name: .customLong("give-up-writes"), help: "Also where clients wrote on the new node and no other node has read it: for a new node that is gone for good.")
    var giveUpWrites = false

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await with(name, connection, undo: UndoOptions(purgesData: purgeData, givesUpWrites: giveUpWrites), node: { try await $0.undo($1, $2) }) { operation, journal in
            let terminal = operation.terminal
            do {
                try await operation.procedure.takeOver(holder: Holder(run: try Memory(journal).header?.run))
            } catch let problem as Problem {
                throw problem
            } catch {
                // The source may be what is gone; undo still takes back what it can reach.
                terminal.print(terminal.styled("The lock on the source cannot be taken: \(error)", .warn))
            }
            try await operation.undo(journal)
        }
    }
}

extension Operation {
    /// Takes back what the journal's run created; Ctrl-C ends that between two actions.
    fileprivate func undo(_ journal: Journal) async throws {
        let run = try Memory(journal).header?.run ?? ""
        do {
            let left = try await Interruption.cancelling { try await runner(Memory(journal)).undo(journal) }
            terminal.print()
            guard left.isEmpty else {
                terminal.print(terminal.styled("Undone, but for what is named above.", .warn))
                terminal.print("  pggraft undo \(run)   tries again")
                throw ExitCode(1)
            }
            terminal.print(terminal.styled("Undone.", .good))
        } catch is CancellationError {
            try journal.append(JournalEntry(.ended, text: "interrupted"))
            terminal.print()
            terminal.print(terminal.styled("Interrupted. What is undone already stays so.", .bad))
            terminal.print("  pggraft undo \(run)   goes on")
            throw ExitCode(130)
        }
    }
}

/// Opens the journal and the playbook of a run, under the cluster's lock.
///
/// - Parameter node: what to do with a run that changed the configuration of one node, which has no playbook.
private func with(
    _ name: String, _ connection: ConnectionOptions, undo: UndoOptions = UndoOptions(), check: (RunSummary) throws -> Void = { _ in },
    node: (NodeOperation, ConfigureNode, Journal) async throws -> Void, _ body: (Operation, Journal) async throws -> Void
) async throws {
    let terminal = Terminal(), store = RunStore()
    let summary: RunSummary
    let lock: RunLock
    do {
        summary = try store.run(name)
        try check(summary)
        lock = try RunLock(cluster: summary.header.cluster, in: store, holder: Holder(run: summary.header.run))
    } catch {
        throw finish(terminal, error)
    }
    defer { withExtendedLifetime(lock) {} }
    if ConfigureNode.isOne(summary.header.procedure) {
        do {
            let journal = try Journal.open(at: summary.journal)
            guard let (target, request) = try ConfigureNode.recall(Memory(journal)) else {
                try journal.append(JournalEntry(.undoing))
                try journal.append(JournalEntry(.ended, text: "undone"))
                return terminal.print("The run ended before it began: it has changed nothing, and is over now.")
            }
            try await NodeOperation.with(target, summary.header.cluster, connection, terminal) { try await node($0, ConfigureNode($0.node, request), journal) }
        } catch {
            throw finish(terminal, error)
        }
        return
    }
    var options = PlaybookOptions()
    options.playbook = summary.header.playbook
    options.connection = connection
    try await Operation.with(options, undo: undo) { operation in
        do {
            try await body(operation, try Journal.open(at: summary.journal))
        } catch {
            throw finish(terminal, error)
        }
    }
}
