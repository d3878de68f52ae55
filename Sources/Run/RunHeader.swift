import Digest
import Foundation

/// Who began a run, of what, from which playbook.
///
/// What a journal does not have because it is older than that is nil.
public struct RunHeader: Sendable, Codable, Hashable {
    public let run: String
    public let cluster: String
    public let procedure: String
    /// The playbook's path, absolute; empty for the request of a command.
    public let playbook: String
    /// `user@host` of the operator.
    public let startedBy: String
    /// The names of the procedure's steps, in order.
    public let steps: [String]?
    /// What the run was made from: the playbook's text, or a command's request as JSON. It is made from that again.
    public let content: String?
    /// SHA-256 of ``content``, in hexadecimal.
    public let digest: String?
    /// The version of pggraft that began the run.
    public let version: String?
    /// See ``Procedure/isTakenBackOnFailure``.
    public let isTakenBackOnFailure: Bool?
    /// See ``RunOrigin/consents``.
    public let consents: [Consent]?

    public init(
        run: String, cluster: String, procedure: String, startedBy: String, steps: [String], from origin: RunOrigin, isTakenBackOnFailure: Bool = false
    ) {
        (self.run, self.cluster, self.procedure, self.startedBy, self.steps) = (run, cluster, procedure, startedBy, steps)
        (playbook, content, digest) = (origin.path ?? "", origin.content, origin.digest)
        (version, self.isTakenBackOnFailure) = (pggraftVersion, isTakenBackOnFailure)
        consents = origin.consents.isEmpty ? nil : origin.consents
    }

    /// What the run was made from; of an old journal, what its playbook says now.
    /// - Throws: what reading the file throws.
    public func origin() throws -> RunOrigin {
        if let content { return RunOrigin(path: playbook.isEmpty ? nil : playbook, content: content, consents: consents ?? []) }
        return RunOrigin(path: playbook, content: try String(contentsOfFile: playbook, encoding: .utf8))
    }

    /// What became of the playbook since the run began; `nil` where it is the same, or there is none.
    var playbookChange: String? {
        guard !playbook.isEmpty, let digest else { return nil }
        let goesOn = "the run goes on with what it was when it began, which is in its journal"
        guard let now = FileManager.default.contents(atPath: playbook) else { return "\(playbook) cannot be read any more: \(goesOn)" }
        return Digest.sha256(now) == digest ? nil : "\(playbook) was changed since: \(goesOn)"
    }
}

extension RunOrigin {
    /// SHA-256 of the content, in hexadecimal.
    public var digest: String { Digest.sha256(content.utf8) }
}
