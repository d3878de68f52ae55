import Foundation
import Playbook
import Testing

@Suite struct `The shipped spock-add-node.yaml` {
    private var lines: [String] {
        get throws { try String(contentsOfFile: Examples.shippedPath, encoding: .utf8).components(separatedBy: "\n") }
    }

    /// `  # key: value` as `  key: value`; `nil` for any other line.
    private func uncommented(_ line: String) -> String? {
        guard let match = line.wholeMatch(of: /( *)# ( *[a-z_]+:( \S.*)?)/) else { return nil }
        return "\(match.1)\(match.2)"
    }

    @Test func `is sound as it is`() throws {
        switch try Playbook.load(path: Examples.shippedPath).procedure {
        case .addSpockNode(let plan):
            #expect(plan.source.name == "n1")
            #expect(plan.peers.map(\.name) == ["n2", "n3"])
            #expect(plan.newNode.node.name == "n4")
        default: Issue.record("another procedure")
        }
    }

    /// The values that stand in a comment and are the defaults.
    @Test func `shows the defaults that there are`() throws {
        let keys = [
            "os_user", "port", "ssh", "stanza", "path", "backup", "compression", "cipher", "stall_limit", "catch_up_lag", "transaction_grace", "window_limit", "proof",
        ]
        var shown: Set<String> = []
        let text = try lines.map { line in
            guard let plain = uncommented(line), let key = keys.first(where: { plain.contains("\($0): ") }) else { return line }
            shown.insert(key)
            return plain
        }.joined(separator: "\n")
        #expect(shown == Set(keys))
        #expect(try values(text) == values(try lines.joined(separator: "\n")))
    }

    @Test func `shows only keys and values that are allowed`() throws {
        let lines = try lines
        var tried = 0
        for (index, line) in lines.enumerated()
        where !["repository:", "shared:", "subscriptions:", "name:", "tablespaces:", "fast:", "copy:"].contains(where: line.contains) && !line.contains("#  ") {
            guard let plain = uncommented(line) else { continue }
            var changed = lines
            changed[index] = plain
            #expect(Examples.report(changed.joined(separator: "\n")).isEmpty, "line \(index + 1): \(plain)")
            tried += 1
        }
        #expect(tried >= 15)
    }

    @Test func `shows sections that are allowed`() throws {
        let whole = try lines.joined(separator: "\n")
        let named = whole.replacing("# subscriptions:\n#   name:", with: "subscriptions:\n  name:")
        #expect(named != whole)
        #expect(try Examples.addSpockNode(named).subscriptions.name?.description == "sub_{provider}_{subscriber}")

        let spaces = whole.replacing("  # tablespaces:\n  #   fast:", with: "  tablespaces:\n    fast:")
        #expect(try Examples.addSpockNode(spaces).newNode.tablespaces == ["fast": "/srv/fast"])

        let host = "    host: repo\n", address = "    address: 10.77.0.20\n"
        let shared = whole.replacing(host, with: "").replacing(address, with: "")
            .replacing("  repository:\n", with: "", maxReplacements: 1).replacing("  # repository:\n  #   shared:", with: "  repository:\n    shared:")
        guard case .shared(let directory) = try Examples.addSpockNode(shared).copy.backRest?.repository else {
            Issue.record("not a shared repository")
            return
        }
        #expect(directory.wrappedValue == "/mnt/backup")

        // The keys of a section, those with the default too.
        func section(_ kind: String) throws -> Playbook.BackRestCopy.Repository {
            let lines = try lines, begin = try #require(lines.firstIndex(of: "  #   \(kind):"))
            let block = lines[begin...].prefix { $0.hasPrefix("  #    ") || $0 == "  #   \(kind):" }.map { line in
                let plain = line.replacing("  # ", with: "  ", maxReplacements: 1)
                return plain.contains(#/\# [a-z_]+: /#) ? plain.replacing("# ", with: "", maxReplacements: 1) : plain
            }
            let plan = try Examples.addSpockNode(whole.replacing(host, with: block.joined(separator: "\n") + "\n").replacing(address, with: ""))
            return try #require(plan.copy.backRest).repository
        }
        guard case .s3(let store) = try section("s3") else { return #expect(Bool(false), "no bucket") }
        #expect(store.bucket == "backups" && store.path == "/pgbackrest" && store.port == 443 && store.uriStyle == .host && store.verifies)
        #expect(store.credentials == .file("~/.aws/credentials") && store.profile == "default" && store.caFile == "/etc/ssl/certs/store.crt")
        guard case .tls(let server) = try section("tls") else { return #expect(Bool(false), "no TLS server") }
        #expect(server.host.ssh == "backup" && server.host.user == "pgbackrest" && server.port == 8432 && server.keyFile == "/etc/pgbackrest/cert/host.key")
    }

    @Test func `fits into 120 columns`() throws { #expect(try lines.allSatisfy { $0.count <= 120 }) }

    private func values(_ text: String) throws -> [String] {
        let plan = try Examples.addSpockNode(text)
        guard let copy = plan.copy.backRest, case .host(let repository) = copy.repository else { return [] }
        return [
            plan.cluster.osUser, "\(plan.cluster.nodes.map(\.port))", "\(plan.cluster.nodes.map(\.ssh))", copy.stanza, repository.path ?? "/var/lib/pgbackrest",
            "\(copy.backup)", "\(copy.compression)", "\(copy.cipher)", "\(plan.handover.window.catchUpLag)", "\(plan.handover.window.transactionGrace)",
            "\(plan.handover.window.limit)", "\(plan.proof)",
        ]
    }
}
