import Foundation
import ProcedureKit
import RemoteHost
public import Run

/// Changes the configuration of one node: one step, under a lock on its server.
public struct ConfigureNode: Procedure {
    private let node: ConfiguredNode
    private let request: ConfigurationRequest
    public let cluster: String

    /// - Parameter cluster: names this machine's lock and the run.
    public init(_ node: ConfiguredNode, _ request: ConfigurationRequest, cluster: String) {
        (self.node, self.request, self.cluster) = (node, request, cluster)
    }

    public var name: String { request.procedure }

    /// The names of these procedures, one for each command that changes something.
    public static let names = ["conf-set", "hba-allow", "hba-remove"]

    public var steps: [ListedStep] { [ListedStep("", WriteConfiguration(node: node, request: request))] }
    public var isTakenBackOnFailure: Bool { true }

    /// What was wanted and where, with what was found out about the node.
    public func origin() async throws -> RunOrigin {
        try Order(target: try await node.foundTarget(), request: request).origin()
    }

    /// What the run of a journal wanted, and where.
    public struct Order: Sendable, Codable, Hashable {
        public var target: NodeTarget
        public var request: ConfigurationRequest

        public init(target: NodeTarget, request: ConfigurationRequest) {
            (self.target, self.request) = (target, request)
        }

        /// - Throws: `DecodingError`.
        public init(_ origin: RunOrigin) throws {
            self = try JSONDecoder().decode(Order.self, from: Data(origin.content.utf8))
        }

        func origin() throws -> RunOrigin {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return RunOrigin(path: nil, content: String(decoding: try encoder.encode(self), as: UTF8.self))
        }
    }

    /// On the server itself, so that whoever changes its configuration from another machine waits. One that lets nobody in has
    /// no such lock: the plan says so.
    public func takeLock(holder: Holder) async throws { try await node.takeLock(holder: holder) }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await node.keptFiles(memory) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await node.remove(thing, keptBy: memory) }

    public func closingWords(run: String, _ memory: Memory) -> [String] { ["Done.", "  pggraft undo \(run)     takes it back"] }

    /// Where the connection was lost nothing could be put back, and nothing is known.
    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        let isLost = (failure.cause as? HostError)?.isOfConnection ?? false
        return isLost ? .stays("It is not known how far \(node.target.name) got.") : .isTakenBack
    }

    public func close() async { await node.close() }
}
