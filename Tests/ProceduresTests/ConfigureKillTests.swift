import EventLoop
import Instance
import PostgresConfig
import Procedures
import RemoteHost
import Run
import Scratch
import Synchronization
import Testing

/// A host whose scripts are killed, and with them everything that was to come, before one of their programs that change
/// files: what is left is what a kill between two file operations leaves.
private final class DyingHost: RemoteHost.Host {
    let name = "n1"
    private let base = LocalHost(name: "n1")
    private let directory: HostPath
    private let isDead = Mutex(false)
    var loginUser: String { base.loginUser }

    struct Dead: Error {}

    /// - Parameter last: how many programs run before the kill.
    init(in area: ScratchArea, after last: Int) async throws {
        directory = area.directory / "shims"
        try await base.require(.script(Self.install, directory.path, "\(last)").as("postgres"), deadline: soon)
    }

    /// In place of each program one that counts, and kills the shell that called it when its turn has come.
    private static let install = #"""
        set -e
        rm -rf "$1"; mkdir -p "$1"
        echo "$2" >"$1/left"
        for program in mktemp cp chown chmod sync mv rm; do
          cat >"$1/$program" <<END
        #!/bin/sh
        read -r left <"$1/left"
        if [ "\$left" -le 0 ]; then echo dead >"$1/dead"; kill -KILL "\$PPID"; exit 1; fi
        echo \$((left - 1)) >"$1/left"
        exec /usr/bin/$program "\$@"
        END
        done
        chmod -R a+rwx "$1"
        """#

    var hasDied: Bool { isDead.withLock { $0 } }

    func run(_ command: Command, deadline: Deadline, onOutput: (@Sendable (String) -> Void)?) async throws -> CommandResult {
        guard !hasDied else { throw Dead() }
        let result = try await base.run(command.with("PATH", "\(directory):/usr/sbin:/usr/bin:/sbin:/bin"), deadline: deadline, onOutput: onOutput)
        guard try await base.stat(directory / "dead", deadline: soon) != nil else { return result }
        isDead.withLock { $0 = true }
        throw Dead()
    }

    func forward(toPort port: UInt16, address: String) async throws -> ForwardedPort { try await base.forward(toPort: port, address: address) }
    func forward(toSocket path: HostPath, as user: String) async throws -> ForwardedPort { try await base.forward(toSocket: path, as: user) }
    func close() async {}
}

@Suite("A change that is killed between any two file operations", .serialized) struct ConfigureKillTests {
    @Test("leaves a server that starts with the old or the new settings, and is gone on with or taken back")
    func killed() async throws {
        let n1 = try await Configured(settings: "random_page_cost = 3\ninclude 'extra.conf'\n", starting: false)
        try await n1.write("work_mem = 8MB\n", to: "extra.conf")
        try await n1.instance.start(deadline: soon)
        let assignments: [ConfigurationRequest.Assignment] = [.init("work_mem", .set, "16MB"), .init("random_page_cost", .set, "2"), .init("cluster_name", .set, "new")]
        let before = try await [n1.read("postgresql.conf"), n1.read("extra.conf")]
        var kills = 0
        while true {
            let host = try await DyingHost(in: n1.area, after: kills)
            do {
                try await n1.change(.settings(assignments), by: n1.node(through: host))
                try #require(!host.hasDied)
                break
            } catch let failure as Configured.ChangeFailed {
                try #require(host.hasDied, "\(failure)")
                kills += 1
                // The machine goes down at this moment, and comes up again.
                try await n1.instance.stop(mode: .immediate, deadline: soon)
                try await n1.instance.start(deadline: soon)
                let state = try await "\(n1.value("work_mem")) \(n1.value("random_page_cost")) \(n1.value("cluster_name"))"
                #expect(state.wholeMatch(of: #/(8MB|16MB) (3 |2 new)/#) != nil, "after \(kills) kills: \(state)")
                // Gone on with and then taken back, or taken back at once.
                if kills.isMultiple(of: 2) {
                    let again = try n1.again(failure.journal)
                    try await Runner(steps: again.steps).perform(failure.journal)
                    #expect(try await n1.value("work_mem") == "16MB")
                    await again.close()
                }
                #expect(try await n1.undo(failure.journal).isEmpty)
                #expect(try await [n1.read("postgresql.conf"), n1.read("extra.conf")] == before)
                #expect(try await n1.kept().isEmpty)
                #expect(try await n1.value("work_mem") == "8MB")
            }
        }
        print("  kills between file operations: \(kills)")
        #expect(kills > 15)
        try await n1.end()
    }
}
