import Run

/// The operator's terminal as the console of a session.
struct SessionConsole: CommandConsole {
    let terminal: Terminal
    /// The question before the first change is answered with yes already.
    var isAgreed = false

    func show(_ event: SessionEvent) {
        switch event {
        case .looking(let title): terminal.progress("… \(title)")
        case .findings(let findings): CheckView(terminal: terminal).show(findings)
        case .plan(let plan): RunView(terminal: terminal).show(plan)
        case .began(let header, let journal): terminal.print("\nrun \(header.run), journal \(journal)\n")
        case .takesAway(let run, let things):
            terminal.print("The undo of run \(run) takes away what is in use:")
            for thing in things { terminal.print("  " + thing) }
        case .leavings(let run, let things):
            terminal.print("run \(run.header.run), \(run.header.procedure), \(run.state.rawValue)" + (run.canResume ? ": it cannot be undone afterwards" : ""))
            for thing in things { terminal.print("  \(thing.name) on \(thing.place)") }
            terminal.print("  \(run.journal)")
        case .removed(let run): terminal.print(terminal.styled("✓ run \(run)", .good))
        case .notRemoved(let run, let problem): terminal.printError(terminal.styled("! run \(run) stays", .warn) + "\n  \(problem)")
        case .run(let event): RunView(terminal: terminal).show(event)
        case .note(let text): terminal.printError(terminal.styled(text, .warn))
        }
    }

    func wantsToGoOn() -> Bool? { isAgreed ? true : terminal.confirm("\nGo on? [yes/no]") }

    func end(_ ending: Ending) { EndingView(terminal: terminal).show(ending) }
}
