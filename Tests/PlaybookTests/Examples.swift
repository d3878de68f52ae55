import Playbook
import Report

enum Examples {
    /// The shipped playbook, from wherever the tests are run.
    static var shippedPath: String {
        let directories = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        return directories.joined(separator: "/") + "/playbooks/spock-add-node.yaml"
    }

    /// A playbook for the nodes of a pair, and what it says below them.
    static func pair(_ procedure: String, _ below: String, nodes: [String] = ["db1", "db2"]) -> String {
        let nodes = nodes.enumerated().map { "    \($1): {address: 10.77.0.\(31 + $0), data_directory: /data}\n" }.joined()
        return "procedure: \(procedure)\ncluster:\n  name: app\n  database: app\n  user: dba_admin\n  nodes:\n\(nodes)\(below)\n"
    }

    /// A playbook of required keys only: every line is needed.
    static let shortest = """
        procedure: add-spock-node
        cluster:
          name: app
          database: app
          user: spock_admin
          nodes:
            n1:
              address: 10.77.0.11
            n2:
              address: 10.77.0.12
        source: n1
        new_node:
          name: n4
          address: 10.77.0.14
          data_directory: /data/n4
        copy:
          repository:
            shared: /mnt/backup
          replication_user: replicator
        handover:
          mode: read-only

        """

    /// Every key there is, each with a value that is not its default.
    static let longest = """
        procedure: add-spock-node
        cluster:
          name: shop-1
          database: shop
          user: admin
          os_user: pg
          nodes:
            n1:
              ssh: root@10.0.0.1:2222
              address: db1.example
              port: 5433
              data_directory: /data/n1/
              bin_directory: /opt/pg/bin
              service: systemd:postgresql@15-main
            n2:
              address: db2.example
              service: pg_ctl
        source: n2
        new_node:
          name: n3
          ssh: n3.example
          address: "2001:db8::3"
          port: 5434
          data_directory: /data/n3
          bin_directory: /opt/pg/bin
          service: pg_ctlcluster
          dsn: host=db3.example dbname=shop user=admin passfile=/etc/pgpass
        copy:
          stanza: Shop.1
          repository:
            host: backup@repo
            address: repo.example
            path: /backup
            user: keeper
          backup: 20260131-104500F_20260201-104500I
          compression: zst
          process_max: 8
          replication_user: streamer
        handover:
          mode: read-only
          catch_up_lag: 1GiB
          transaction_grace: 0ms
          window_limit: 2min
        subscriptions:
          name: "{subscriber}_from_{provider}"
        proof: counts

        """

    /// As an error lists them.
    static let procedures = alternatives(Playbook.Procedure.names)

    static func addSpockNode(_ text: String) throws -> Playbook.AddSpockNode {
        switch try Playbook.parse(text, name: "p.yaml").procedure {
        case .addSpockNode(let plan): plan
        default: throw OtherProcedure()
        }
    }

    /// Every mistake in `text`; none when it parses.
    static func mistakes(_ text: String) -> [PlaybookError] {
        do throws(PlaybookErrors) {
            _ = try Playbook.parse(text, name: "p.yaml")
            return []
        } catch {
            return error.errors
        }
    }

    /// The mistakes as an operator sees them.
    static func report(_ text: String) -> String { mistakes(text).map(\.description).joined(separator: "\n\n") }
}

/// A playbook is of another procedure than the test expects.
struct OtherProcedure: Error {}
