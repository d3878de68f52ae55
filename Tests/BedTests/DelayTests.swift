import Bed
import Testing

@Suite("Distance and slow logins")
struct DelayTests {
    @Test func `a round trip between this side and a host takes its time, in both directions, until it is taken back`() async throws {
        try await withTwoHosts { bed, a, b in
            try await bed.delay(["a"], milliseconds: 100)
            #expect(try await Shell.roundTrip(to: a) >= 100)
            try await a.expectRoundTrip(to: b, below: 50)
            try await Shell.expectRoundTrip(to: b, below: 50)
            try await Shell.expectRoundTrip(to: a, below: 150)
            // Who begins does not matter.
            #expect(try await a.roundTrip(to: "operator", port: 1) >= 100)

            try await bed.delay(["a"], milliseconds: 0)
            try await Shell.expectRoundTrip(to: a, below: 50)
            #expect(try await Self.leftovers() == "")
        }
    }

    @Test func `a delay between two hosts is theirs alone, and the other way round the same`() async throws {
        try await withTwoHosts { bed, a, b in
            try await bed.delay(["b", "a"], milliseconds: 100)
            #expect(try await a.roundTrip(to: b) >= 100)
            #expect(try await b.roundTrip(to: a) >= 100)
            try await a.expectRoundTrip(to: b, below: 150)
            try await Shell.expectRoundTrip(to: a, below: 50)
            try await Shell.expectRoundTrip(to: b, below: 50)

            try await bed.delay(["operator", "a", "b"], milliseconds: 200)
            #expect(try await a.roundTrip(to: b) >= 200)
            #expect(try await Shell.roundTrip(to: a) >= 200)
            #expect(try await Shell.roundTrip(to: b) >= 200)

            try await bed.healNetwork()
            try await a.expectRoundTrip(to: b, below: 50)
            try await Shell.expectRoundTrip(to: a, below: 50)
            #expect(try await Self.leftovers() == "")
        }
    }

    @Test func `a delayed host can be cut off, blocked, limited and without power, and is as far away as before`() async throws {
        try await withTwoHosts { bed, a, b in
            try await bed.delay(["a", "b"], milliseconds: 100)
            try await a.cut()
            #expect(try await !b.connects(to: a))
            try await a.heal()
            #expect(try await b.roundTrip(to: a) >= 100)

            try await bed.block("a", "b")
            #expect(try await !b.connects(to: a))
            try await bed.unblock("a", "b")

            try await a.powerOff()
            #expect(try await !b.connects(to: a))
            #expect(try await Self.leftovers() == "")
            try await a.powerOn()
            #expect(try await b.roundTrip(to: a) >= 100)
            try await b.expectRoundTrip(to: a, below: 150)

            try await a.limitBandwidth(to: "8mbit")
            let took = try await ContinuousClock().measure { _ = try await a.run("head -c 1500000 /dev/zero | ssh -o BatchMode=yes b 'cat >/dev/null'") }
            #expect(took > .seconds(1))
        }
    }

    @Test func `nothing is lost or torn on the way`() async throws {
        try await withTwoHosts { bed, a, b in
            try await bed.delay(["a", "b"], milliseconds: 20)
            let sums = try await a.run("head -c 60000000 /dev/urandom | tee >(sha256sum >/tmp/sent) | ssh -o BatchMode=yes b sha256sum; cat /tmp/sent", shell: "bash")
                .split(separator: "\n")
            #expect(sums.count == 2 && sums[0] == sums[1], "\(sums)")
        }
    }

    @Test func `the shell of a login is slow to start, and so are sudo and runuser, until that is taken back`() async throws {
        try await withTwoHosts { bed, a, _ in
            func login(_ user: String, _ command: String) async throws -> Duration {
                try await ContinuousClock().measure { _ = try await Shell.run("ssh -F \(bed.sshConfig) -l \(user) a \(command)") }
            }
            func expectQuick(_ user: String, _ command: String) async throws {
                try await eventually("\(user) to run \(command) at once", within: .seconds(60)) { try await login(user, command) < .seconds(2) }
            }
            try await a.slowDown(.shell, milliseconds: 2000)
            for user in ["root", "dba", "postgres"] { #expect(try await login(user, "true") >= .seconds(2)) }
            try await a.slowDown(.shell, milliseconds: 0)
            try await a.slowDown(.sudo, milliseconds: 2000)
            try await expectQuick("dba", "true")
            #expect(try await login("dba", "sudo -n -u postgres true") >= .seconds(2))
            #expect(try await login("root", "runuser -u postgres -- true") >= .seconds(2))
            try await a.slowDown(.sudo, milliseconds: 0)
            try await expectQuick("dba", "sudo -n -u postgres true")
            try await expectQuick("root", "runuser -u postgres -- true")
            #expect(try await a.run("ls /usr/local/bin/sudo /usr/local/sbin/runuser ~dba/.bashrc 2>/dev/null | wc -l") == "0")
        }
    }

    /// What a delay needs while it is there: programs, interfaces.
    private static func leftovers() async throws -> String {
        try await Shell.run("pgrep -f '^/run/pggraft-bed/wire' || true; ip -br link | grep -E '^[wd]-' || true")
    }
}

extension Host {
    /// How long a connection takes to be there or refused, in milliseconds.
    func roundTrip(to other: Host) async throws -> Double { try await roundTrip(to: other.address, port: 22) }
    func roundTrip(to name: String, port: Int) async throws -> Double { try milliseconds(await run(connecting(to: name, port: port), shell: "bash")) }
    func expectRoundTrip(to other: Host, below limit: Double) async throws {
        try await eventually("a round trip of less than \(limit) ms", within: .seconds(30)) { try await roundTrip(to: other) < limit }
    }
    /// A script in another shell than sh.
    func run(_ script: String, shell: String) async throws -> String { try await run("exec \(shell) -s", input: script) }
}

extension Shell {
    static func roundTrip(to host: Host) async throws -> Double { try milliseconds(await run(connecting(to: host.address, port: 22))) }
    static func expectRoundTrip(to host: Host, below limit: Double) async throws {
        try await eventually("a round trip of less than \(limit) ms", within: .seconds(30)) { try await roundTrip(to: host) < limit }
    }
}

private func connecting(to name: String, port: Int) -> String {
    "began=${EPOCHREALTIME/./}; { exec 3<>/dev/tcp/\(name)/\(port); } 2>/dev/null || true; echo $((${EPOCHREALTIME/./} - began))"
}

private func milliseconds(_ microseconds: String) throws -> Double {
    guard let number = Double(microseconds) else { throw BedError.unexpected(microseconds) }
    return number / 1000
}
