import Report

/// What came of a command line. The report holds what was read of it in any case.
enum Execution: Sendable {
    case ended(ProgramReport)
    /// Its streams ended without the program's status.
    case vanished(ProgramReport, detail: String)
    /// The deadline came, or the task was cancelled.
    case interrupted(ProgramReport, any Error)
}

extension Command {
    /// The words, short enough for one line of an error.
    var summary: String {
        let line = Shell.line(words).onOneLine
        return line.count <= 120 ? line : line.prefix(119) + "…"
    }

    /// The result a host gives for this command, from what its program reported.
    func result(of execution: Execution, host: String, loginUser: String) throws -> CommandResult {
        switch execution {
        case .ended(let report):
            guard let status = report.status else {
                throw HostError.outcomeUnknown(host: host, words: words, detail: "it reported no status")
            }
            let result = CommandResult(status: status, output: report.output, errorOutput: report.errorOutput)
            if let refusal = refusal(of: result, host: host, loginUser: loginUser) { throw refusal }
            return result
        case .interrupted(_, let error): throw error
        case .vanished(let report, let detail):
            guard report.began else {
                throw HostError.shellRefused(host: host, user: loginUser, answer: report.noise.isEmpty ? detail : report.noise)
            }
            throw HostError.outcomeUnknown(host: host, words: words, detail: detail)
        }
    }

    /// Why the program was not even started as ``user``, if that is so. `sudo` and `runuser` tell it by their exit code and
    /// a message, both of which a program could also give: the message has to be theirs.
    func refusal(of result: CommandResult, host: String, loginUser: String) -> HostError? {
        guard let user, user != loginUser, !result.succeeded, result.output.isEmpty else { return nil }
        let text = result.errorText
        let answer = text.split(whereSeparator: \.isNewline).last.map(String.init) ?? text
        if loginUser == "root" {
            return text.hasPrefix("runuser: user \(user) does not exist") ? .noSuchUser(host: host, user: user) : nil
        }
        if result.status == .code(127), text.contains("sudo: not found") || text.contains("sudo: command not found") {
            return .sudoRefused(host: host, loginUser: loginUser, user: user, answer: "sudo is not installed")
        }
        guard result.status == .code(1) else { return nil }
        if text.contains("sudo: unknown user") { return .noSuchUser(host: host, user: user) }
        let refusals = [
            "sudo: a password is required", "sudo: a terminal is required", "sudo: sorry, you must have a tty", "is not in the sudoers file",
            "\(loginUser) is not allowed to ", "\(loginUser) may not run sudo",
        ]
        return refusals.contains { text.contains($0) } ? .sudoRefused(host: host, loginUser: loginUser, user: user, answer: answer) : nil
    }
}
