import Foundation
import Testing

@testable import Playbook

@Suite struct `The shipped hot-standby.yaml` {
    private static let path = String(#filePath.dropLast("/Tests/PlaybookTests/HotStandbyFormTests.swift".count)) + "/playbooks/hot-standby.yaml"

    private func text() throws -> String { try String(contentsOfFile: Self.path, encoding: .utf8) }

    private func order(_ text: String) throws -> Playbook.HotStandby {
        guard case .hotStandby(let order) = try Playbook.parse(text, name: "p.yaml").procedure else { throw OtherProcedure() }
        return order
    }

    private func edited(_ edits: KeyValuePairs<String, String>) throws -> String {
        var text = try text()
        for (old, new) in edits {
            #expect(text.ranges(of: old).count == 1, "\(old)")
            text = text.replacing(old, with: new)
        }
        return text
    }

    @Test func `is sound as it is, with its defaults`() throws {
        let order = try order(text())
        #expect((order.primary, order.upstream, order.standby.node.name) == ("db1", "db1", "db2"))
        #expect(order.standby.existing == .refuse && order.standby.walDirectory == nil && order.standby.tablespaces == [:])
        #expect((order.replication.user, order.replication.connectionLimit, order.replication.slot, order.replication.asksPassword) == ("replicator", 5, .ofStandby, false))
        #expect(!order.restarts)
        guard case .none = order.archive, case .baseBackup(let copy) = order.copy.method else { throw OtherProcedure() }
        #expect(copy.checkpointsFast && copy.maximumRate == nil && copy.compression == .none && copy.verifies && copy.stallLimit == .seconds(300))
    }

    @Test func `shows only keys and values that are allowed, and the defaults that there are`() throws {
        let lines = try text().components(separatedBy: "\n")
        var tried = 0
        for (index, line) in lines.enumerated() {
            guard let match = line.wholeMatch(of: /( *)# ( *[a-z_]+: \S.*)/),
                !["data_directory", "fast: /srv", "method", "stanza", "host", "address", "backup", "directory:", "on_standby", "cleanup"].contains(where: line.contains)
            else { continue }
            var changed = lines
            changed[index] = "\(match.1)\(match.2)"
            #expect(Examples.report(changed.joined(separator: "\n")).isEmpty, "line \(index + 1): \(line)")
            tried += 1
        }
        #expect(tried >= 14)
    }

    @Test func `takes its sections`() throws {
        let archived = try order(
            edited(["# archive:\n#   directory: /var/backups/pgsql/archive\n": "archive:\n  directory: /var/backups/pgsql/archive\n  on_standby: /mnt/archive\n  cleanup: yes\n"]))
        guard case .directory(let directory) = archived.archive else { throw OtherProcedure() }
        #expect(directory.path == "/var/backups/pgsql/archive" && directory.onStandby == "/mnt/archive" && directory.isCleared)

        let pushed = try order(edited(["# archive: none": "archive:\n  stanza: main"]))
        guard case .stanza(let stanza) = pushed.archive, case .existing = stanza.repository, case .baseBackup = pushed.copy.method else { throw OtherProcedure() }
        #expect(stanza.stanza == "main")

        let copied = try order(
            edited(["  method: pg_basebackup\n": "  method: pgbackrest\n  repository: existing\n", "  # existing: refuse": "  existing: delta", "  # slot: db2": "  slot: none"]))
        guard case .pgBackRest(let copy) = copied.copy.method else { throw OtherProcedure() }
        #expect(copy.stanza == "app" && copied.standby.existing == .delta && copied.replication.slot == .none)
    }

    @Test(arguments: [
        (["primary: db1": "primary: db9"], "\"db9\" is none of cluster.nodes"), (["# upstream: db1": "upstream: db9"], "\"db9\" is none of cluster.nodes"),
        (["  name: db2": "  name: db1"], "\"db1\" is already one of cluster.nodes"),
        (["  # existing: refuse": "  existing: delta"], "pg_basebackup cannot go on with what is there"),
        (["  # max_rate: 100MB": "  max_rate: 1kB"], "pg_basebackup takes a rate from 32kB to 1024MB a second"),
        (["  # slot: db2": "  slot: DB-2"], "expected the name of a slot"), (["  # connection_limit: 5": "  connection_limit: 1"], "expected a number from 2 to 9999"),
        (
            ["  method: pg_basebackup\n": "  method: pgbackrest\n  repository: existing\n", "  # wal_directory: /srv/wal": "  wal_directory: /srv/wal"],
            "puts the WAL into the data directory"
        ),
        (["# archive: none": "archive:\n  stanza: app", "  method: pg_basebackup\n": "  method: pgbackrest\n  repository: existing\n"], "archives into its own stanza"),
        (["# archive: none": "archive:\n  stanza: no stanza"], "expected a stanza name"),
        (["# archive: none": "archive: nowhere"], "expected none, or the keys of an archive below it"),
        (["  # checkpoint: fast": "  chekpoint: fast"], "unknown key \"chekpoint\""),
    ]) func `names what is wrong`(_ edits: [String: String], _ words: String) throws {
        var text = try text()
        for (old, new) in edits { text = text.replacing(old, with: new) }
        #expect(Examples.report(text).contains(words), "\(Examples.report(text))")
    }
}
