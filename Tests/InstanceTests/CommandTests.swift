import PostgresConfig
import RemoteHost
import Testing

@testable import Instance

@Suite("The commands of an instance") struct CommandTests {
    static func instance(_ manager: ServiceManager, startOptions: [String] = []) throws -> Instance {
        let bin = try #require(HostPath("/usr/lib/postgresql/15/bin")), data = try #require(HostPath("/srv/my data"))
        return Instance(
            host: LocalHost(name: "here"), node: "n1", user: "postgres", port: 5433, dataDirectory: data, version: .postgres(15),
            binaries: Binaries(directory: bin, versions: [:]), manager: manager, debianCluster: nil, startOptions: startOptions)
    }

    /// The words behind the script and its log.
    static func started(_ command: Command) -> [String] { Array(command.words.dropFirst(5)) }

    @Test("start")
    func start() throws {
        let plain = try Self.instance(.pgCtl, startOptions: ["-Z", "datanode"])
        let command = plain.startCommand(logTo: plain.defaultStartLog, word: "start", seconds: 60)
        #expect(
            Self.started(command) == [
                "/usr/lib/postgresql/15/bin/pg_ctl", "start", "-D", "/srv/my data", "-l", "/srv/my data/log/pggraft-start.log", "-w", "-t", "60",
                "-Z", "datanode",
            ])
        #expect(command.words[4] == "/srv/my data/log/pggraft-start.log")
        #expect(command.user == "postgres")

        let debian = try Self.instance(.pgCtlCluster(version: "15", cluster: "odd-name"))
        #expect(
            Self.started(debian.startCommand(logTo: debian.defaultStartLog, word: "start", seconds: 9))
                == ["pg_ctlcluster", "--skip-systemctl-redirect", "15", "odd-name", "start", "--", "-w", "-t", "9"])

        let unit = try Self.instance(.systemd(unit: "postgresql-15.service")).startCommand(logTo: plain.defaultStartLog, word: "start", seconds: 9)
        #expect(unit.words == ["systemctl", "start", "--", "postgresql-15.service"])
        #expect(unit.user == "root")
    }

    @Test("restart as it was started")
    func restart() throws {
        let plain = try Self.instance(.pgCtl)
        #expect(Self.started(plain.startCommand(logTo: plain.defaultStartLog, word: "restart", seconds: 60)).suffix(4) == ["-t", "60", "-m", "fast"])
    }

    @Test("stop", arguments: StopMode.allCases)
    func stop(mode: StopMode) throws {
        let plain = try Self.instance(.pgCtl).stopCommand(mode: mode, seconds: 30)
        #expect(plain.words == ["/usr/lib/postgresql/15/bin/pg_ctl", "stop", "-D", "/srv/my data", "-m", mode.rawValue, "-w", "-t", "30"])
        #expect(plain.user == "postgres")
        let debian = try Self.instance(.pgCtlCluster(version: "15", cluster: "main")).stopCommand(mode: mode, seconds: 30)
        #expect(debian.words == ["pg_ctlcluster", "--skip-systemctl-redirect", "-m", mode.rawValue, "15", "main", "stop", "--", "-t", "30"])
        let unit = try Self.instance(.systemd(unit: "pg.service")).stopCommand(mode: mode, seconds: 30)
        #expect(unit.user == "root")
        if mode == .fast {
            #expect(unit.words == ["systemctl", "stop", "--", "pg.service"])
        } else {
            #expect(unit.words.suffix(2) == ["pg.service", mode == .smart ? "SIGTERM" : "SIGQUIT"])
        }
    }
}
