/// One thing that must hold before a run begins.
///
/// ```swift
/// struct ServerIsPrimary: Requirement {
///     let name = "PostgreSQL"
///     let node: String
///     let survey: Survey
///     var place: String? { node }
///     func look(_ memory: Memory) async throws -> [Finding] { … }
/// }
/// ```
public protocol Requirement: Sendable {
    /// As the operator reads it: `replication slots`.
    var name: String { get }
    /// The node or host it is about; `nil` for the cluster.
    var place: String? { get }

    /// Looks, and changes nothing. What it throws is a finding too: the requirement is not met.
    /// - Parameter memory: of the run, where one is taken up again: what it has made already is not held against it.
    /// - Throws: ``NotLooked`` where what it rests on could not be looked at, which is another requirement's finding.
    func look(_ memory: Memory) async throws -> [Finding]
}

extension Requirement {
    public var place: String? { nil }
}

/// Requirements that concern the same: hosts, servers, routes, disk. One after the other group, those of a group side by side.
public struct RequirementGroup: Sendable {
    public let requirements: [any Requirement]

    /// - Parameter concern: for the reader of the list.
    public init(_ concern: StaticString, _ requirements: [any Requirement]) { self.requirements = requirements }
}

/// A look that was not made, because what it rests on could not be looked at.
public struct NotLooked: Error {
    public init() {}
}

/// The requirements of a procedure: each is looked at once, whoever asks and however often.
public actor Requirements {
    private let groups: [RequirementGroup]
    private var found: [Finding]?

    public init(_ groups: [RequirementGroup]) { self.groups = groups }

    /// Whether there is nothing to look at.
    public nonisolated var isEmpty: Bool { groups.isEmpty }

    /// What was found, in the order of the list. Every look is made, whatever the others find, so that all is told at once.
    /// - Throws: `CancellationError`.
    public func findings(_ memory: Memory = Memory()) async throws -> [Finding] {
        if let found { return found }
        let findings = try await Self.look(groups, memory)
        found = findings
        return findings
    }

    private static func look(_ groups: [RequirementGroup], _ memory: Memory) async throws -> [Finding] {
        var findings: [Finding] = []
        for group in groups {
            let found = await withTaskGroup(of: (Int, [Finding]).self) { tasks in
                for (index, requirement) in group.requirements.enumerated() {
                    tasks.addTask { (index, await look(requirement, memory)) }
                }
                return await tasks.reduce(into: [Int: [Finding]]()) { $0[$1.0] = $1.1 }
            }
            try Task.checkCancellation()
            findings += group.requirements.indices.flatMap { found[$0] ?? [] }
        }
        return findings
    }

    private static func look(_ requirement: any Requirement, _ memory: Memory) async -> [Finding] {
        do {
            return try await requirement.look(memory)
        } catch is NotLooked {
            return []
        } catch {
            return [Finding(notMet: requirement.name, on: requirement.place, because: error)]
        }
    }
}

/// The first step of every run of a procedure that has requirements.
struct CheckRequirements: LeavesNothing {
    static let name = "requirements"
    let requirements: Requirements
    var title: String { "Check every requirement" }
    var leavesNothing: String { "it only looked" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let findings = try await requirements.findings(memory), problems = findings.compactMap(\.problem)
        return problems.isEmpty ? .done("all \(findings.count) are met") : .blocked(problems)
    }

    func perform(_ run: StepRun) async throws -> String { "" }
}
