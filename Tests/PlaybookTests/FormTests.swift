import Playbook
import Testing

@Suite struct `A playbook of the wrong form` {
    @Test(arguments: [
        Mistake(
            "database: shop", "databse: shop",
            """
            p.yaml:4:3: error: cluster: unknown key "databse"
              databse: shop
              ^
              HINT: did you mean "database"?
            """),
        Mistake(
            "os_user: pg", "OS-User: pg",
            """
            p.yaml:6:3: error: cluster: unknown key "OS-User"
              OS-User: pg
              ^
              HINT: did you mean "os_user"?
            """),
        Mistake(
            "data_directory: /data/n1/", "data_dir: /data/n1/",
            """
            p.yaml:12:7: error: cluster.nodes.n1: unknown key "data_dir"
                  data_dir: /data/n1/
                  ^
              HINT: did you mean "data_directory"?
            """),
        Mistake(
            "proof: counts", "proof: counts\nwindow_limit: 3s",
            """
            p.yaml:47:1: error: unknown key "window_limit"
            window_limit: 3s
            ^
              HINT: it belongs under "handover"; look at the indentation
            """),
        Mistake(
            "  replication_user: streamer", "  replication_user: streamer\n  source: n2",
            """
            p.yaml:39:3: error: copy: unknown key "source"
              source: n2
              ^
              HINT: it belongs at the top of the file, without indentation
            """),
        Mistake(
            "proof: counts", "proof: counts\nqueue: 1",
            """
            p.yaml:47:1: error: unknown key "queue"
            queue: 1
            ^
              HINT: known here: procedure, cluster, source, new_node, copy, handover, subscriptions, proof, proof_sample_above
            """),
        Mistake(
            "user: admin", "user: admin\n  password: hunter2",
            """
            p.yaml:6:3: error: cluster: unknown key "password"
              password: ‹redacted›
              ^
              HINT: a playbook holds no passwords; they come from .pgpass, PGPASSWORD or a prompt
            """),
        Mistake(
            "source: n2", "source: n2\nsource: n1",
            """
            p.yaml:19:1: error: "source" is given twice, first in line 18
            source: n1
            ^
              HINT: keep one of the two
            """),
        Mistake(
            "port: 5433", "port: 5433\n      \"port\": 5433",
            """
            p.yaml:12:7: error: cluster.nodes.n1: "port" is given twice, first in line 11
                  "port": 5433
                  ^
              HINT: keep one of the two
            """),
        Mistake(
            "source: n2", "source: &s n2",
            """
            p.yaml:18:9: error: anchors (&name) and aliases (*name) are not supported
            source: &s n2
                    ^
              HINT: write the value out where it is used
            """),
        Mistake(
            "n2:\n      address: db2.example", "n2: &a\n      address: db2.example\n    n4: *a\n    n5:\n      <<: *a",
            """
            p.yaml:15:9: error: anchors (&name) and aliases (*name) are not supported
                n2: &a
                    ^
              HINT: write the value out where it is used

            p.yaml:19:7: error: cluster.nodes.n5: merge keys (<<) are not supported
                  <<: *a
                  ^
              HINT: write the value out where it is used
            """),
        Mistake(
            "user: admin", "user: *admin",
            """
            p.yaml:5:9: error: not valid YAML: found undefined alias
              user: *admin
                    ^
              HINT: a value that begins with * must be in quotes
            """),
        Mistake(
            "port: 5433", "port: !!int 5433",
            """
            p.yaml:11:13: error: cluster.nodes.n1.port: tags (!!int) are not supported
                  port: !!int 5433
                        ^
              HINT: leave the tag out: the key decides what its value is
            """),
        Mistake(
            "proof: counts", "? [proof]\n: counts",
            """
            p.yaml:46:3: error: a key must be a single word
            ? [proof]
              ^
              HINT: write `key: value`; put a text with special characters in quotes
            """),
        Mistake(
            "  database: shop", "\tdatabase: shop",
            """
            p.yaml:4:1: error: not valid YAML: found a tab character that violates indentation while scanning a plain scalar that begins in line 3
            \tdatabase: shop
            ^
              HINT: YAML indents with spaces; this line begins with a tab
            """),
        Mistake(
            "  name: shop-1", "\tname: shop-1",
            """
            p.yaml:3:1: error: not valid YAML: found character that cannot start any token while scanning for the next token
            \tname: shop-1
            ^
              HINT: YAML indents with spaces; this line begins with a tab
            """),
        Mistake(
            "  database: shop", "   database: shop",
            """
            p.yaml:4:12: error: not valid YAML: mapping values are not allowed in this context
               database: shop
                       ^
              HINT: check the indentation; a value that holds ": " must be in quotes
            """),
        Mistake(
            "  database: shop", " database: shop",
            """
            p.yaml:4:2: error: not valid YAML: did not find expected key while parsing a block mapping that begins in line 1
             database: shop
             ^
              HINT: check the indentation: keys of one section begin in the same column
            """),
        Mistake(
            "database: shop", "database:shop",
            """
            p.yaml:5:3: error: not valid YAML: could not find expected ':' while scanning a simple key that begins in line 4
              user: admin
              ^
              HINT: write `key: value`, with a space after the colon
            """),
        Mistake(
            "database: shop", "database: \"shop",
            """
            p.yaml:22:13: error: not valid YAML: did not find expected key while parsing a block mapping that begins in line 3
              address: "2001:db8::3"
                        ^
              HINT: check the indentation: keys of one section begin in the same column
            """),
        Mistake(
            "proof: counts", "proof: 'counts",
            """
            p.yaml:46:8: error: not valid YAML: a quote is not closed
            proof: 'counts
                   ^
            """),
        Mistake(
            "\"{subscriber}_from_{provider}\"", "{subscriber}_from_{provider}",
            """
            p.yaml:45:21: error: not valid YAML: did not find expected key while parsing a block mapping
              name: {subscriber}_from_{provider}
                                ^
              HINT: a value that begins with { must be in quotes
            """),
        Mistake(
            "user: admin", "user: @admin",
            """
            p.yaml:5:9: error: not valid YAML: found character that cannot start any token while scanning for the next token
              user: @admin
                    ^
              HINT: put the value in quotes
            """),
        Mistake(
            "proof: counts", "proof: counts\n---\nproof: counts",
            """
            p.yaml:47:1: error: a second document begins here
            ---
            ^
              HINT: one file holds one playbook: put the second into a file of its own
            """),
        Mistake(
            "user: admin", "user: \u{1B}[31madmin",
            """
            p.yaml:5:9: error: the control character U+001B is not allowed
              user: \u{FFFD}[31madmin
                    ^
              HINT: take it out; YAML is plain text
            """),
        Mistake(
            "new_node:\n", "new_node: n3\nx:\n",
            """
            p.yaml:19:11: error: new_node: expected the keys name, data_directory, ssh, address, port, bin_directory, service, dsn, trust_over_network, tablespaces, found "n3"
            new_node: n3
                      ^
              HINT: write them below it, indented

            p.yaml:20:1: error: unknown key "x"
            x:
            ^
              HINT: known here: procedure, cluster, source, new_node, copy, handover, subscriptions, proof, proof_sample_above
            """),
        Mistake(
            "procedure: add-spock-node", "procedure: add-spok-node",
            """
            p.yaml:1:12: error: procedure: expected \(Examples.procedures), found "add-spok-node"
            procedure: add-spok-node
                       ^
              HINT: did you mean "add-spock-node"?
            """),
        Mistake(
            "procedure: add-spock-node\n", "",
            """
            p.yaml:1:1: error: "procedure" is missing
            cluster:
            ^
              HINT: add `procedure: add-spock-node`
            """),
        Mistake(
            "procedure: add-spock-node", "procedure: fly",
            """
            p.yaml:1:12: error: procedure: expected \(Examples.procedures), found "fly"
            procedure: fly
                       ^
            """),
    ])
    func `says where, what and how to put it right`(mistake: Mistake) { mistake.check() }

    @Test(arguments: [
        ("", "p.yaml: error: the playbook is empty\n  HINT: begin with one of the shipped playbooks, for example playbooks/spock-add-node.yaml"),
        ("# later\n", "p.yaml: error: the playbook is empty\n  HINT: begin with one of the shipped playbooks, for example playbooks/spock-add-node.yaml"),
        ("- a\n", "p.yaml:1:1: error: expected keys and values, found a list\n- a\n^\n  HINT: a playbook begins with `procedure: add-spock-node`"),
        ("hello", "p.yaml:1:1: error: expected keys and values, found \"hello\"\nhello\n^\n  HINT: a playbook begins with `procedure: add-spock-node`"),
        ("a: [b\n", "p.yaml:2:1: error: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence that begins in line 1\n  HINT: a bracket is not closed"),
    ])
    func `is refused as a whole`(text: String, report: String) { #expect(Examples.report(text) == report) }

    @Test(arguments: [
        "password: hunter2", "superuser_password: hunter2", "\"Password\" : hunter2", "PGPASSWORD: \"hunter2\"", "client-secret: hunter2",
        "pwd: hunter2", "url: postgresql://admin:hunter2@db/app", "url: 'x://a@b:hunter2@c'", "x: {a: 1, password: hunter2}",
        "x: host=db passfile=/f password=hunter2", "passwort: hunter2", "password_n1: hunter2", "secret_id: hunter2", "passwrd: hunter2",
    ])
    func `never shows what may be a password`(line: String) {
        let report = Examples.report(Examples.shortest + line + "\n")
        #expect(report.contains("‹redacted›"))
        #expect(!report.contains("hunter2"))
    }

    @Test(arguments: ["passfile: /etc/pgpass", "url: postgresql://admin@db:5432/app", "x: a b c=d"])
    func `shows a line without a password as it is`(line: String) {
        #expect(Examples.report(Examples.shortest + line + "\n").contains("\n\(line)\n^"))
    }

    @Test func `may not list its nodes`() {
        let text = Examples.shortest.replacing(
            "    n1:\n      address: 10.77.0.11\n    n2:\n      address: 10.77.0.12\n", with: "    - n1\n    - n2\n")
        #expect(
            Examples.report(text) == """
                p.yaml:7:5: error: cluster.nodes: expected names, each with keys below, found a list
                    - n1
                    ^
                  HINT: write `n1: {address: 10.77.0.11}` below it
                """)
    }

    @Test func `may not call a node longer than PostgreSQL's names are`() {
        let name = String(repeating: "n", count: 64)
        let mistakes = Examples.mistakes(Examples.shortest.replacing("n2:", with: "\(name):"))
        #expect(mistakes.map(\.place?.path) == ["cluster.nodes.\(name)"])
        #expect(
            mistakes.map(\.problem) == [
                .unexpected(expected: "a node name of 1 to 63 bytes", found: "\"\(String(repeating: "n", count: 60))…\"", hint: nil)
            ])
    }

    @Test(arguments: ["[", "- ", "{a: ", "? "])
    func `may not be nested without end`(opening: String) {
        #expect(Examples.mistakes(String(repeating: opening, count: 20_000)).map(\.problem.fact) == ["not valid YAML: nested too deeply"])
    }

    @Test func `is told all missing keys of the top, with what belongs in them`() {
        #expect(
            Examples.mistakes("procedure: add-spock-node\n").map { "\($0.problem.fact); \($0.problem.hint ?? "")" } == [
                "\"cluster\" is missing; add the section `cluster:` with name, database, user, nodes",
                "\"source\" is missing; add `source: n1`",
                "\"new_node\" is missing; add the section `new_node:` with name, data_directory, address",
                "\"copy\" is missing; add the section `copy:` with repository, replication_user",
                "\"handover\" is missing; add the section `handover:` with mode",
            ])
    }

    @Test func `is told its repeated keys in every section, and the other mistakes too`() {
        let text = Examples.shortest.replacing("  name: app\n", with: "  name: app\n  name: b\n  'name': c\n")
            .replacing("source: n1", with: "source: n1\nsource: n2").replacing("mode: read-only", with: "mode: alive")
        #expect(
            Examples.mistakes(text).map { "\($0.place?.description ?? "") \($0.problem.fact)" } == [
                "p.yaml:4:3 \"name\" is given twice, first in line 3",
                "p.yaml:5:3 \"name\" is given twice, first in line 3",
                "p.yaml:14:1 \"source\" is given twice, first in line 13",
                "p.yaml:24:9 expected read-only or live, found \"alive\"",
            ])
    }

    @Test func `is not told of more than 50 mistakes at length`() throws {
        let text = "procedure: add-spock-node\n" + (1...200).map { "unknown\($0): 1\n" }.joined()
        let errors = try #require(throws: PlaybookErrors.self) { try Playbook.parse(text, name: "p.yaml") }
        #expect(errors.errors.count == 205)
        #expect(errors.description.hasSuffix("\n\np.yaml: error: 155 more errors, not shown"))
    }

    @Test func `is told facts and hints apart, and of several mistakes where each hint belongs`() throws {
        func errors(_ text: String) throws -> PlaybookErrors { try #require(throws: PlaybookErrors.self) { try Playbook.parse(text, name: "p.yaml") } }
        let one = try errors(Examples.shortest.replacing("source: n1", with: "source: n9"))
        #expect(one.fact.hasPrefix("p.yaml:11:9: error: ") && one.hint == "cluster.nodes has n1, n2")
        let two = try errors(Examples.shortest.replacing("source: n1", with: "source: n9").replacing("name: app", with: "name: [a]"))
        #expect(!two.fact.contains("HINT") && two.fact.contains("\n\np.yaml:"))
        #expect(two.hint == "p.yaml:11:9: cluster.nodes has n1, n2")
    }

    @Test func `is told of a key repeated hundreds of times before long`() {
        let mistakes = Examples.mistakes(String(repeating: "a: 1\n", count: 500))
        #expect(!mistakes.isEmpty)
        #expect(mistakes.allSatisfy { $0.problem.fact.hasPrefix("\"a\" is given twice") })
    }
}

@Suite struct `Several mistakes` {
    @Test func `are all reported at once, in the order of the file`() {
        let text = """
            procedure: add-spock-node
            cluster:
              nam: app
              database:
              user: [a]
              nodes:
                n1:
                  port: 70000
                  adress: a
                n2:
            source: n7
            new_node:
              name: n1
              address: 10.0.0.1
              data_directory: data
            copy:
              repository: {host: repo, shared: /x}
              compression: lz5
            handover:
              mode: lives
              catch_up_lag: 16
            stanza: x
            proof: hash

            """
        #expect(
            Examples.report(text) == """
                p.yaml:3:3: error: cluster: unknown key "nam"
                  nam: app
                  ^
                  HINT: did you mean "name"?

                p.yaml:4:3: error: cluster.database: has no value
                  database:
                  ^
                  HINT: give it a value, or take the line out

                p.yaml:5:9: error: cluster.user: expected a role name of 1 to 63 bytes, found a list
                  user: [a]
                        ^

                p.yaml:8:13: error: cluster.nodes.n1.port: expected a port from 1 to 65535, found "70000"
                      port: 70000
                            ^

                p.yaml:9:7: error: cluster.nodes.n1: unknown key "adress"
                      adress: a
                      ^
                  HINT: did you mean "address"?

                p.yaml:10:5: error: cluster.nodes.n2: "address" is missing
                    n2:
                    ^
                  HINT: add `address: 10.77.0.11`

                p.yaml:11:9: error: source: "n7" is none of cluster.nodes
                source: n7
                        ^
                  HINT: cluster.nodes has n1, n2

                p.yaml:13:9: error: new_node.name: "n1" is already one of cluster.nodes
                  name: n1
                        ^
                  HINT: cluster.nodes are the nodes there are; give the new one a name of its own

                p.yaml:15:19: error: new_node.data_directory: expected an absolute path, found "data"
                  data_directory: data
                                  ^

                p.yaml:16:1: error: copy: "replication_user" is missing
                copy:
                ^
                  HINT: add `replication_user: replicator`

                p.yaml:17:28: error: copy.repository.shared: a repository is in one place, and "host" is given already
                  repository: {host: repo, shared: /x}
                                           ^
                  HINT: keep one of `host` and `shared`

                p.yaml:18:16: error: copy.compression: expected lz4, zst or none, found "lz5"
                  compression: lz5
                               ^
                  HINT: did you mean "lz4"?

                p.yaml:20:9: error: handover.mode: expected read-only or live, found "lives"
                  mode: lives
                        ^
                  HINT: did you mean "live"?

                p.yaml:21:17: error: handover.catch_up_lag: expected a number of bytes such as 16MB, found "16"
                  catch_up_lag: 16
                                ^
                  HINT: the units are kB, MB, GB and TB, as in postgresql.conf

                p.yaml:22:1: error: unknown key "stanza"
                stanza: x
                ^
                  HINT: it belongs under "copy"; look at the indentation

                p.yaml:23:8: error: proof: expected hashes or counts, found "hash"
                proof: hash
                       ^
                  HINT: did you mean "hashes"?
                """)
    }
}
