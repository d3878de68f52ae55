import EventLoop
import Testing

@testable import RemoteHost

/// A host whose programs all run in shells that are kept, but for those whose input is too large for one.
struct WarmHost: RemoteHost.Host {
    let host: SSHHost

    var name: String { host.name }
    var loginUser: String { host.loginUser }

    func run(_ command: Command, deadline: Deadline, onOutput: (@Sendable (String) -> Void)?) async throws -> CommandResult {
        guard KeptShell.request(command, nonce: "") != nil else { return try await host.run(command, deadline: deadline, onOutput: onOutput) }
        let user = command.user ?? loginUser, session = host.connection.session
        // A user who is not there has no shell.
        guard user != "nobody-here" else { return try await host.run(command, deadline: deadline, onOutput: onOutput) }
        await session.keepEnough(for: user)
        try await awaitShell(of: user)
        let before = await session.keptShells().served
        let budget = deadline.budget
        let result = try await host.run(command, deadline: .after(budget), onOutput: onOutput)
        let after = await session.keptShells().served
        #expect(after > before, "\(command) had a channel of its own")
        return result
    }

    /// Waits until a shell of `user` waits for a program.
    func awaitShell(of user: String) async throws {
        let session = host.connection.session
        try await wait(for: "a shell of \(user)", until: .patient) {
            await session.keptShells().idle.contains { $0.user == user } ? .found(()) : .notYet("none")
        }
    }

    func forward(toPort port: UInt16, address: String) async throws -> ForwardedPort { try await host.forward(toPort: port, address: address) }
    func forward(toSocket path: HostPath, as user: String) async throws -> ForwardedPort { try await host.forward(toSocket: path, as: user) }
    func close() async { await host.close() }
}

extension SSHSession {
    /// The shells that wait, and how many programs have run in one.
    func keptShells() -> (idle: [(user: String, nonce: String)], served: Int) { (shells.idle.map { ($0.user, $0.nonce) }, shells.served) }
}
