public import Logging
import Report

extension Logger {
    /// Where hosts log each command they ran, at `.debug`: see `Sending`. A host takes another one when it is made.
    public static var hosts: Logger { Logger(label: "pggraft.host") }
}

extension Command {
    /// Runs this command with `run`, and logs it.
    func logged(
        to log: Logger, on host: String, loginUser: String, _ run: () async throws -> CommandResult
    ) async throws -> CommandResult {
        try await log.sending(
            shown(loginUser: loginUser), to: host, as: user ?? loginUser, ending: { (result: CommandResult) in result.status.description }, run)
    }
}
