import Foundation
import Procedures
import Report
import Run

/// What the doctor has found, as the terminal and a program get to see it.
struct DoctorView {
    let report: Doctor.Report

    var exitStatus: Int32 { report.findings.isEmpty ? 0 : 1 }

    func show(on terminal: Terminal) {
        guard !report.findings.isEmpty else { return terminal.print(terminal.styled("Nothing was found on \(list(report.nodes)).", .good)) }
        for finding in report.findings {
            terminal.print(terminal.styled("✗ \(finding.node): \(finding.object)", .bad))
            terminal.print("    found   \(finding.found)")
            if let needed = finding.needed { terminal.print("    needed  \(needed)") }
            terminal.print("    why     \(finding.why)")
            for (place, line) in finding.mend.split(separator: "\n").enumerated() { terminal.print("    \(place == 0 ? "mend" : "    ")    \(line)") }
        }
        let number = report.findings.count
        terminal.print("\(number) \(number == 1 ? "finding" : "findings") on \(list(report.nodes)).")
    }

    func json(at moment: Date) -> JSON {
        .object([
            "at": JSON(moment), "cluster": JSON(report.cluster), "status": JSON(Int(exitStatus)), "nodes": JSON(each: report.nodes) { .string($0) },
            "findings": JSON(each: report.findings) { finding in
                .object([
                    "kind": JSON(finding.kind.rawValue), "node": JSON(finding.node), "object": JSON(finding.object), "found": JSON(finding.found), "needed": JSON(finding.needed),
                    "why": JSON(finding.why), "mend": JSON(finding.mend),
                ])
            },
        ])
    }
}
