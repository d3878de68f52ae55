import EventLoop
import PgBackRest
import ProcedureKit
import Report
import Run

/// A new copy can be made where one is needed, or may be.
struct CopyIsPossible: Requirement {
    let name = "copy"
    let copy: NewCopy
    let survey: Survey
    var place: String? { copy.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([copy.name])
        let need = try await copy.need(memory)
        if case .no = need { return [] }
        if memory.beganCopy { return [] }
        if let problem = try await copy.obstacle(memory) { return [told(Finding(notMet: "data directory", on: copy.name, problem), need)] }
        let parts = try await copy.parts(memory), source = SourceGround(of: parts.copied) {}, ground = TargetGround(source, survey: survey)
        var requirements: [any Requirement] = [DiskHasRoom(ground), DirectoriesAreThere(parts.standby, ground)]
        if let backRest = parts.backRest { requirements += [SourceArchives(source, copy: backRest), BackRestIsUsable(backRest, ground, survey: survey)] }
        let asked = requirements, found = try await onEach(Array(asked.indices)) { try await asked[$0].look(memory) }
        return asked.indices.flatMap { found[$0] ?? [] }.map { told($0, need) }
    }

    /// What stands in the way of a copy that is perhaps not needed is told.
    private func told(_ finding: Finding, _ need: NewCopy.Need) -> Finding {
        guard case .perhaps = need, case .notMet(let hint) = finding.verdict else { return finding }
        return Finding(finding.requirement, on: finding.place, "\(finding.found), if a new copy is needed", .note(hint: hint))
    }
}
