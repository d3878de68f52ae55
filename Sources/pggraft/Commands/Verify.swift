import ArgumentParser
import Foundation
import Playbook
import ProcedureKit
import Procedures
import Report
import Run

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Are all nodes of a Spock cluster the same? Subscriptions, a row across the mesh, and every replicated table, with everybody writing.",
        discussion: """
            Takes the playbook that adds a node to it; the new node is looked at as soon as the cluster knows it. Rows are compared by ranges of their key, as they were committed before \
            a moment that every node has passed; ranges that differ are looked at again until they agree or stand still. Nobody is kept from writing. Makes a table \
            pggraft.canary on every node and removes it again. Ends with 1 where nodes differ, and names table, key and node.
            """)

    @OptionGroup var options: PlaybookOptions

    @Option(help: ArgumentHelp("Which rows of a table are compared that is too large for all of them (proof_sample_above); by default any.", valueName: "number"))
    var seed: Int?

    func validate() throws {
        if let seed, seed < 0 { throw ValidationError("--seed is a whole number, from 0 on") }
    }

    func run() async throws {
        let output = Output(options.output)
        try await Commanding.failing(output) {
            let playbook = try Playbook.load(path: options.playbook)
            let proof = try MeshProof(playbook, options.connection.ways(output.terminal, sessionName: "pggraft verify"), seed: seed)
            do {
                let verdict = try await Interruption.cancelling {
                    try await proof.make(
                        tell: { note in if output.form == .text { output.terminal.printError(note) } },
                        progress: { text, fraction in if output.form == .text { output.terminal.progress(fraction.map { "\(text), \(Int($0 * 100)) %" } ?? text) } })
                }
                show(verdict, on: output)
            } catch let differ as NodesDiffer where output.form == .json {
                output.write(json(nodes: [], differences: differ.differences, hint: differ.hint))
                throw ExitCode(1)
            }
        }
    }

    private func show(_ verdict: MeshProof.Verdict, on output: Output) {
        switch output.form {
        case .text: output.terminal.print(verdict.text)
        case .json: output.write(json(nodes: verdict.nodes, tables: verdict.tables, notCompared: verdict.notCompared))
        }
    }

    private func json(
        nodes: [String], tables: [Comparison.Table] = [], notCompared: [(table: String, reason: String)] = [], differences: [String] = [], hint: String? = nil
    ) -> JSON {
        .object([
            "at": JSON(Date()), "equal": .bool(differences.isEmpty), "status": JSON(differences.isEmpty ? 0 : 1), "nodes": JSON(each: nodes) { .string($0) },
            "tables": JSON(each: tables) { table in
                .object([
                    "table": JSON(table.name), "rows": .integer(table.rows), "hash": JSON(table.hash), "changing": .integer(table.changing), "remark": JSON(table.remark),
                    "is_sample": .bool(table.isSample),
                ])
            },
            "not_compared": JSON(each: notCompared) { .object(["table": JSON($0.table), "reason": JSON($0.reason)]) },
            "differences": JSON(each: differences) { .string($0) }, "hint": JSON(hint),
        ])
    }
}
