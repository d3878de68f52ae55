import Playbook
import Testing

@Suite struct `An add-spock-node playbook whose parts do not fit` {
    @Test(arguments: [
        Mistake(
            "source: n2", "source: n3",
            """
            p.yaml:18:9: error: source: the source cannot be the new node
            source: n3
                    ^
              HINT: cluster.nodes has n1, n2
            """),
        Mistake(
            "source: n2", "source: N2",
            """
            p.yaml:18:9: error: source: "N2" is none of cluster.nodes
            source: N2
                    ^
              HINT: cluster.nodes has n1, n2
            """),
        Mistake(
            "name: n3", "name: n1",
            """
            p.yaml:20:9: error: new_node.name: "n1" is already one of cluster.nodes
              name: n1
                    ^
              HINT: cluster.nodes are the nodes there are; give the new one a name of its own
            """),
        Mistake(
            "address: db2.example", "address: DB1.example\n      port: 5433",
            """
            p.yaml:16:16: error: cluster.nodes.n2.address: DB1.example port 5433 is already node "n1"
                  address: DB1.example
                           ^
              HINT: every node has an address and port of its own
            """),
        Mistake(
            "address: \"2001:db8::3\"\n  port: 5434", "address: db2.example",
            """
            p.yaml:22:12: error: new_node.address: db2.example port 5432 is already node "n2"
              address: db2.example
                       ^
              HINT: every node has an address and port of its own
            """),
        Mistake(
            "  ssh: n3.example\n  address: \"2001:db8::3\"\n  port: 5434\n  data_directory: /data/n3",
            "  ssh: root@10.0.0.1:2222\n  address: db1.example\n  port: 5434\n  data_directory: /data/n1",
            """
            p.yaml:24:19: error: new_node.data_directory: /data/n1 on root@10.0.0.1:2222 is already the data directory of node "n1"
              data_directory: /data/n1
                              ^
              HINT: every node has a data directory of its own
            """),
        Mistake(
            "    n2:\n", "    \"node 2\":\n",
            """
            p.yaml:15:5: error: cluster.nodes.node 2.ssh: "node 2" cannot be the name of an SSH host
                "node 2":
                ^
              HINT: say how to reach it: `ssh: user@host`

            p.yaml:18:9: error: source: "n2" is none of cluster.nodes
            source: n2
                    ^
              HINT: cluster.nodes has n1, node 2
            """),
        Mistake(
            "    host: backup@repo\n    address: repo.example\n    path: /backup\n    user: keeper\n", "    path: /backup\n",
            """
            p.yaml:30:3: error: copy.repository: none of "host", "shared", "s3" and "tls" is given
              repository:
              ^
              HINT: add `host: repo` with its `address`, `shared: /mnt/backup`, or a section `s3:` or `tls:`; or write `repository: existing`
            """),
        Mistake(
            "    host: backup@repo\n", "    host: backup@repo\n    shared: /mnt/backup\n",
            """
            p.yaml:32:5: error: copy.repository.shared: a repository is in one place, and "host" is given already
                shared: /mnt/backup
                ^
              HINT: keep one of `host` and `shared`
            """),
        Mistake(
            "    host: backup@repo\n    address: repo.example\n", "    shared: /mnt/backup\n",
            """
            p.yaml:32:5: error: copy.repository.path: "path" is for a repository on a host
                path: /backup
                ^
              HINT: take it out: `shared` is the repository's directory

            p.yaml:33:5: error: copy.repository.user: "user" is for a repository on a host
                user: keeper
                ^
              HINT: take it out: `shared` is the repository's directory
            """),
        Mistake(
            "    host: backup@repo\n    address: repo.example\n    path: /backup\n    user: keeper\n",
            "    s3:\n      bucket: a/b\n      endpoint: https://store\n      uri_style: paht\n      credentials: environment\n      profile: backup\n    path: /backup\n",
            """
            p.yaml:31:5: error: copy.repository.s3: "region" is missing
                s3:
                ^
              HINT: add `region: eu-central-1`

            p.yaml:32:15: error: copy.repository.s3.bucket: expected the name of a bucket, found "a/b"
                  bucket: a/b
                          ^
              HINT: the path in it stands in its own line: `path: /pgbackrest`

            p.yaml:33:17: error: copy.repository.s3.endpoint: expected the host name of an object store, found "https://store"
                  endpoint: https://store
                            ^
              HINT: without https://; the port stands in its own line: `port: 443`

            p.yaml:34:18: error: copy.repository.s3.uri_style: expected host or path, found "paht"
                  uri_style: paht
                             ^
              HINT: did you mean "path"?

            p.yaml:36:16: error: copy.repository.s3.profile: a profile is one of a file
                  profile: backup
                           ^
              HINT: take `profile` out, or name the file: `credentials: ~/.aws/credentials`

            p.yaml:37:5: error: copy.repository.path: "path" is for a repository on a host
                path: /backup
                ^
              HINT: write it below `s3`, indented, if it is the repository's
            """),
        Mistake(
            "    host: backup@repo\n    address: repo.example\n    path: /backup\n    user: keeper\n",
            "    tls:\n      host: backup@repo\n      address: repo.example\n      ca_file: ca.crt\n      cert_file: /c\n",
            """
            p.yaml:31:5: error: copy.repository.tls: "key_file" is missing
                tls:
                ^
              HINT: add `key_file: /etc/pgbackrest/cert/client.key`

            p.yaml:34:16: error: copy.repository.tls.ca_file: expected an absolute path, found "ca.crt"
                  ca_file: ca.crt
                           ^
            """),
        Mistake(
            "  repository:\n    host: backup@repo\n    address: repo.example\n    path: /backup\n    user: keeper\n", "  repository: exising\n",
            """
            p.yaml:30:15: error: copy.repository: expected existing, or the keys of a repository below it, found "exising"
              repository: exising
                          ^
              HINT: did you mean "existing"?
            """),
        Mistake(
            "transaction_grace: 0ms\n  window_limit: 2min", "transaction_grace: 30s",
            """
            p.yaml:42:22: error: handover.transaction_grace: the window is over before the transactions' grace is
              transaction_grace: 30s
                                 ^
              HINT: make window_limit longer than transaction_grace
            """),
        Mistake(
            "transaction_grace: 0ms\n  window_limit: 2min", "transaction_grace: 2s\n  window_limit: 2000ms",
            """
            p.yaml:43:17: error: handover.window_limit: the window is over before the transactions' grace is
              window_limit: 2000ms
                            ^
              HINT: make window_limit longer than transaction_grace
            """),
        Mistake(
            "{subscriber}_from_{provider}", "{subscriber}_\(String(repeating: "x", count: 58))_{provider}",
            """
            p.yaml:45:9: error: subscriptions.name: the subscription name "n1_\(String(repeating: "x", count: 58))_n1" would be longer than 63 bytes
              name: "{subscriber}_\(String(repeating: "x", count: 58))_{provider}"
                    ^
              HINT: shorten the pattern
            """),
    ])
    func `says which two do not`(mistake: Mistake) { mistake.check() }

    @Test func `is told so even where other values of a node are wrong`() {
        let text = Examples.shortest.replacing("      address: 10.77.0.12", with: "      address: 10.77.0.11\n      bin_directory: x")
            .replacing("10.77.0.14", with: "10.77.0.11").replacing("source: n1", with: "source: n2")
        #expect(
            Examples.mistakes(text).map { "\($0.place?.description ?? "") \($0.problem.fact)" } == [
                "p.yaml:10:16 10.77.0.11 port 5432 is already node \"n1\"",
                "p.yaml:11:22 expected an absolute path, found \"x\"",
                "p.yaml:15:12 10.77.0.11 port 5432 is already node \"n1\"",
            ])
    }
}
