import Bed
import Glibc
import Testing

/// A shell on the operator's side.
enum Shell {
    static let fixtures = String(#filePath.dropLast("Tests/BedTests/Shell.swift".count)) + "fixtures"

    static func execute(_ script: String, within deadline: Duration = .seconds(60)) async throws -> CommandOutput {
        try await Bed.execute(["bash", "-c", script], within: deadline)
    }

    static func run(_ script: String, within deadline: Duration = .seconds(60)) async throws -> String {
        let output = try await execute(script, within: deadline)
        guard output.status == 0 else { throw BedError.commandFailed(script, status: output.status, output: output.standardError + output.standardOutput) }
        return String(output.standardOutput.dropLast())
    }
}

/// Expects that a command fails, and says these words.
func expectRefusal(_ words: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> some Any) async {
    let error = await #expect(throws: BedError.self, sourceLocation: sourceLocation) { _ = try await body() }
    let text = error?.description ?? ""
    #expect(text.contains(words), "\(text)", sourceLocation: sourceLocation)
}
