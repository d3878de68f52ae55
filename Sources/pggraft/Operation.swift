import ArgumentParser
import EventLoop
import Foundation
import Playbook
import PostgresClient
import Procedures
import RemoteHost
import Run

/// What a command works on: the playbook's procedure, the way to its hosts, the operator's terminal.
struct Operation: Sendable {
    let terminal: Terminal
    let playbookPath: String
    let cluster: String
    let procedure: AddSpockNode

    /// Loads the playbook, runs `body`, and ends every connection on the way out.
    /// - Parameter sessionName: what servers call its sessions.
    static func with(
        _ options: PlaybookOptions, undo: UndoOptions = UndoOptions(), sessionName: String = ClusterAccess.applicationName, _ body: (Operation) async throws -> Void
    ) async throws {
        let terminal = Terminal()
        let playbook: Playbook
        do {
            playbook = try Playbook.load(path: options.playbook)
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            throw ExitCode(2)
        }
        switch playbook.procedure {
        case .addSpockNode(let add):
            let access = access(to: add, options.connection, sessionName, terminal)
            let operation = Operation(
                terminal: terminal, playbookPath: absolute(options.playbook), cluster: add.cluster.name,
                procedure: AddSpockNode(add, access: access, undo: undo))
            do {
                try await body(operation)
                await operation.procedure.close()
            } catch {
                await operation.procedure.close()
                throw error
            }
        }
    }

    private static func access(to add: Playbook.AddSpockNode, _ options: ConnectionOptions, _ sessionName: String, _ terminal: Terminal) -> ClusterAccess {
        let nodes = (add.cluster.nodes + [add.newNode.node]).map {
            ClusterAccess.Node(name: $0.name, ssh: $0.ssh, address: $0.address, port: $0.port)
        }
        return ClusterAccess(
            nodes: nodes, database: add.cluster.database, user: add.cluster.user, applicationName: sessionName,
            askPassword: { terminal.secret("Password of \($0)") }, connect: connector(options, terminal))
    }

    private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    // MARK: What several commands do

    var view: RunView { RunView(terminal: terminal) }

    func runner(_ memory: Memory) -> Runner {
        Runner(steps: procedure.steps, brackets: procedure.brackets(memory)) { [view] in view.show($0) }
    }

    /// Shows the plan.
    /// - Returns: whether it could be carried out.
    func showPlan(_ memory: Memory = Memory()) async throws -> Bool {
        let findings = await procedure.findings(memory)
        let problems = findings.filter { !$0.isMet }
        guard problems.isEmpty else {
            CheckView(terminal: terminal).show(problems)
            terminal.print()
            terminal.print(terminal.styled("It may not run: \(problems.count) of \(findings.count) requirements are not met. Nothing was changed.", .bad))
            return false
        }
        let quiet = Runner(steps: procedure.steps) { [terminal] event in
            if case .inspecting(_, let title) = event { terminal.progress("… \(title)") }
        }
        let plan = try await quiet.plan(memory)
        view.show(plan)
        return !plan.contains { if case .blocked = $0.inspection { true } else { false } }
    }
}

/// An end that has been told to the operator already.
func finish(_ terminal: Terminal, _ error: any Error) -> ExitCode {
    if let code = error as? ExitCode { return code }
    terminal.print(terminal.styled("\(error)", .bad))
    return ExitCode(1)
}

/// How a host is reached: over SSH as `ssh` itself would, or, named by a dot, not at all, as this machine.
func connector(_ options: ConnectionOptions, _ terminal: Terminal) -> ClusterAccess.Connector {
    let config = options.sshConfig ?? ProcessInfo.processInfo.environment["PGGRAFT_SSH_CONFIG"]
    let passphrases = Passphrases { file, attempt in
        terminal.secret(attempt == 1 ? "Passphrase for \(file)" : "That was not it. Passphrase for \(file)")
    }
    return { destination, name, deadline in
        guard destination != "." else { return LocalHost(name: name) }
        return try await SSHHost.connect(sshTarget(destination, configFile: config), name: name, passphrases: passphrases, deadline: deadline)
    }
}

/// `user@host:port` as a playbook has it.
private func sshTarget(_ destination: String, configFile: String?) -> SSHTarget {
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
    return SSHTarget(String(rest), user: user, port: port, configFile: configFile)
}
