import ArgumentParser
import Procedures
import Run

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Look again at an unfinished run, and do what is still needed.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var consents: ConsentOptions

    func run() async throws {
        let output = Output(output), catalog = Catalog(connection.ways(output.terminal))
        try await Commanding.session(output) {
            try await RunSession.resume(name, consents: consents.given, in: RunStore(), console: $0) { run in
                try Catalog.check(consents.given, run.procedure)
                return try catalog.procedure(of: run)
            }
        }
    }
}

struct Undo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Take back exactly what a run created; ask before something goes that is in use.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    @Flag(
        name: .customLong("purge-data"),
        help: "Also remove what the run has copied: the data directory, or, of add-spock-node-logical, what it has copied into the database of the new node.")
    var purgeData = false

    @Flag(name: .customLong("give-up-writes"), help: "Also where clients wrote on the new node and no other node has read it: for a new node that is gone for good.")
    var giveUpWrites = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    @Flag(name: .shortAndLong, help: "Answer with yes the question that comes before something goes that is in use.")
    var yes = false

    func run() async throws {
        let output = Output(output)
        let catalog = Catalog(connection.ways(output.terminal), undo: UndoOptions(purgesData: purgeData, givesUpWrites: giveUpWrites))
        try await Commanding.session(output, isAgreed: yes) { try await RunSession.undo(name, in: RunStore(), console: $0, make: catalog.procedure(of:)) }
    }
}
