import ArgumentParser
import EventLoop
import Foundation
import Playbook
import ProcedureKit
import Procedures
import RemoteHost
import Report
import Run

/// How a command runs: its output, its errors, its exit status.
enum Commanding {
    /// Does `work` on a procedure, says how it ended, and ends with its exit status.
    /// - Parameters:
    ///   - isAgreed: whether the question before the first change is answered with yes already.
    ///   - asObject: in JSON, all that is found is one object.
    static func session(
        _ output: Output, isAgreed: Bool = false, asObject: Bool = false, _ work: (any CommandConsole) async throws -> Ending
    ) async throws {
        try await failing(output) {
            let console = output.console(isAgreed: isAgreed, asObject: asObject)
            let ending = try await work(console)
            console.end(ending)
            guard ending.exitStatus == 0 else { throw ExitCode(ending.exitStatus) }
        }
    }

    /// Does `work`; an error of it is told, and ends with exit status 1. A playbook that cannot be read is one of usage: 2.
    static func failing(_ output: Output, _ work: () async throws -> Void) async throws {
        do {
            try await work()
        } catch let end as ExitCode {
            throw end
        } catch let error as ValidationError {
            throw error
        } catch let errors as PlaybookErrors {
            throw tell(Problem("\(errors)"), on: output, .plain, ending: .unknownWord)
        } catch {
            throw tell(Problem(explaining: error), on: output, .bad, ending: ExitCode(error is CancellationError ? 130 : 1))
        }
    }

    private static func tell(_ problem: Problem, on output: Output, _ style: Terminal.Style, ending status: ExitCode) -> ExitCode {
        switch output.form {
        case .text: output.terminal.printError(output.terminal.styled(problem.description, style))
        case .json: output.write(JSON(event: "ended", problem.fields.merging(["ending": JSON("error"), "status": JSON(Int(status.rawValue))]) { $1 }))
        }
        return status
    }
}

extension ExitCode {
    /// Something that was named is not known: a key of a playbook, a setting, a role.
    static let unknownWord = ExitCode(2)
}

extension PlaybookOptions {
    /// The session of a command on the playbook's procedure.
    /// - Parameters:
    ///   - consents: what the operator has said with it.
    ///   - sessionName: what servers call its sessions.
    func session(
        _ terminal: Terminal, _ console: any Console, consents: [Consent], sessionName: String = ClusterAccess.applicationName
    ) throws -> RunSession {
        let playbook = try Playbook.load(path: playbook)
        let path = URL(fileURLWithPath: self.playbook).standardizedFileURL.path
        let procedure = try Catalog(connection.ways(terminal, sessionName: sessionName)).procedure(for: playbook, at: path, consents: consents)
        return RunSession(procedure, in: RunStore(), console: console)
    }
}

extension ConnectionOptions {
    /// How hosts and servers are reached: over SSH as `ssh` itself would, or, named by a dot, not at all, as this machine.
    func ways(_ terminal: Terminal, sessionName: String = ClusterAccess.applicationName) -> Ways {
        if verbose { VerboseLog.start() }
        let config = sshConfig ?? ProcessInfo.processInfo.environment["PGGRAFT_SSH_CONFIG"]
        let passphrases = Passphrases { file, attempt in
            terminal.secret(attempt == 1 ? "Passphrase for \(file)" : "That was not it. Passphrase for \(file)")
        }
        return Ways(applicationName: sessionName, askPassword: { terminal.secret("Password of \($0)") }, askSecret: { terminal.secret($0) }) { destination, name, deadline in
            guard destination != "." else { return LocalHost(name: name) }
            return try await SSHHost.connect(SSHTarget(destination: destination, configFile: config), name: name, passphrases: passphrases, deadline: deadline)
        }
    }
}

extension SSHTarget {
    /// Reads `user@host:port`, as a playbook has it.
    fileprivate init(destination: String, configFile: String?) {
        var rest = Substring(destination), user: String?, port: UInt16?
        if let at = rest.lastIndex(of: "@") {
            user = String(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        if let colon = rest.lastIndex(of: ":"), let number = UInt16(rest[rest.index(after: colon)...]) {
            port = number
            rest = rest[..<colon]
        }
        if rest.hasPrefix("["), rest.hasSuffix("]") { rest = rest.dropFirst().dropLast() }
        self.init(String(rest), user: user, port: port, configFile: configFile)
    }
}
