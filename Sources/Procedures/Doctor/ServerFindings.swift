import PostgresConfig
import Report

/// What may be wrong with any server.
enum ServerFindings {
    /// Settings that would end a recovery by themselves: of a primary they do nothing, to its copies they do.
    static func recoveryTargets(_ facts: DoctorFacts) -> [Diagnosis] {
        facts.nodes.flatMap { node in
            node.targets.map { target in
                let place = target.file.map { " (\($0)\(target.line.map { ":\($0)" } ?? ""))" } ?? "", isAuto = target.file?.hasSuffix("/postgresql.auto.conf") ?? false
                let harmless = StandbyConfiguration.harmlessValue(of: target.name)
                return Diagnosis(
                    .recoveryTarget, on: node.node, "setting \(target.name)", found: "'\(target.value)'\(place)", needed: harmless.isEmpty ? "nothing" : "'\(harmless)'",
                    why: node.isStandby
                        ? "the standby stops there, or promotes itself" : "it does nothing to a primary; a copy of it, and its own next recovery, stops there or promotes itself",
                    mend: isAuto
                        ? "ALTER SYSTEM RESET \(target.name); SELECT pg_reload_conf()"
                        : "take the line out of \(target.file ?? "the configuration") (pggraft conf reset \(node.node) \(target.name)); SELECT pg_reload_conf()")
            }
        }
    }

    /// Files by which the next start of a primary is one of a standby or of a recovery, and those beside a standby's that are none of its own.
    static func signalFiles(_ facts: DoctorFacts) -> [Diagnosis] {
        facts.nodes.flatMap { node -> [Diagnosis] in
            let hasSignals = node.features.standbyMarker == .signalFile
            let wrong: [StandbyConfiguration.File] = hasSignals ? [.standbySignal, .recoverySignal, .recoveryConf] : [.recoveryConf]
            return wrong.filter { node.marks.contains($0) && !(node.isStandby && $0 == (hasSignals ? .standbySignal : .recoveryConf)) }.map { file in
                let why =
                    switch file {
                    case .recoveryConf where hasSignals: "PostgreSQL \(node.version) does not start while it is there"
                    case .recoverySignal where node.isStandby: "beside standby.signal it does nothing; once that is gone, the next start is a recovery that ends by itself"
                    case .recoverySignal: "its next start is a recovery of an archive, on another timeline"
                    default: "its next start is that of a standby: it takes no writes then"
                    }
                return Diagnosis(
                    .signalFile, on: node.node, "file \(file.rawValue)", found: "it is in \(node.dataDirectory) of a \(node.isStandby ? "standby" : "primary") that runs",
                    needed: "no such file",
                    why: why, mend: "rm \(node.dataDirectory)/\(file.rawValue)")
            }
        }
    }

    /// Lines of `pg_hba.conf` that let in whoever comes.
    static func rules(_ facts: DoctorFacts) -> [Diagnosis] {
        facts.nodes.flatMap { node in
            node.rules.compactMap { line -> Diagnosis? in
                let risks = line.rule.risks.filter { $0 == .everyAddress || $0 == .trustOverNetwork && !isAmongDatanodes(line.rule, facts) }
                guard let first = risks.first else { return nil }
                let trusts = risks.contains(.trustOverNetwork)
                let method = node.features.hasSCRAM ? "scram-sha-256" : "md5"
                return Diagnosis(
                    trusts ? .trust : .openRule, on: node.node, "line \(line.line) of \(line.file)", found: line.text.onOneLine,
                    needed: [first == .everyAddress ? "the networks of those who have to come in" : nil, trusts ? "a method that asks who they are" : nil].compactMap(\.self)
                        .joined(separator: ", and "),
                    why: risks.map { line.rule.explanation(of: $0) }.joined(separator: "; "),
                    mend:
                        "name \(first == .everyAddress ? "their networks" : method) in the line\(first == .everyAddress && trusts ? ", and \(method)" : ""); SELECT pg_reload_conf(). "
                        + "Who comes in by which line: pggraft hba explain")
            }
        }
    }

    /// Coordinators have no password for datanodes: a line for the one address of a node of the cluster is as it must be.
    private static func isAmongDatanodes(_ rule: HBARule, _ facts: DoctorFacts) -> Bool {
        guard facts.hasDatanodes, case .network(let network) = rule.address else { return false }
        return facts.addresses.contains { IPNetwork($0) == network }
    }

    private static let apart = 1.0

    /// A clock that is off from the others'.
    static func clocks(_ facts: DoctorFacts) -> [Diagnosis] {
        let clocks = facts.nodes.compactMap { node in node.clock.map { (node: node.node, offset: $0) } }
        guard clocks.count > 1 else { return [] }
        let sorted = clocks.map(\.offset).sorted(), middle = sorted[(sorted.count - 1) / 2]
        return clocks.filter { abs($0.offset - middle) >= apart }.map { clock in
            let time = Duration.milliseconds(Int(abs(clock.offset - middle) * 1000))
            return Diagnosis(
                .clock, on: clock.node, "clock", found: "\(time.inSeconds) \(clock.offset < middle ? "behind" : "ahead of") those of the others", needed: "less than 1 s",
                why: facts.mesh == nil
                    ? "logs, and what is recovered to a time, do not agree"
                    : "of two updates of a row the newest wins, by the clocks of the nodes: changes are undone by older ones",
                mend: "set it with NTP: chronyc makestep, or systemctl restart systemd-timesyncd")
        }
    }
}
