import Report
import Server
import Spock

/// What of a member of a Spock cluster is not as it must be for it to be one.
enum MemberFindings {
    /// Changes that were discarded.
    static func exceptions(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.names.compactMap { name -> Diagnosis? in
            guard let count = mesh.state(name)?.exceptionCount, count > 0 else { return nil }
            let newest = mesh.examinations[name]?.newestException.map { "; the newest of \($0.at)\($0.table.map { ", of \($0)" } ?? ""): \($0.message.onOneLine)" } ?? ""
            return Diagnosis(
                .exceptions, on: name.rawValue, "spock.exception_log", found: "\(count) \(count == 1 ? "row" : "rows")\(newest)", needed: "none",
                why: "each is a change of another node that was discarded here: the nodes differ",
                mend: "pggraft verify names what differs; when that is put right, DELETE FROM spock.exception_log")
        }
    }

    /// Commits of which nobody keeps the time.
    static func commitTimes(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return mesh.names.compactMap { name -> Diagnosis? in
            let isOff = mesh.state(name)?.settings["track_commit_timestamp"] == "off", atStart = facts[name.rawValue]?.tracksCommitsAtStart
            guard isOff || atStart == false else { return nil }
            return Diagnosis(
                .noCommitTimes, on: name.rawValue, "setting track_commit_timestamp", found: isOff ? "off" : "off from the next start on", needed: "on",
                why: isOff
                    ? "of two updates of a row the newest cannot be told: whichever comes last wins, another one on each node"
                    : "with spock.conflict_resolution = 'last_update_wins' the server does not start then, and with another it cannot tell which of two updates is the newest",
                mend: "ALTER SYSTEM SET track_commit_timestamp = on\(isOff ? ", and restart \(name)" : "")")
        }
    }

    /// What is too small for one node more.
    static func limits(_ facts: DoctorFacts) -> [Diagnosis] {
        guard let mesh = facts.mesh else { return [] }
        return MeshLimit.ofMembers(of: mesh.view).filter { !$0.isSufficient }.map { limit in
            Diagnosis(
                .limit, on: limit.node.rawValue, "setting \(limit.setting)", found: "\(limit.found)", needed: "\(limit.needed) (\(limit.sum))",
                why: "the next node would not find what it needs, or \(limit.node) would not start again after a crash",
                mend: "ALTER SYSTEM SET \(limit.setting) = \(limit.needed), and restart \(limit.node)")
        }
    }
}
