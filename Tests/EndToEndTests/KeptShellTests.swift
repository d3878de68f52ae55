import Bed
import EventLoop
import RemoteHost
import Testing

/// A shell that is kept, of another user by way of sudo, and what happens to its host under a program.
@Suite("A shell that is kept on a host of its own", .serialized)
struct KeptShellTests {
    private func withHost(_ body: (BedHost, SSHHost) async throws -> Void) async throws {
        try await Bed.exclusively { bed in
            if try !bed.hasHost("ks") { _ = try await bed.addHost("ks", address: "10.77.0.45", diskSize: "256m") }
            let machine = try bed.host("ks")
            try await bed.healNetwork()
            try await eventually("the shells of another test to end", within: .seconds(30)) { try await machine.run(Self.shells) == "0" }
            let host = try await SSHHost.connect(SSHTarget("ks", configFile: bed.sshConfig), deadline: .after(.seconds(60)))
            do {
                // The first has a channel of its own; meanwhile a shell is started.
                try await host.require(Command("true").as("postgres"), deadline: .after(.seconds(60)))
                try await awaitShell(machine)
                try await body(machine, host)
            } catch {
                await host.close()
                throw error
            }
            await host.close()
        }
    }

    /// What watches the next program in a shell of postgres waits below sudo.
    private static let shells = "pgrep -u postgres -fc '^sh -c exec 4<&0 ' || :"

    private func awaitShell(_ machine: BedHost) async throws {
        try await eventually("a shell of postgres", within: .seconds(30)) { try await machine.run(Self.shells) != "0" }
    }

    /// Runs `during` once a program runs in a shell that is kept, and returns what becomes of the program.
    private func under(_ machine: BedHost, _ host: SSHHost, _ script: String, _ during: () async throws -> Void) async throws -> Result<CommandResult, any Error> {
        let running = Task { try await host.run(.script("echo $$ >/tmp/program; \(script)").as("postgres"), deadline: .after(.seconds(60))) }
        try await eventually("the program to run", within: .seconds(30)) { try await machine.execute("test -s /tmp/program").status == 0 }
        // Below the watcher of a kept shell, not below a channel's own.
        #expect(try await machine.run("ps -o args= -p $(ps -o ppid= -p $(cat /tmp/program))").hasPrefix("sh -c exec 4<&0 "))
        try await during()
        let result = await running.result
        try await machine.run("rm -f /tmp/program")
        return result
    }

    private func lost(_ result: Result<CommandResult, any Error>) throws -> (detail: String, during: String?) {
        let error = try #require(throws: HostError.self) { try result.get() }
        guard case .connectionLost("ks", let detail, let during) = error else { throw error }
        return (detail, during)
    }

    @Test func `a frozen host is lost, with the program that ran`() async throws {
        try await withHost { machine, host in
            let result = try await under(machine, host, "sleep 30") {
                try await machine.freeze()
            }
            try await machine.thaw()
            let (detail, during) = try lost(result)
            #expect(detail.hasPrefix("no sign of life for 1") && during?.hasPrefix("sh -c 'echo $$") == true)
        }
    }

    @Test func `a cut line is lost, and a shell that waits ends when sshd sees it`() async throws {
        try await withHost { machine, host in
            // When the kernel gives up a connection, and sshd hears of it: after two hours of silence, a quarter of an hour where it sends.
            try await machine.run("sysctl -qw net.ipv4.tcp_keepalive_time=2 net.ipv4.tcp_keepalive_intvl=1 net.ipv4.tcp_keepalive_probes=3 net.ipv4.tcp_retries2=3")
            let second = try await SSHHost.connect(SSHTarget("ks", configFile: "/run/pggraft-bed/ssh_config"), deadline: .after(.seconds(60)))
            try await second.require(Command("true").as("postgres"), deadline: .after(.seconds(60)))
            try await awaitShell(machine)
            let result = try await under(machine, host, "sleep 3") { try await machine.cut() }
            let (detail, during) = try lost(result)
            #expect(detail.hasPrefix("no sign of life for 1") && during?.hasPrefix("sh -c 'echo $$") == true)
            let began = ContinuousClock.now
            try await eventually("every shell, and sudo, to end", within: .seconds(60)) {
                try await machine.run("pgrep -fc 'sh -c exec [34]<&0 ' || :") == "0"
            }
            report(
                "shells gone \(began.duration(to: .now)) after the operator's side gave up, \(try await machine.run("cat /proc/sys/net/ipv4/tcp_keepalive_time")) s before the first probe"
            )
            try await machine.heal()
            await second.close()
        }
    }

    @Test(arguments: ["KILL", "TERM"]) func `a shell that is killed under a program leaves it its end, and another takes its place`(signal: String) async throws {
        try await withHost { machine, host in
            let result = try await under(machine, host, "while [ -e /tmp/program ]; do sleep 0.1; [ -e /tmp/killed ] && break; done; echo done; exit 4") {
                try await machine.run("pkill -\(signal) -u postgres -f '^sh -c exec 3<&0 '; touch /tmp/killed")
            }
            try await machine.run("rm -f /tmp/killed")
            let ended = try result.get()
            #expect(ended.status == .code(4) && ended.text == "done")
            #expect(try await host.require(Command("id", "-un").as("postgres"), deadline: .after(.seconds(60))).text == "postgres")
        }
    }

    @Test func `a watcher that is killed leaves the outcome unknown`() async throws {
        try await withHost { machine, host in
            let result = try await under(machine, host, "sleep 5") {
                try await machine.run("kill -KILL $(ps -o ppid= -p $(cat /tmp/program))")
            }
            let error = try #require(throws: HostError.self) { try result.get() }
            #expect(error.fact.hasPrefix("ks: whether this succeeded is not known: sh -c 'echo $$") && error.fact.hasSuffix(": the shell around it was killed"))
            #expect(try await host.require(Command("id", "-un").as("postgres"), deadline: .after(.seconds(60))).text == "postgres")
        }
    }

    @Test(arguments: ["", "Defaults use_pty\n", "Defaults requiretty\n", "Defaults lecture=always, mail_always, mailerpath=/bin/false\n"])
    func `sudo's settings change nothing`(settings: String) async throws {
        try await withHost { machine, host in
            try await machine.run("printf '%s' '\(settings)' >/etc/sudoers.d/zz-test; chmod 440 /etc/sudoers.d/zz-test")
            let fresh = try await SSHHost.connect(SSHTarget("ks", configFile: "/run/pggraft-bed/ssh_config"), deadline: .after(.seconds(60)))
            var outcomes: [String] = []
            for _ in 0..<5 {
                do {
                    let result = try await fresh.run(.script("cat; echo err >&2; exit 3").as("postgres").reading(Array("in".utf8)), deadline: .after(.seconds(60)))
                    outcomes.append("\(result.status) \(result.text) \(result.errorText)")
                } catch let error as HostError {
                    outcomes.append(error.fact)
                }
                try await Task.sleep(for: .milliseconds(300))
            }
            await fresh.close()
            try await machine.run("rm -f /etc/sudoers.d/zz-test")
            #expect(Set(outcomes).count == 1, "\(outcomes)")
            #expect(outcomes[0].contains(settings.contains("requiretty") ? "sudo does not let dba run commands as postgres" : "exit code 3 in err"), "\(outcomes)")
        }
    }

    @Test func `nothing is left on the host once it is closed`() async throws {
        try await withHost { machine, host in
            try await host.require(Command("true").as("postgres"), deadline: .after(.seconds(60)))
            await host.close()
            try await eventually("every shell to end", within: .seconds(30)) {
                try await machine.run("pgrep -fc 'sh -c exec [34]<&0 |sudo -n -[u]' || :") == "0"
            }
        }
    }
}
