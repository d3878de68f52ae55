import Foundation
import Instance
public import Playbook
public import ProcedureKit
import RemoteHost
import Report

extension Synchronous {
    /// The playbook that has the commits of a cluster wait for nobody.
    /// - Parameters:
    ///   - roster: its primary and standbys, each with its data directory.
    ///   - name: under which the run is named in errors and in its journal.
    /// - Throws: `Problem` for a node whose data directory is not known.
    public static func off(in roster: Roster, cluster: String, called name: String) throws -> Playbook {
        struct Node: Encodable { var ssh, address, data_directory: String, port: Int, bin_directory, service: String? }
        struct Cluster: Encodable { var name, database, user, os_user: String, nodes: [String: Node] }
        struct Form: Encodable { var procedure = Synchronous.name, cluster: Cluster, standbys = "off" }
        var nodes: [String: Node] = [:]
        for entry in roster.entries {
            guard let directory = entry.dataDirectory else {
                throw Problem("the playbook does not say where the data of \(entry.name) is", hint: "give it a line data_directory")
            }
            let service: String? =
                switch entry.manager {
                case .systemd(let unit): "systemd:\(unit)"
                case .pgCtl: "pg_ctl"
                case .pgCtlCluster, nil: entry.isDebianCluster ? "pg_ctlcluster" : nil
                }
            nodes[entry.name] = Node(
                ssh: entry.ssh, address: entry.address, data_directory: directory.path, port: Int(entry.port), bin_directory: entry.binDirectory?.path, service: service)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        let form = Form(
            cluster: Cluster(name: cluster, database: roster.database, user: roster.role, os_user: roster.entries.first?.osUser ?? "postgres", nodes: nodes))
        return try Playbook.parse(String(decoding: try encoder.encode(form), as: UTF8.self), name: name)
    }
}
