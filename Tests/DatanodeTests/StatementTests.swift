import PostgresClient
import Testing

@testable import Datanode

@Suite struct StatementTests {
    @Test func `a node is moved by its exact name, its port a number, its host a literal`() {
        #expect(
            NodeAddress.alter("datanode1", to: NodeAddress(host: "node02", port: 20010)).text == #"ALTER NODE "datanode1" WITH (HOST = 'node02', PORT = 20010)"#)
        let odd = NodeAddress.alter(#"Data"node"#, to: NodeAddress(host: "it's", port: 1))
        #expect(odd.text == #"ALTER NODE "Data""node" WITH (HOST = 'it''s', PORT = 1)"#)
        #expect(odd.parameters.isEmpty)
    }

    @Test func `what a coordinator's sessions reach is asked by EXECUTE DIRECT, quoted twice`() {
        let text = ReachedServer.through("Datanode1").text
        #expect(text.hasPrefix(#"EXECUTE DIRECT ON ("Datanode1") 'SELECT host(inet_server_addr())"#))
        #expect(ReachedServer.through("Datanode1").parameters.isEmpty)
    }

    @Test func `prepared transactions are ended by literals`() throws {
        #expect(InDoubtTransaction.end("T4711", commit: true).text == "COMMIT PREPARED 'T4711'")
        #expect(InDoubtTransaction.end("T4711", commit: false).text == "ROLLBACK PREPARED 'T4711'")
        #expect(InDoubtTransaction.committed(4711).text == "SELECT pgxc_is_committed('4711') AS committed")
    }

    @Test func `a row is known by its columns`() throws {
        let rows = Rows(
            columns: ["node_name", "node_type", "node_host", "node_port", "nodeis_primary", "nodeis_preferred"],
            values: [["datanode1", "D", "10.77.0.61", "20006", "t", "f"], ["odd", "?", nil, "0", "f", "f"]])
        let nodes = try rows.map(ClusterNode.init(row:))
        #expect(nodes[0] == ClusterNode(name: "datanode1", kind: .datanode, place: NodeAddress(host: "10.77.0.61", port: 20006), isPrimary: true))
        #expect(nodes[0].flags == "PRIMARY")
        #expect(nodes[1].kind == nil && nodes[1].place.host == "")
    }
}

/// The rule, on what was recorded of failovers of the real one under writers: fixtures/contract/postgres-xc-1.2.md.
@Suite struct InDoubtTests {
    typealias Answer = InDoubtTransaction.Answer

    private func verdict(_ answers: [String: Answer], datanodes: [String] = [], coordinators: [String] = []) -> InDoubtTransaction.Verdict {
        InDoubtTransaction.verdict(answers, silentDatanodes: datanodes, silentCoordinators: coordinators)
    }

    @Test func `only transactions of coordinators are theirs`() {
        #expect(InDoubtTransaction(identifier: "T12819")?.transaction == 12819)
        for other in ["", "T", "T1x", "x12", "_$XC$12", "T2", "T99999999999", "T-5"] { #expect(InDoubtTransaction(identifier: other) == nil, "\(other)") }
    }

    @Test func `what a datanode has committed is committed although its coordinator says that it has not`() {
        #expect(
            verdict(["datanode2": Answer(isCommitted: true), "coord1": Answer(isCommitted: false), "coord2": Answer(isCommitted: nil)])
                == .commit("datanode2 has committed it"))
        // Whoever cannot be asked does not matter then.
        #expect(verdict(["datanode2": Answer(isCommitted: true)], datanodes: ["datanode3"], coordinators: ["coord1"]) == .commit("datanode2 has committed it"))
    }

    @Test func `what no node has committed, and none works at, is rolled back`() {
        let reason = "no node has committed it, and none works at it"
        #expect(verdict(["datanode2": Answer(isCommitted: false), "coord1": Answer(isCommitted: false), "coord2": Answer(isCommitted: nil)]) == .rollBack(reason))
        #expect(verdict(["datanode2": Answer(isCommitted: nil)], coordinators: ["coord2"]) == .rollBack(reason))
    }

    @Test func `while somebody may decide it nobody else does`() {
        #expect(verdict(["datanode2": Answer(isCommitted: nil, isRunning: true)]) == .wait("a session of datanode2 works at it"))
        #expect(verdict(["datanode2": Answer(isCommitted: nil, isPrepared: true), "coord1": Answer(isCommitted: nil)]) == .wait("it is prepared on datanode2 too"))
        #expect(
            verdict(["datanode2": Answer(isCommitted: nil, isPrepared: true)], coordinators: ["coord2"])
                == .unknown("it is prepared on datanode2 too, and coord2, which cannot be asked, may decide it"))
        #expect(verdict(["coord1": Answer(isCommitted: false)], datanodes: ["datanode2"]) == .unknown("datanode2 cannot be asked, and may have committed it"))
    }

    private func underWriters(_ answers: [String: Answer], datanodes: [String] = [], coordinators: [String] = []) -> InDoubtTransaction.Verdict {
        InDoubtTransaction.verdictUnderWriters(answers, silentDatanodes: datanodes, silentCoordinators: coordinators)
    }

    // Recorded of a commit that hung: its coordinator's session holds the transaction, whatever the datanodes have of it.
    @Test func `while clients write, what a session works at is left to it, also where a node has committed it`() {
        for here in [Answer(isCommitted: nil, isPrepared: true), Answer(isCommitted: true)] {
            #expect(underWriters(["datanode1": here, "coord1": Answer(isCommitted: nil, isRunning: true)]) == .wait("a session of coord1 works at it"))
        }
        #expect(underWriters(["datanode1": Answer(isCommitted: true)], coordinators: ["coord1"]) == .unknown("coord1 cannot be asked, and may work at it"))
        #expect(underWriters(["coord1": Answer(isCommitted: false)], datanodes: ["datanode2"]) == .unknown("datanode2 cannot be asked, and may have committed it"))
    }

    @Test func `while clients write, what nobody works at is ended wherever it is prepared`() {
        let here = Answer(isCommitted: nil, isPrepared: true)
        #expect(underWriters(["datanode1": here, "datanode2": Answer(isCommitted: true), "coord1": Answer(isCommitted: false)]) == .commit("datanode2 has committed it"))
        #expect(underWriters(["datanode1": here, "datanode2": here, "coord2": here]) == .rollBack("no node has committed it, and none works at it"))
    }
}

@Suite struct OpenTransactionTests {
    @Test func `what a snapshot has as open, and the next one`() {
        // Recorded of a coordinator of 1.2, with one transaction open.
        #expect(OpenTransactions("10014:10016:10014")?.identifiers == [10014, 10016])
        #expect(OpenTransactions("10014:10014:")?.identifiers == [10014])
        #expect(OpenTransactions("4294977310:4294977312:4294977310,4294977311")?.identifiers == [10014, 10015, 10016])
        for other in ["", "1:2", "a:b:c"] { #expect(OpenTransactions(other) == nil, "\(other)") }
    }
}

@Suite struct DatanodeCheckTests {
    private func error(_ code: String, _ message: String) -> PostgresError {
        .server(node: "coord1", PostgresError.ServerError(severity: "ERROR", code: code, message: message))
    }

    @Test func `what a coordinator says in passing, and what stays until the GTM is restarted`() {
        let behind = error("XX000", "Could not synchronize gxid (10403) with GTM within 2000 milliseconds.")
        #expect(DatanodeCheck.isGTMBehind(behind) && !DatanodeCheck.mayPass(behind))
        for (code, message) in [
            ("53000", "Failed to get pooled connections"), ("XX000", "Failed to read response from Datanodes"), ("XX000", "Could not begin transaction on Datanodes."),
            ("57P02", "terminating connection because of crash of another server process"),
        ] { #expect(DatanodeCheck.mayPass(error(code, message)) && !DatanodeCheck.isGTMBehind(error(code, message)), "\(message)") }
        for (code, message) in [("42501", "permission denied"), ("XX000", "cache lookup failed for relation 1")] {
            #expect(!DatanodeCheck.mayPass(error(code, message)), "\(message)")
        }
    }
}
