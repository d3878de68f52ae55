import ArgumentParser
import Procedures
import Run

struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Look again at an unfinished run, and do what is still needed.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let terminal = Terminal(), catalog = Catalog(connection.ways(terminal))
        try await Commanding.session(terminal) {
            try await RunSession.resume(name, in: RunStore(), console: SessionConsole(terminal: terminal), make: catalog.procedure(of:))
        }
    }
}

struct Undo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Take back exactly what a run created; ask before something goes that is in use.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    @Flag(name: .customLong("purge-data"), help: "Also empty the data directory that the run restored into.")
    var purgeData = false

    @Flag(name: .customLong("give-up-writes"), help: "Also where clients wrote on the new node and no other node has read it: for a new node that is gone for good.")
    var giveUpWrites = false

    @OptionGroup var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Answer with yes the question that comes before something goes that is in use.")
    var yes = false

    func run() async throws {
        let terminal = Terminal()
        let catalog = Catalog(connection.ways(terminal), undo: UndoOptions(purgesData: purgeData, givesUpWrites: giveUpWrites))
        try await Commanding.session(terminal) {
            try await RunSession.undo(name, in: RunStore(), console: SessionConsole(terminal: terminal, isAgreed: yes), make: catalog.procedure(of:))
        }
    }
}
