import Run

/// The last words of a command that worked on a procedure.
struct EndingView: Sendable {
    let terminal: Terminal

    func show(_ ending: Ending) {
        switch ending {
        case .mayRun(let count):
            terminal.print()
            good("It may run: all \(count) requirements are met. Nothing was changed.")
        case .mayNotRun(let unmet, let count):
            terminal.print()
            bad("It may not run: \(unmet) of \(count) requirements are not met. Nothing was changed.")
        case .planned, .nothingToDo: break
        case .planIsBlocked: bad("It cannot be done: see above. Nothing was changed.")
        case .declined: terminal.print("Nothing was changed.")
        case .done(_, let words):
            guard let first = words.first else { break }
            terminal.print()
            good(first)
            words.dropFirst().forEach { terminal.print($0) }
        case .failed(let run, let failure, let words): failed(run, failure, words)
        case .takenBack(let run, let failure, let left):
            guard left.isEmpty else {
                bad("It failed, and not everything is as it was: see above.")
                return say("undo", run, "tries again")
            }
            bad(failure.interrupted ? "Interrupted. Everything is as it was." : "It failed. Everything is as it was.")
        case .undone(let run, let left):
            terminal.print()
            guard !left.isEmpty else { return good("Undone.") }
            terminal.printError(terminal.styled("Undone, but for what is named above.", .warn))
            say("undo", run, "tries again")
        case .cleaned(0, 0): terminal.print("There is nothing to remove.")
        case .cleaned(let runs, let left):
            let words = "\(runs) \(runs == 1 ? "run is" : "runs are") removed"
            if left == 0 { good("\(words).") } else { bad("\(words), \(left) could not be: see above.") }
        case .undoInterrupted(let run):
            terminal.print()
            bad("Interrupted. What is undone already stays so.")
            say("undo", run, "goes on")
        }
    }

    private func failed(_ run: String, _ failure: RunFailure, _ words: String) {
        terminal.print()
        bad((failure.interrupted ? "Interrupted." : "It failed.") + (words.isEmpty ? "" : " \(words)"))
        for problem in failure.notOpened { bad("NOT OPEN: \(problem)") }
        say("resume", run, "goes on from here")
        say("undo", run, "  takes it back")
    }

    private func good(_ text: String) { terminal.print(terminal.styled(text, .good)) }
    private func bad(_ text: String) { terminal.printError(terminal.styled(text, .bad)) }

    /// What the operator can type next.
    private func say(_ command: String, _ run: String, _ effect: String) {
        terminal.printError("  pggraft \(command) \(run)   \(effect)")
    }
}
