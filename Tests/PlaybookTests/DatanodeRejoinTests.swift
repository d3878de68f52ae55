import Foundation
import Playbook
import Testing

@Suite("Playbooks for a datanode's slave that comes back, or goes") struct DatanodeRejoinTests {
    private static func shipped(_ name: String) throws -> String {
        let directories = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        return try String(contentsOfFile: directories.joined(separator: "/") + "/playbooks/\(name).yaml", encoding: .utf8)
    }

    private func rejoin(_ edits: KeyValuePairs<String, String> = [:]) throws -> Playbook.DatanodeRejoin {
        guard case .datanodeRejoin(let order) = try Playbook.parse(edited("datanode-rejoin", edits), name: "p.yaml").procedure else { throw OtherProcedure() }
        return order
    }

    private func edited(_ name: String, _ edits: KeyValuePairs<String, String>) throws -> String {
        var text = try Self.shipped(name)
        for (from, to) in edits {
            try #require(text.contains(from))
            text = text.replacing(from, with: to)
        }
        return text
    }

    @Test func `the shipped ones are sound, and what their comments show are the defaults`() throws {
        let plain = try rejoin()
        #expect(plain.slave == "datanode1_old" && plain.datanode == "datanode1" && plain.cluster[datanode: "datanode1"]?.port == 20010)
        #expect(plain.replicationUser == nil && plain.isSynchronous && plain.copy == nil)
        let shown = try rejoin([
            "# synchronous: yes": "synchronous: yes", "# keep_free: 1GB": "keep_free: 1GB", "# copy: none": "copy: none", "# replication_user:": "replication_user:",
        ])
        #expect(shown.isSynchronous && shown.keepsFree == plain.keepsFree && shown.copy == nil && shown.replicationUser == "replicator")
        let copies = try rejoin(["# copy:\n#   # What": "copy:\n  # What", "#   existing: move-aside": "  existing: move-aside", "#   checkpoint:": "  checkpoint:"])
        #expect(copies.copy?.existing == .moveAside && copies.copy?.copy.checkpointsFast == true)
        #expect(try rejoin(["# copy: none": "copy: {existing: remove}"]).copy?.existing == .remove)
        #expect(try rejoin(["# copy: none": "copy: {verify: no}"]).copy?.existing == .moveAside)
        #expect(try !rejoin(["# synchronous: yes": "synchronous: no"]).isSynchronous)
        for name in ["datanode-rejoin", "datanode-drop-slave"] { #expect(try Self.shipped(name).split(separator: "\n").allSatisfy { $0.count <= 140 }, "\(name)") }
    }

    @Test(arguments: [
        ("slave: datanode1_old", "slave: datanode1", "\"datanode1\" is a datanode, and no slave"),
        ("slave: datanode1_old", "slave: Datanode1_old", "\"Datanode1_old\" is none of cluster.slaves"),
        ("slave: datanode1_old", "slave: coord1", "\"coord1\" is none of cluster.slaves"),
        ("of: datanode1", "of: coord1", "\"coord1\" is a coordinator, and no datanode"),
        ("# copy: none", "copy: {existing: delta}", "existing"),
        ("# copy: none", "copy: {method: pgbackrest}", "method"),
        ("# copy: none", "copy: yes", "none, or the keys of a copy"),
        ("# synchronous: yes", "synchronous: maybe", "synchronous"),
    ]) func `says what is wrong with one for a rejoin`(_ from: String, _ to: String, _ problem: String) throws {
        let report = Examples.report(try edited("datanode-rejoin", [from: to]))
        #expect(report.contains(problem), "\(report)")
    }
}
