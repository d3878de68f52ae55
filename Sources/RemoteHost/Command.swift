public import Report

/// A program to run on a host: its words, the OS user it runs as, and what it reads.
///
/// Commands are values; ``line(loginUser:)`` is the one place where words become a shell line.
///
/// ```swift
/// let command = Command("pg_ctl", "-D", "/srv/my data", "promote").as("postgres")
/// command.line(loginUser: "dba")
/// // cd / && exec sudo -n -u postgres -- env LC_ALL=C pg_ctl -D '/srv/my data' promote
/// ```
public struct Command: Sendable, Hashable {
    /// The program and its arguments, unquoted.
    public var words: [String]
    /// The OS user to run as; `nil` is the user who logged in.
    public var user: String?
    /// Added to the program's environment. Never put a secret here: it would stand in the host's process list.
    public var environment: [String: String]
    /// What the program reads from standard input; secrets go this way.
    public var input: [UInt8]

    public init(_ words: String...) { self.init(words: words) }

    public init(words: [String], user: String? = nil, environment: [String: String] = [:], input: [UInt8] = []) {
        self.words = words
        self.user = user
        self.environment = environment
        self.input = input
    }

    /// A fixed `sh` script. Values go in as `$1`, `$2` …, never into the script's text.
    public static func script(_ text: String, _ arguments: String...) -> Command {
        Command(words: ["sh", "-c", text, "sh"] + arguments)
    }

    public func `as`(_ user: String?) -> Command {
        var copy = self
        copy.user = user
        return copy
    }

    public func reading(_ input: [UInt8]) -> Command {
        var copy = self
        copy.input = input
        return copy
    }

    public func with(_ name: String, _ value: String) -> Command {
        var copy = self
        copy.environment[name] = value
        return copy
    }

    /// The line for the login shell of `loginUser`: in `/`, as ``user``, messages in English.
    public func line(loginUser: String) -> String {
        "cd / && exec " + Shell.line(allWords(loginUser: loginUser))
    }

    /// The words of ``line(loginUser:)``: ``user``'s program, by the hand of `loginUser`.
    func allWords(loginUser: String) -> [String] { becoming(from: loginUser) + english }

    /// The line for a shell that is ``user``'s and in `/` already.
    var lineOfItsUser: String { "exec " + Shell.line(english) }

    private var english: [String] { ["env", "LC_ALL=C"] + assignments + words }

    /// What people see of ``line(loginUser:)``: one line without secrets, and without what every command begins with.
    func shown(loginUser: String) -> String {
        let all = becoming(from: loginUser) + (assignments.isEmpty ? [] : ["env"] + assignments) + words
        return Shell.line(all.map(Redaction.redactedWord)).onOneLine
    }

    private func becoming(from loginUser: String) -> [String] {
        guard let user, user != loginUser else { return [] }
        // root needs no sudo, and a minimal Debian has none.
        return loginUser == "root" ? ["runuser", "-u", user, "--"] : ["sudo", "-n", "-u", user, "--"]
    }

    private var assignments: [String] { environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" } }
}

/// How a program ended. A program killed by a signal has no exit code, and a lost connection is neither: it is thrown.
public enum ExitStatus: Sendable, Hashable, CustomStringConvertible {
    case code(Int32)
    /// The signal's name without `SIG`, as SSH gives it: `KILL`, `TERM`.
    case signal(String)

    public var description: String {
        switch self {
        case .code(let code): "exit code \(code)"
        case .signal(let name): "killed by SIG\(name)"
        }
    }
}

/// What a program that ended left behind.
public struct CommandResult: Sendable {
    public var status: ExitStatus
    public var output: [UInt8]
    public var errorOutput: [UInt8]

    public init(status: ExitStatus, output: [UInt8] = [], errorOutput: [UInt8] = []) {
        self.status = status
        self.output = output
        self.errorOutput = errorOutput
    }

    public var succeeded: Bool { status == .code(0) }
    /// Standard output as text, without white space at its ends.
    public var text: String { String(decoding: output.trimmed, as: UTF8.self) }
    /// Standard error as text, without white space at its ends.
    public var errorText: String { String(decoding: errorOutput.trimmed, as: UTF8.self) }
}

/// A program that ran and did not succeed.
public struct CommandFailed: Explained {
    public let host: String
    public let words: [String]
    public let status: ExitStatus
    public let errorText: String

    public init(host: String, words: [String], status: ExitStatus, errorText: String) {
        self.host = host
        self.words = words
        self.status = status
        self.errorText = errorText
    }

    public var fact: String { "\(host): \(Shell.line(words)): \(status)" + (errorText.isEmpty ? "" : ": \(errorText)") }
    public var hint: String? { nil }
}
