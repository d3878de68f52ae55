import ArgumentParser
import Scratch
import Testing

@testable import pggraft

@Suite("Help")
struct HelpTests {
    /// Every command with the words that lead to it, those under it behind it.
    private func commands(_ words: [String], _ command: any ParsableCommand.Type) -> [(words: [String], command: any ParsableCommand.Type)] {
        [(words, command)] + command.configuration.subcommands.flatMap { commands(words + [$0._commandName], $0) }
    }

    @Test func `every command's is as the file has it; PGGRAFT_RECORD=1 writes it anew`() throws {
        let text = commands(["pggraft"], PGGraft.self).map { words, command in
            "$ \(words.joined(separator: " ")) --help\n\(PGGraft.helpMessage(for: command, columns: 100))\n"
        }.joined(separator: "\n")
        let path = #filePath.dropLast("HelpTests.swift".count) + "Snapshots/help.txt"
        let difference = try snapshotDifference(text, from: String(path))
        #expect(difference == nil, "\(difference ?? "")")
        #expect(text.contains("$ pggraft hba explain --help"))
    }
}
