import Testing

@testable import RemoteHost

@Suite struct CommandTests {
    @Test(arguments: [
        (Command("true"), "dba", "cd / && exec env LC_ALL=C true"),
        (
            Command("pg_ctl", "-D", "/srv/my data", "promote").as("postgres"), "dba",
            "cd / && exec sudo -n -u postgres -- env LC_ALL=C pg_ctl -D '/srv/my data' promote"
        ),
        (Command("true").as("postgres"), "root", "cd / && exec runuser -u postgres -- env LC_ALL=C true"),
        (Command("true").as("postgres"), "postgres", "cd / && exec env LC_ALL=C true"),
        (Command("true").with("B", "two words").with("A", "1"), "dba", "cd / && exec env LC_ALL=C A=1 'B=two words' true"),
        (Command.script("echo \"$1\"", "it's", ""), "dba", #"cd / && exec env LC_ALL=C sh -c 'echo "$1"' sh 'it'\''s' ''"#),
    ]) func aCommandIsThisLine(command: Command, loginUser: String, line: String) {
        #expect(command.line(loginUser: loginUser) == line)
    }

    @Test(arguments: ["", "a b", "it's", "$HOME", "`id`", "a\nb", "\\", "*", "~", "é", "-n", "a=b", "#", "!", "\t", "''", "x'y'z"])
    func aQuotedWordComesBackFromAShell(word: String) async throws {
        let result = try await LocalHost().run(.script("printf '%s' \"$1\"", word), deadline: .patient)
        #expect(result.output == Array(word.utf8))
    }

    @Test func aLongCommandIsSummarisedInOneLine() {
        let summary = Command.script("first\n   second\n" + String(repeating: "x", count: 200)).summary
        #expect(summary.hasPrefix("sh -c 'first second xxx"))
        #expect(summary.count == 120)
    }

    @Test(
        arguments: [
            (
                "dba", RemoteHost.ExitStatus.code(1), "sudo: a password is required",
                HostError.sudoRefused(host: "n1", loginUser: "dba", user: "postgres", answer: "sudo: a password is required")
            ),
            (
                "dba", .code(1), "sudo: a terminal is required to read the password; either use the -S option\nsudo: a password is required",
                .sudoRefused(host: "n1", loginUser: "dba", user: "postgres", answer: "sudo: a password is required")
            ),
            ("dba", .code(1), "dba is not in the sudoers file.", .sudoRefused(host: "n1", loginUser: "dba", user: "postgres", answer: "dba is not in the sudoers file.")),
            (
                "dba", .code(1), "Sorry, user dba is not allowed to execute 'env' as postgres on n1.",
                .sudoRefused(host: "n1", loginUser: "dba", user: "postgres", answer: "Sorry, user dba is not allowed to execute 'env' as postgres on n1.")
            ),
            ("dba", .code(127), "sh: 1: exec: sudo: not found", .sudoRefused(host: "n1", loginUser: "dba", user: "postgres", answer: "sudo is not installed")),
            ("dba", .code(1), "sudo: unknown user postgres", .noSuchUser(host: "n1", user: "postgres")),
            (
                "root", .code(1), "runuser: user postgres does not exist or the user entry does not contain all the required fields",
                .noSuchUser(host: "n1", user: "postgres")
            ),
            ("dba", .code(1), "pg_ctl: no server running", nil),
            ("dba", .code(0), "sudo: a password is required", nil),
            ("postgres", .code(1), "sudo: a password is required", nil),
        ] as [(String, RemoteHost.ExitStatus, String, HostError?)]) func aRefusalToChangeTheUserIsToldFromAFailure(
            loginUser: String, status: RemoteHost.ExitStatus, text: String, expected: HostError?
        )
    {
        let result = CommandResult(status: status, errorOutput: Array(text.utf8))
        #expect(Command("true").as("postgres").refusal(of: result, host: "n1", loginUser: loginUser) == expected)
    }
}
