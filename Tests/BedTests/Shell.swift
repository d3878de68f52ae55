import Bed
import Glibc

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
