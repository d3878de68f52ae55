import EventLoop
import PostgresClient
import RemoteHost
import Testing

@testable import Instance

/// The script, judged by what `pg_waldump` of 15 prints.
@Suite("The last commits of origins") struct OriginCommitsTests {
    private func commits(of lines: [String], status: Int = 0) async throws -> (OriginCommits, RemoteHost.ExitStatus) {
        let program = ["#!/bin/sh", "cat <<'END'"] + lines + ["END", "exit \(status)"]
        let host = LocalHost(name: "here"), path = try #require(HostPath("/tmp/pggraft-waldump-\(Int.random(in: 0...999_999_999))"))
        try await host.write(Array(program.joined(separator: "\n").utf8), to: path, as: host.loginUser, mode: 0o700, deadline: .after(.seconds(20)))
        let result = try await host.run(.script(OriginCommits.script, path.path, "/wal", "1", "0/1", "0/2"), deadline: .after(.seconds(20)))
        try await host.remove(path, as: host.loginUser, deadline: .after(.seconds(20)))
        return (OriginCommits(result.text), result.status)
    }

    private func commit(_ tail: String) -> String {
        "rmgr: Transaction len (rec/tot):     66/    66, tx:        744, lsn: 0/01A0CE48, prev 0/01A0CE10, desc: COMMIT 2026-11-29 10:15:11.846488 UTC\(tail)"
    }

    @Test func `are the newest of each, and none of the server's own`() async throws {
        let (found, status) = try await commits(of: [
            commit("; origin: node 26863, lsn 0/1C02AC8, at 2026-11-29 10:15:11.8 UTC"), commit(""), commit("; origin: node 311, lsn 1/2, at 2026-11-29 10:15:11.9 UTC"),
            commit("; inval msgs: catcache 1; origin: node 26863, lsn 0/1C02B00, at 2026-11-29 10:15:12 UTC"),
            "rmgr: Transaction len (rec/tot):     34/    34, tx:        745, lsn: 0/01A0CE90, prev 0/01A0CE48, desc: ABORT 2026-11-29; origin: node 311, lsn 9/9",
        ])
        #expect(status == .code(0))
        #expect(try found.last == [26863: #require(LSN("0/1C02B00")), 311: #require(LSN("1/2"))])
    }

    @Test func `are not known where the log cannot be read to its end`() async throws {
        let (_, status) = try await commits(of: [commit("; origin: node 1, lsn 0/1, at x")], status: 1)
        #expect(status == .code(1))
    }
}
