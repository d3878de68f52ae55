import ArgumentParser
import EventLoop
import Foundation
import Playbook
import ProcedureKit
import Procedures
import RemoteHost
import Report
import Run

/// How a command runs: its terminal, its errors on standard error, its exit status.
enum Commanding {
    /// Does `work` on a procedure, says how it ended, and ends with its exit status.
    static func session(_ terminal: Terminal, _ work: () async throws -> Ending) async throws {
        try await failing(terminal) {
            let ending = try await work()
            EndingView(terminal: terminal).show(ending)
            guard ending.exitStatus == 0 else { throw ExitCode(ending.exitStatus) }
        }
    }

    /// Does `work`; an error of it is told, and ends with exit status 1. A playbook that cannot be read is one of usage: 2.
    static func failing(_ terminal: Terminal, _ work: () async throws -> Void) async throws {
        do {
            try await work()
        } catch let end as ExitCode {
            throw end
        } catch let error as ValidationError {
            throw error
        } catch let errors as PlaybookErrors {
            terminal.printError("\(errors)")
            throw ExitCode(2)
        } catch {
            terminal.printError(terminal.styled(Problem(explaining: error).description, .bad))
            throw ExitCode(error is CancellationError ? 130 : 1)
        }
    }
}

extension PlaybookOptions {
    /// The session of a command on the playbook's procedure.
    /// - Parameters:
    ///   - sessionName: what servers call its sessions.
    ///   - isAgreed: whether the question before the first change is answered with yes already.
    func session(
        _ terminal: Terminal, sessionName: String = ClusterAccess.applicationName, isAgreed: Bool = false
    ) throws -> RunSession {
        let playbook = try Playbook.load(path: playbook)
        let path = URL(fileURLWithPath: self.playbook).standardizedFileURL.path
        let procedure = try Catalog(connection.ways(terminal, sessionName: sessionName)).procedure(for: playbook, at: path)
        return RunSession(procedure, in: RunStore(), console: SessionConsole(terminal: terminal, isAgreed: isAgreed))
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
