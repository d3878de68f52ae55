import Playbook
import Report
import Testing

@Suite struct `An add-spock-node playbook` {
    @Test func `of required keys only takes the documented defaults`() throws {
        let plan = try Examples.addSpockNode(Examples.shortest)
        #expect(plan.cluster.osUser == "postgres")
        #expect(plan.cluster.nodes.map(\.name) == ["n1", "n2"])
        #expect(plan.source.name == "n1")
        #expect(plan.source.ssh == "n1")
        #expect(plan.source.port == 5432)
        #expect(plan.source.dataDirectory == nil)
        #expect(plan.source.binDirectory == nil)
        #expect(plan.source.service == nil)
        #expect(plan.peers.map(\.name) == ["n2"])
        #expect(plan.newNode.node.ssh == "n4")
        #expect(plan.newNode.dataDirectory == "/data/n4")
        #expect(plan.newNode.dsn == nil)
        #expect(!plan.newNode.trustOverNetwork)
        #expect(plan.copy.backRest?.stanza == "app")
        #expect(plan.copy.backRest?.backup == .full)
        #expect(plan.copy.backRest?.compression == .lz4)
        #expect(plan.copy.backRest?.processMax == .some(nil))
        #expect(plan.copy.stallLimit == .seconds(300))
        #expect(plan.newNode.tablespaces == [:])
        #expect(plan.handover.mode == .readOnly)
        #expect(plan.handover.window.catchUpLag == ByteCount(bytes: 16 * 1024 * 1024))
        #expect(plan.handover.window.transactionGrace == .milliseconds(500))
        #expect(plan.handover.window.limit == .seconds(30))
        #expect(plan.subscriptions.name == nil)
        #expect(plan.proof == .hashes)
        guard case .shared(let directory) = plan.copy.backRest?.repository else {
            Issue.record("not a shared repository")
            return
        }
        #expect(directory.wrappedValue == "/mnt/backup")
    }

    private static let copy = "copy:\n  repository:\n    shared: /mnt/backup\n  replication_user: replicator\n"

    @Test(arguments: [
        ("copy: existing-standby\n", Duration.seconds(300), nil), ("copy:\n  method: existing-standby\n", .seconds(300), nil),
        ("copy:\n  method: existing-standby\n  stall_limit: 90s\n  replication_user: streamer\n", .seconds(90), "streamer"),
    ]) func `takes a standby that is there`(_ copy: String, _ limit: Duration, _ user: String?) throws {
        let plan = try Examples.addSpockNode(Examples.shortest.replacing(Self.copy, with: copy))
        guard case .existingStandby = plan.copy.method else { throw OtherProcedure() }
        #expect(plan.copy.backRest == nil && plan.copy.stallLimit == limit && plan.copy.replicationUser == user)
    }

    @Test(arguments: [
        ("copy: existing_standby\n", "expected existing-standby, or the keys of a copy below it"), ("copy:\n  method: standby\n", "expected pgbackrest or existing-standby"),
        ("copy:\n  method: existing-standby\n  stanza: app\n", "unknown key \"stanza\""),
        ("copy:\n  method: pgbackrest\n  repository: existing\n", "\"replication_user\" is missing"),
    ]) func `names what is wrong with how the data gets there`(_ copy: String, _ words: String) {
        let report = Examples.report(Examples.shortest.replacing(Self.copy, with: copy))
        #expect(report.contains(words), "\(report)")
    }

    @Test func `moves no tablespaces of a standby that is there`() {
        let text = Examples.shortest.replacing(Self.copy, with: "copy: existing-standby\n")
            .replacing("  data_directory: /data/n4\n", with: "  data_directory: /data/n4\n  tablespaces:\n    fast: /srv/fast\n")
        #expect(Examples.report(text).contains("an existing standby has its tablespaces already"), "\(Examples.report(text))")
    }

    @Test func `says whether the new node may trust over the network`() throws {
        let text = Examples.longest.replacing("  service: pg_ctlcluster\n", with: "  service: pg_ctlcluster\n  trust_over_network: true\n")
        #expect(try Examples.addSpockNode(text).newNode.trustOverNetwork)
        #expect(!Examples.mistakes(text.replacing("trust_over_network: true", with: "trust_over_network: \"\"")).isEmpty)
    }

    @Test func `takes every key as it is given`() throws {
        let plan = try Examples.addSpockNode(Examples.longest)
        #expect(plan.cluster.name == "shop-1")
        #expect(plan.cluster.database == "shop")
        #expect(plan.cluster.user == "admin")
        #expect(plan.cluster.osUser == "pg")
        #expect(plan.sourceName == "n2")
        #expect(plan.source.name == "n2")
        let first = try #require(plan.cluster["n1"])
        #expect(first.ssh == "root@10.0.0.1:2222")
        #expect(first.address == "db1.example")
        #expect(first.port == 5433)
        #expect(first.dataDirectory == "/data/n1")
        #expect(first.binDirectory == "/opt/pg/bin")
        #expect(first.service == .systemd(unit: "postgresql@15-main"))
        #expect(plan.source.service == .pgCtl)
        #expect(plan.newNode.node.name == "n3")
        #expect(plan.newNode.node.address == "2001:db8::3")
        #expect(plan.newNode.node.dataDirectory == "/data/n3")
        #expect(plan.newNode.node.service == .pgCtlCluster)
        #expect(plan.newNode.dsn == "host=db3.example dbname=shop user=admin passfile=/etc/pgpass")
        #expect(plan.copy.backRest?.stanza == "Shop.1")
        #expect(plan.copy.backRest?.backup == .set("20260131-104500F_20260201-104500I"))
        #expect(plan.copy.backRest?.compression == .zst)
        #expect(plan.copy.backRest?.processMax == 8)
        #expect(plan.copy.replicationUser == "streamer")
        #expect(plan.handover.window.catchUpLag == ByteCount(bytes: 1 << 30))
        #expect(plan.handover.window.transactionGrace == .zero)
        #expect(plan.handover.window.limit == .seconds(120))
        #expect(plan.subscriptions.name?.name(provider: "n1", subscriber: "n3") == "n3_from_n1")
        #expect(plan.proof == .counts)
        guard case .host(let host) = plan.copy.backRest?.repository else {
            Issue.record("not a repository host")
            return
        }
        #expect(host.ssh == "backup@repo")
        #expect(host.address == "repo.example")
        #expect(host.path == "/backup")
        #expect(host.user == "keeper")
    }

    @Test func `takes the repository where the source has it`() throws {
        let text = Examples.longest.replacing(
            "  repository:\n    host: backup@repo\n    address: repo.example\n    path: /backup\n    user: keeper\n", with: "  repository: existing\n")
        guard case .existing = try Examples.addSpockNode(text).copy.backRest?.repository else {
            Issue.record("not where it is")
            return
        }
    }

    @Test func `says where tablespaces go, and how long what stands still is waited for`() throws {
        let text = Examples.longest.replacing("  process_max: 8\n", with: "  process_max: 8\n  stall_limit: 90s\n")
            .replacing("  dsn: host=db3", with: "  tablespaces:\n    Fast one: /srv/fast/\n    /srv/slow: /srv/n3/slow\n  dsn: host=db3")
        let plan = try Examples.addSpockNode(text)
        #expect(plan.copy.stallLimit == .seconds(90))
        #expect(plan.newNode.tablespaces == ["Fast one": "/srv/fast", "/srv/slow": "/srv/n3/slow"])
        let wrong = Examples.mistakes(text.replacing("/srv/n3/slow", with: "slow").replacing("90s", with: "1s"))
        #expect(
            wrong.map { String($0.description.prefix { $0 != "\n" }) } == [
                "p.yaml:29:16: error: new_node.tablespaces./srv/slow: expected an absolute path, found \"slow\"",
                "p.yaml:41:16: error: copy.stall_limit: 1s is out of range",
            ])
    }

    @Test func `gives a repository host the cluster's OS user, and what the source's pgBackRest knows of it`() throws {
        let text = Examples.longest.replacing("    address: repo.example\n    path: /backup\n", with: "").replacing("    user: keeper\n", with: "")
        guard case .host(let host) = try Examples.addSpockNode(text).copy.backRest?.repository else {
            Issue.record("not a repository host")
            return
        }
        #expect(host.user == "pg")
        #expect(host.address == nil)
        #expect(host.path == nil)
    }

    @Test func `may be for a cluster of one node`() throws {
        let plan = try Examples.addSpockNode(Examples.shortest.replacing("    n2:\n      address: 10.77.0.12\n", with: ""))
        #expect(plan.peers.isEmpty)
    }

    @Test func `remembers where its values stand`() throws {
        let plan = try Examples.addSpockNode(Examples.shortest)
        #expect(plan.newNode.$dataDirectory.place.description == "p.yaml:15:19")
        #expect(plan.newNode.$dataDirectory.place.path == "new_node.data_directory")
        #expect(plan.source.$address.place.description == "p.yaml:8:16")
        #expect(plan.source.$address.place.path == "cluster.nodes.n1.address")
    }

    @Test func `gives a value it takes by default the place of the section it would stand in`() throws {
        let plan = try Examples.addSpockNode(Examples.shortest)
        #expect(plan.source.$port.place.description == "p.yaml:7:5")
        #expect(plan.source.$port.place.path == "cluster.nodes.n1.port")
        #expect(plan.handover.window.$limit.place.description == "p.yaml:20:1")
        #expect(plan.$proof.place.path == "proof")
        #expect(plan.source.$ssh.place.description == "p.yaml:7:5")
    }

    @Test(arguments: ["yes", "no", "on", "off", "true", "1234", "1e3", "010", "0x1F", "2026-01-31", "12:30:45", "=", "null_"])
    func `takes a name for what it says, whatever YAML would make of it`(name: String) throws {
        let text = Examples.shortest.replacing("n1", with: name).replacing("database: app", with: "database: \(name)")
            .replacing("      address: 10.77.0.11", with: "      address: 10.77.0.11\n      ssh: host1")
        let plan = try Examples.addSpockNode(text)
        #expect(plan.source.name == name)
        #expect(plan.cluster.database == name)
    }

    @Test(arguments: ["5432", "\"5432\"", "'5432'"])
    func `takes a port with and without quotes`(port: String) throws {
        let text = Examples.shortest.replacing("address: 10.77.0.11", with: "{address: 10.77.0.11, port: \(port)}")
            .replacing("n1:\n      {", with: "n1: {")
        #expect(try Examples.addSpockNode(text).source.port == 5432)
    }

    @Test func `is the same with a byte order mark, Windows line ends and a document marker`() throws {
        let text = "\u{FEFF}---\r\n" + Examples.shortest.split(separator: "\n").joined(separator: "\r\n") + "\r\n...\r\n"
        let plan = try Examples.addSpockNode(text)
        #expect(plan.$sourceName.place.description == "p.yaml:12:9")
    }

    @Test func `may have an optional section whose lines are all commented out`() throws {
        let plan = try Examples.addSpockNode(Examples.shortest + "subscriptions:\n  # name: x\n")
        #expect(plan.subscriptions.name == nil)
    }
}
