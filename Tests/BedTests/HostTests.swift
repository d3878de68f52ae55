import Bed
import Testing

/// Two hosts that belong to no mesh; made by the first test that needs them, healthy at the start of each.
func withTwoHosts(_ body: (Bed, Host, Host) async throws -> Void) async throws {
    try await Bed.exclusively { bed in
        for (name, address) in [("a", "10.77.0.41"), ("b", "10.77.0.42")] where try !bed.hasHost(name) {
            _ = try await bed.addHost(name, address: address, diskSize: "256m")
        }
        let (a, b) = (try bed.host("a"), try bed.host("b"))
        try await bed.healNetwork()
        try await body(bed, a, b)
    }
}

extension Host {
    /// Whether sshd on the other host says who it is.
    func seesBanner(of other: Host, within seconds: Int = 1) async throws -> Bool {
        try await execute("timeout \(seconds) bash -c 'exec 3<>/dev/tcp/\(other.address)/22 && read -r banner <&3 && [[ $banner == SSH-* ]]'").status == 0
    }

    /// Whether the other host takes a connection, whatever comes after.
    func connects(to other: Host) async throws -> Bool {
        try await execute("timeout 1 bash -c ': <>/dev/tcp/\(other.address)/22'").status == 0
    }
}

@Suite("Hosts of a bed")
struct HostTests {
    @Test func `a host is a machine of its own`() async throws {
        try await withTwoHosts { _, a, b in
            #expect(try await a.run("hostname") == "a")
            #expect(try await b.run("hostname") == "b")
            try await a.run("echo only here >/etc/mark; echo only here >/tmp/mark")
            #expect(try await b.execute("cat /etc/mark").status != 0)
            #expect(try await b.execute("cat /tmp/mark").status != 0)
            #expect(try await a.run("pgrep -c sshd") == "1")
            #expect(try await a.run("ip -4 -o addr show eth0").contains("10.77.0.41/24"))
            #expect(try await a.run("ip route show default").isEmpty)
            #expect(try await a.run("ls -A /etc/postgresql /var/lib/postgresql | grep -v '^\\.ssh$' | grep -v : || true").isEmpty)
            #expect(try await a.run("locale | sed -n s/^LANG=//p") == "C.UTF-8")
        }
    }

    @Test func `the operator and the hosts reach each other over ssh with known host keys`() async throws {
        try await withTwoHosts { bed, a, b in
            let operatorSide = try await Shell.run("ssh -F \(bed.sshConfig) a 'id -un; echo $LANG; sudo -n -u postgres id -un'")
            #expect(operatorSide == "dba\nC.UTF-8\npostgres")
            #expect(try await Shell.run("ssh -F \(bed.sshConfig) -l root b id -un") == "root")
            #expect(try await a.run(asUser: "postgres", "ssh -o BatchMode=yes b id -un") == "postgres")
            #expect(try await a.execute(asUser: "dba", "sudo -n id -un").status != 0, "dba may become postgres, not root")
            #expect(try await a.run("sshd -T | grep -i ^maxsessions") == "maxsessions 10")
        }
    }

    @Test func `a cut host is silent until it is healed`() async throws {
        try await withTwoHosts { _, a, b in
            try await b.cut()
            #expect(try await !a.connects(to: b))
            try await b.heal()
            #expect(try await a.seesBanner(of: b))
        }
    }

    @Test func `a block lies between two hosts, a blocked port in one direction`() async throws {
        try await withTwoHosts { bed, a, b in
            try await bed.block("a", "b")
            #expect(try await !a.connects(to: b))
            #expect(try await !b.connects(to: a))
            #expect(try await Shell.run("timeout 20 ssh -F \(bed.sshConfig) b hostname") == "b")
            try await bed.unblock("a", "b")
            #expect(try await a.seesBanner(of: b))

            try await bed.block("operator", "b")
            #expect(try await Shell.execute("timeout 3 ssh -F \(bed.sshConfig) b hostname").status != 0)
            #expect(try await a.seesBanner(of: b))
            try await bed.unblock("operator", "b")

            try await bed.block(from: "a", to: "b", port: 22)
            #expect(try await !a.connects(to: b))
            #expect(try await b.seesBanner(of: a))
            #expect(try await a.execute("ping -c1 -W1 b || timeout 1 bash -c ': <>/dev/tcp/b/1' 2>&1 | grep refused").status == 0, "other ports answer")
            try await bed.unblock(from: "a", to: "b", port: 22)
            #expect(try await a.seesBanner(of: b))
        }
    }

    @Test func `a frozen host takes connections and answers nothing, and goes on where it was`() async throws {
        try await withTwoHosts { _, a, b in
            async let command = b.run("for i in 1 2 3 4 5; do sleep 0.1; done; echo done")
            try await eventually("the command to run", within: .seconds(5)) { try await b.execute("pgrep -x sleep").status == 0 }
            try await b.freeze()
            #expect(try await a.connects(to: b))
            #expect(try await !a.seesBanner(of: b))
            try await b.thaw()
            #expect(try await command == "done")
            #expect(try await a.seesBanner(of: b))
        }
    }

    @Test func `a host without power says nothing, and comes back with its disk`() async throws {
        try await withTwoHosts { _, a, b in
            try await b.run("echo kept >/var/lib/mark")
            try await a.run("bash -c 'exec 3<>/dev/tcp/b/22; sleep 30' >/dev/null 2>&1 &")
            try await eventually("a connection to b", within: .seconds(5)) { try await a.execute("ss -Htn state established dst \(b.address) | grep .").status == 0 }
            try await b.powerOff()
            #expect(try await !a.connects(to: b))
            #expect(try await a.execute("ss -Htn state established dst \(b.address) | grep .").status == 0, "nobody has told the other end")
            await expectRefusal("host b is not running") { try await b.run("true") }
            try await b.powerOn()
            #expect(try await b.run("cat /var/lib/mark") == "kept")
            #expect(try await a.seesBanner(of: b))
        }
    }

    @Test func `a disk can be shrunk, filled and freed`() async throws {
        try await withTwoHosts { _, a, _ in
            try await a.resizeDisk(to: "100m")
            try await a.fillDisk(mebibytes: 50)
            let used = try await a.run("df --output=used -BM / | tail -1 | tr -dc 0-9")
            #expect((50...60).contains(Int(used) ?? 0))
            try await a.fillDisk()
            #expect(try await a.execute("echo x >/var/lib/more").status != 0)
            try await a.freeDisk()
            #expect(try await a.execute("echo x >/var/lib/more").status == 0)
            try await a.resizeDisk(to: "256m")
        }
    }

    @Test func `bandwidth can be limited`() async throws {
        try await withTwoHosts { _, a, b in
            func transfer() async throws -> Duration {
                try await ContinuousClock().measure { _ = try await a.run("head -c 1500000 /dev/zero | ssh -o BatchMode=yes b 'cat >/dev/null'") }
            }
            try await b.limitBandwidth(to: "8mbit")
            let limited = try await transfer()
            #expect(limited > .seconds(1))
            try await b.limitBandwidth(to: nil)
            // On a slow day a transfer may take long without a limit, too; not every one.
            try await eventually("a transfer in half the time", within: .seconds(60)) { try await transfer() < limited / 2 }
        }
    }

    @Test func `a command that does not end is killed at its deadline`() async throws {
        try await withTwoHosts { _, a, _ in
            await expectRefusal("timed out after 0.3 seconds waiting for a: echo started; sleep 4711") { try await a.run("echo started; sleep 4711", within: .milliseconds(300)) }
            try await eventually("the command to be gone", within: .seconds(5)) { try await Shell.execute("pgrep -f '[s]leep 4711'").status != 0 }
        }
    }

    @Test func `a wait that fails says what it waited for`() async throws {
        do {
            try await eventually("pigs to fly", within: .milliseconds(100)) { false }
            Issue.record("did not fail")
        } catch BedError.timedOut(let what, _, _) {
            #expect(what == "pigs to fly")
        }
    }

    @Test func `a bed that is killed leaves no process behind`() async throws {
        try await Bed.exclusively { _ in
            let bed = "\(Shell.fixtures)/bed/bed"
            // `run` makes namespaces inside those of this process.
            async let run = Shell.execute("env -u PGGRAFT_BED_INSIDE \(bed) run bash -c '\(bed) host x 10.77.0.40; \(bed) delay x 40; \(bed) x x sleep 4712'")
            try await eventually("the inner bed to be up", within: .seconds(20)) { try await Shell.execute("pgrep -f '^sleep 4712'").status == 0 }
            #expect(try await Shell.run("pgrep -cf '^/run/pggraft-bed/wire 10.77.0.40'") == "1")
            _ = try await Shell.run("pkill -KILL -o -f '[b]ed/bed run bash'")
            #expect(try await run.status == 137)
            try await eventually("every process of the inner bed to end", within: .seconds(10)) {
                try await Shell.execute("pgrep -f '^sleep 4712|bed _init x|^/run/pggraft-bed/wire 10.77.0.40'").status != 0
            }
        }
    }
}
