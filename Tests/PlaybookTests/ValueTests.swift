import Playbook
import Testing

/// A line of ``Examples/longest``, what it is replaced by, and what an operator is told then.
struct Mistake: Sendable, CustomTestStringConvertible {
    let old: String
    let new: String
    let report: String

    init(_ old: String, _ new: String, _ report: String) { (self.old, self.new, self.report) = (old, new, report) }

    var testDescription: String { report.prefix { $0 != "\n" }.description }

    func check(in text: String = Examples.longest) {
        #expect(text.contains(old))
        #expect(Examples.report(text.replacing(old, with: new, maxReplacements: 1)) == report)
    }
}

@Suite struct `A value that is wrong` {
    @Test(arguments: [
        Mistake(
            "  name: shop-1", "  name: Shop 1",
            """
            p.yaml:3:9: error: cluster.name: expected a name of lower-case letters, digits, _ and -, beginning with a letter or digit, found "Shop 1"
              name: Shop 1
                    ^
            """),
        Mistake(
            "  name: shop-1", "  name: -x",
            """
            p.yaml:3:9: error: cluster.name: expected a name of lower-case letters, digits, _ and -, beginning with a letter or digit, found "-x"
              name: -x
                    ^
            """),
        Mistake(
            "  os_user: pg", "  os_user: -pg",
            """
            p.yaml:6:12: error: cluster.os_user: expected the name of an OS user, found "-pg"
              os_user: -pg
                       ^
            """),
        Mistake(
            "database: shop", "database:",
            """
            p.yaml:4:3: error: cluster.database: has no value
              database:
              ^
              HINT: give it a value, or take the line out
            """),
        Mistake(
            "database: shop", "database: ~",
            """
            p.yaml:4:3: error: cluster.database: has no value
              database: ~
              ^
              HINT: give it a value, or take the line out
            """),
        Mistake(
            "database: shop", "database: \"\"",
            """
            p.yaml:4:13: error: cluster.database: expected a database name of 1 to 63 bytes, found ""
              database: ""
                        ^
            """),
        Mistake(
            "database: shop", "database: [shop]",
            """
            p.yaml:4:13: error: cluster.database: expected a database name of 1 to 63 bytes, found a list
              database: [shop]
                        ^
            """),
        Mistake(
            "database: shop", "database: {name: shop}",
            """
            p.yaml:4:13: error: cluster.database: expected a database name of 1 to 63 bytes, found keys and values
              database: {name: shop}
                        ^
            """),
        Mistake(
            "database: shop", "database: \"shop\\nx\"",
            """
            p.yaml:4:13: error: cluster.database: the value holds a line break or a control character
              database: "shop\\nx"
                        ^
              HINT: write it in one line
            """),
        Mistake(
            "user: admin", "user: äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäö",
            """
            p.yaml:5:9: error: cluster.user: expected a role name of 1 to 63 bytes, found "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäö"
              user: äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäö
                    ^
            """),
        Mistake(
            "ssh: root@10.0.0.1:2222", "ssh: -oProxyCommand=x",
            """
            p.yaml:9:12: error: cluster.nodes.n1.ssh: expected an SSH host, or user@host:port, found "-oProxyCommand=x"
                  ssh: -oProxyCommand=x
                       ^
            """),
        Mistake(
            "ssh: root@10.0.0.1:2222", "ssh: root@10.0.0.1:0",
            """
            p.yaml:9:12: error: cluster.nodes.n1.ssh: expected an SSH host, or user@host:port, found "root@10.0.0.1:0"
                  ssh: root@10.0.0.1:0
                       ^
            """),
        Mistake(
            "address: db1.example", "address: db1.example:5433",
            """
            p.yaml:10:16: error: cluster.nodes.n1.address: expected a host name or an IP address, found "db1.example:5433"
                  address: db1.example:5433
                           ^
              HINT: the port stands in its own line: `port: 5432`
            """),
        Mistake(
            "port: 5433", "port: 70000",
            """
            p.yaml:11:13: error: cluster.nodes.n1.port: expected a port from 1 to 65535, found "70000"
                  port: 70000
                        ^
            """),
        Mistake(
            "data_directory: /data/n1/", "data_directory: data/n1",
            """
            p.yaml:12:23: error: cluster.nodes.n1.data_directory: expected an absolute path, found "data/n1"
                  data_directory: data/n1
                                  ^
            """),
        Mistake(
            "data_directory: /data/n1/", "data_directory: /data/../n1",
            """
            p.yaml:12:23: error: cluster.nodes.n1.data_directory: expected an absolute path, found "/data/../n1"
                  data_directory: /data/../n1
                                  ^
            """),
        Mistake(
            "service: pg_ctlcluster", "service: pg_ctlclutser",
            """
            p.yaml:26:12: error: new_node.service: expected pg_ctl, pg_ctlcluster or systemd:UNIT, found "pg_ctlclutser"
              service: pg_ctlclutser
                       ^
              HINT: did you mean "pg_ctlcluster"?
            """),
        Mistake(
            "service: pg_ctlcluster", "service: systemd",
            """
            p.yaml:26:12: error: new_node.service: expected pg_ctl, pg_ctlcluster or systemd:UNIT, found "systemd"
              service: systemd
                       ^
              HINT: did you mean "systemd:UNIT"?
            """),
        Mistake(
            "dsn: host=db3.example dbname=shop user=admin passfile=/etc/pgpass", "dsn: db3.example",
            """
            p.yaml:27:8: error: new_node.dsn: expected a connection string such as "host=10.77.0.14 port=5432 dbname=app user=spock_admin", found "db3.example"
              dsn: db3.example
                   ^
            """),
        Mistake(
            "stanza: Shop.1", "stanza: --shop",
            """
            p.yaml:29:11: error: copy.stanza: expected a stanza name of letters, digits, . _ and -, beginning with a letter or digit, found "--shop"
              stanza: --shop
                      ^
            """),
        Mistake(
            "20260131-104500F_20260201-104500I", "latest",
            """
            p.yaml:35:11: error: copy.backup: expected full, newest or the label of a backup set such as 20260131-104500F, found "latest"
              backup: latest
                      ^
            """),
        Mistake(
            "20260131-104500F_20260201-104500I", "newst",
            """
            p.yaml:35:11: error: copy.backup: expected full, newest or the label of a backup set such as 20260131-104500F, found "newst"
              backup: newst
                      ^
              HINT: did you mean "newest"?
            """),
        Mistake(
            "compression: zst", "compression: zstd",
            """
            p.yaml:36:16: error: copy.compression: expected lz4, zst or none, found "zstd"
              compression: zstd
                           ^
              HINT: did you mean "zst"?
            """),
        Mistake(
            "process_max: 8", "process_max: 0",
            """
            p.yaml:37:16: error: copy.process_max: expected a number from 1 to 999, found "0"
              process_max: 0
                           ^
            """),
        Mistake(
            "  mode: read-only", "  mode: live",
            """
            p.yaml:43:3: error: handover.window_limit: only for the mode read-only: in the mode live nothing is closed
              window_limit: 2min
              ^
              HINT: leave it out
            """),
        Mistake(
            "  mode: read-only", "  mode: read-only\n  open: at-once",
            """
            p.yaml:41:9: error: handover.open: expected after-proof or after-join, found "at-once"
              open: at-once
                    ^
            """),
        Mistake(
            "  mode: read-only", "  mode: read-only\n  wal_fuse: 100",
            """
            p.yaml:41:13: error: handover.wal_fuse: expected a number from 1 to 90, found "100"
              wal_fuse: 100
                        ^
            """),
        Mistake(
            "mode: read-only", "mode: readonly",
            """
            p.yaml:40:9: error: handover.mode: expected read-only or live, found "readonly"
              mode: readonly
                    ^
              HINT: did you mean "read-only"?
            """),
        Mistake(
            "catch_up_lag: 1GiB", "catch_up_lag: 16",
            """
            p.yaml:41:17: error: handover.catch_up_lag: expected a number of bytes such as 16MB, found "16"
              catch_up_lag: 16
                            ^
              HINT: the units are kB, MB, GB and TB, as in postgresql.conf
            """),
        Mistake(
            "window_limit: 2min", "window_limit: 30",
            """
            p.yaml:43:17: error: handover.window_limit: expected a duration such as 500ms, 30s or 5min, found "30"
              window_limit: 30
                            ^
              HINT: the units are ms, s, min and h
            """),
        Mistake(
            "window_limit: 2min", "window_limit: 2h",
            """
            p.yaml:43:17: error: handover.window_limit: 2h is out of range
              window_limit: 2h
                            ^
              HINT: from 1s to 1h
            """),
        Mistake(
            "{subscriber}_from_{provider}", "sub_{provider}",
            """
            p.yaml:45:9: error: subscriptions.name: expected a pattern that holds {provider} and {subscriber} once each, found "sub_{provider}"
              name: "sub_{provider}"
                    ^
            """),
        Mistake(
            "proof: counts", "proof: no",
            """
            p.yaml:46:8: error: proof: expected hashes or counts, found "no"
            proof: no
                   ^
            """),
    ])
    func `is shown with its place, and with what is expected`(mistake: Mistake) { mistake.check() }

    @Test(arguments: ["0", "65536", "-1", "+5432", "05432", "5_432", "0x1538", "5432.0", "90:32", "5 432", "99999999999999999999", "٥٤٣٢"])
    func `is any port that is not a plain number from 1 to 65535`(port: String) {
        let mistakes = Examples.mistakes(Examples.longest.replacing("port: 5433", with: "port: \(port)"))
        #expect(mistakes.map(\.problem) == [.unexpected(expected: "a port from 1 to 65535", found: "\"\(port)\"", hint: nil)])
    }

    @Test(arguments: ["10ms ", "s", "1.5s", "-1s", "1S", "1m", "1 fortnight", "1000000001ms", "9999999999999999999h", ""])
    func `is any duration without a whole number and a known unit`(text: String) {
        let mistakes = Examples.mistakes(Examples.longest.replacing("transaction_grace: 0ms", with: "transaction_grace: \"\(text)\""))
        #expect(mistakes.map(\.place?.path) == ["handover.transaction_grace"])
    }

    @Test(arguments: [
        "password=hunter2 host=db3", "host=db3 password = 'hunter2'", "host=db3 sslpassword=hunter2", "postgresql://admin:hunter2@db3/shop",
        "postgresql://db3/shop?password=hunter2",
    ])
    func `is a connection string with a password, and the password is not shown`(dsn: String) throws {
        let text = Examples.longest.replacing("host=db3.example dbname=shop user=admin passfile=/etc/pgpass", with: "\"\(dsn)\"")
        let mistake = try #require(Examples.mistakes(text).first)
        #expect(mistake.problem.fact == "a password does not belong in a playbook")
        #expect(mistake.place?.description == "p.yaml:27:8")
        #expect(!"\(mistake)".contains("hunter2"))
        #expect("\(mistake)".contains("‹redacted›"))
    }

    @Test(arguments: [
        "host=db3 dbname=compass user=admin", "postgresql://admin@db3:5432/shop?sslmode=require", "host=db3 passfile=/etc/password",
    ])
    func `is not a connection string that only looks as if it held a password`(dsn: String) throws {
        let text = Examples.longest.replacing("host=db3.example dbname=shop user=admin passfile=/etc/pgpass", with: dsn)
        #expect(try Examples.addSpockNode(text).newNode.dsn == dsn)
    }

    @Test func `is shown without the password that may stand in it`() {
        let text = Examples.longest.replacing("address: db1.example", with: "address: \"host=db1 password=hunter2\"")
        #expect(
            Examples.report(text) == """
                p.yaml:10:16: error: cluster.nodes.n1.address: expected a host name or an IP address, found "host=db1 password=‹redacted›"
                      address: "host=db1 password=‹redacted›
                               ^
                  HINT: the port stands in its own line: `port: 5432`
                """)
    }

    @Test func `is cut when it is long`() {
        let text = Examples.longest.replacing("port: 5433", with: "port: \(String(repeating: "9", count: 500))")
        #expect(
            Examples.report(text) == """
                p.yaml:11:13: error: cluster.nodes.n1.port: expected a port from 1 to 65535, found "\(String(repeating: "9", count: 60))…"
                      port: \(String(repeating: "9", count: 148))
                            ^
                """)
    }
}

@Suite struct `A number of bytes` {
    @Test(
        arguments: [
            ("0B", 0), ("1kB", 1024), ("1KiB", 1024), ("16MB", 16 << 20), ("16 MB", 16 << 20), ("1GiB", 1 << 30), ("2TB", 2 << 40),
        ] as [(String, Int64)])
    func `is read as PostgreSQL reads it`(text: String, bytes: Int64) { #expect(ByteCount(text)?.bytes == bytes) }

    @Test(arguments: ["", "16", "MB", "1.5GB", "-1MB", "16mb", "16M", "16MB/s", "9999999999TB", "99999999999999999999B"])
    func `is not read from`(text: String) { #expect(ByteCount(text) == nil) }

    @Test(arguments: ["0B", "1023B", "1kB", "1025B", "16MB", "3GB", "1024TB"])
    func `is written in the largest unit without a fraction`(text: String) { #expect(ByteCount(text)?.description == text) }
}

@Suite struct `A pattern of subscription names` {
    @Test func `puts the nodes in, whatever they are called`() throws {
        let pattern = try #require(Playbook.AddSpockNode.SubscriptionNames("sub_{provider}_{subscriber}"))
        #expect(pattern.name(provider: "n1", subscriber: "n4") == "sub_n1_n4")
        #expect(pattern.name(provider: "{subscriber}", subscriber: "{provider}") == "sub_{subscriber}_{provider}")
    }

    @Test(arguments: ["", "sub", "{provider}", "{provider}{provider}{subscriber}", "{provider}_{subscriber}_{node}", "{subsc{provider}riber}", "{provider}_{subscriber"])
    func `is refused`(pattern: String) { #expect(Playbook.AddSpockNode.SubscriptionNames(pattern) == nil) }
}
