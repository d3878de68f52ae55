import Foundation
import Report
import Run

// What the values of a session are in JSON. docs/json.md documents each field.

extension JSON {
    init(_ text: String?) { self = text.map(JSON.string) ?? .null }
    init(_ number: Int?) { self = number.map { .integer(Int64($0)) } ?? .null }
    init(_ date: Date) { self = .string(date.formatted(.iso8601)) }
    init<Element>(each elements: some Sequence<Element>, _ json: (Element) -> JSON) { self = .array(elements.map(json)) }
    init(event: String, _ fields: [String: JSON] = [:]) { self = .object(fields.merging(["event": .string(event)]) { $1 }) }

    /// On one line, the names of objects in their order.
    func line() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}

extension Explained {
    var fields: [String: JSON] { ["fact": JSON(fact), "hint": JSON(hint)] }
    var json: JSON { .object(fields) }
}

extension StepID {
    func json(_ title: String? = nil) -> JSON {
        .object(["name": JSON(name), "number": JSON(number.isEmpty ? nil : number), "place": JSON(position?.index), "of": JSON(position?.count), "title": JSON(title)])
    }
}

extension Finding {
    var json: JSON {
        let (verdict, hint): (String, String?) =
            switch verdict {
            case .met: ("met", nil)
            case .note(let hint): ("note", hint)
            case .notMet(let hint): ("not_met", hint)
            }
        return .object(["requirement": JSON(requirement), "place": JSON(place), "found": JSON(found), "verdict": JSON(verdict), "hint": JSON(hint)])
    }
}

extension Runner.Planned {
    var json: JSON {
        var (verdict, seen, changes, problems): (String, String?, [Change], [Problem])
        switch inspection {
        case .done(let text): (verdict, seen, changes, problems) = ("done", text, [], [])
        case .needed(let needed): (verdict, seen, changes, problems) = ("needed", nil, needed, [])
        case .blocked(let blocking): (verdict, seen, changes, problems) = ("blocked", nil, [], blocking)
        }
        return .object([
            "step": id.json(title), "verdict": JSON(verdict), "seen": JSON(seen), "changes": JSON(each: changes) { .object(["text": JSON($0.text), "diff": JSON($0.diff)]) },
            "problems": JSON(each: problems, \.json),
        ])
    }
}

extension RunSummary.State {
    var word: String { rawValue.replacing(" ", with: "_") }
}

extension RunSummary {
    var json: JSON {
        .object([
            "run": JSON(header.run), "procedure": JSON(header.procedure), "cluster": JSON(header.cluster), "begun": JSON(startedAt), "state": JSON(state.word),
            "is_over": .bool(isOver), "last_step": JSON(lastStep), "steps": header.steps.map { JSON(each: $0) { .string($0) } } ?? .null, "started_by": JSON(header.startedBy),
            "playbook": JSON(header.playbook.isEmpty ? nil : header.playbook), "journal": JSON(journal), "version": JSON(header.version),
        ])
    }
}

extension Created {
    var json: JSON { .object(["kind": JSON(kind), "place": JSON(place), "name": JSON(name)]) }
}

extension Timeline.Line {
    var json: JSON {
        let mark =
            switch mark {
            case .turn: "turn"
            case .begun: "begun"
            case .seen: "seen"
            case .done: "done"
            case .failed: "failed"
            case .undone: "undone"
            case .left: "left"
            case .window: "window"
            }
        return .object(["at": JSON(at), "mark": JSON(mark), "text": JSON(text), "details": JSON(each: details) { .string($0) }])
    }
}

extension RunEvent {
    var json: JSON {
        switch self {
        case .inspecting(let id, let title): JSON(event: "inspecting", ["step": id.json(title)])
        case .skipped(let id, let title, let seen): JSON(event: "skipped", ["step": id.json(title), "seen": JSON(seen)])
        case .began(let id, let title): JSON(event: "step_begun", ["step": id.json(title)])
        case .progress(let id, let text, let fraction):
            JSON(event: "progress", ["step": id.json(), "text": JSON(text), "fraction": fraction.map(JSON.number) ?? .null])
        case .note(let id, let text): JSON(event: "note", ["step": id.json(), "text": JSON(text)])
        case .done(let id, let title, let result, let took):
            JSON(event: "step_done", ["step": id.json(title), "result": JSON(result), "seconds": .number((took.seconds * 1000).rounded() / 1000)])
        case .failed(let id, let title, let problem): JSON(event: "step_failed", problem.fields.merging(["step": id.json(title)]) { $1 })
        case .released(let bracket, let problems): JSON(event: "opened_again", ["what": JSON(bracket), "not_opened": JSON(each: problems, \.json)])
        case .undone(let id, let title, let lines): JSON(event: "step_undone", ["step": id.json(title), "undone": JSON(each: lines) { .string($0) }])
        case .left(let id, let title, let problems): JSON(event: "step_left", ["step": id.json(title), "left": JSON(each: problems, \.json)])
        }
    }
}

extension SessionEvent {
    var json: JSON {
        switch self {
        case .looking(let title): JSON(event: "looking", ["title": JSON(title)])
        case .findings(let findings): JSON(event: "findings", ["findings": JSON(each: findings, \.json)])
        case .plan(let plan): JSON(event: "plan", ["steps": JSON(each: plan, \.json)])
        case .began(let header, let journal):
            JSON(event: "run_begun", ["run": JSON(header.run), "procedure": JSON(header.procedure), "cluster": JSON(header.cluster), "journal": JSON(journal)])
        case .takesAway(let run, let things): JSON(event: "takes_away", ["run": JSON(run), "in_use": JSON(each: things) { .string($0) }])
        case .leavings(let run, let things): JSON(event: "leavings", ["run": run.json, "kept": JSON(each: things, \.json)])
        case .removed(let run): JSON(event: "removed", ["run": JSON(run)])
        case .notRemoved(let run, let problem): JSON(event: "not_removed", problem.fields.merging(["run": JSON(run)]) { $1 })
        case .run(let event): event.json
        case .note(let text): JSON(event: "note", ["step": .null, "text": JSON(text)])
        }
    }
}

extension RunFailure {
    var json: JSON {
        let cause = Problem(explaining: cause)
        return .object(cause.fields.merging(["step": step?.json(title) ?? .null, "interrupted": .bool(interrupted), "not_opened": JSON(each: notOpened, \.json)]) { $1 })
    }
}

extension Ending {
    /// What it is called, its exit status, and what belongs to it.
    var fields: [String: JSON] {
        let (name, more): (String, [String: JSON]) =
            switch self {
            case .mayRun(let requirements): ("may_run", ["requirements": JSON(requirements)])
            case .mayNotRun(let unmet, let requirements): ("may_not_run", ["unmet": JSON(unmet), "requirements": JSON(requirements)])
            case .planned: ("planned", [:])
            case .planIsBlocked: ("plan_is_blocked", [:])
            case .nothingToDo: ("nothing_to_do", [:])
            case .declined: ("declined", [:])
            case .done(let run, let words): ("done", ["run": JSON(run), "words": JSON(each: words) { .string($0) }])
            case .failed(let run, let failure, let words):
                ("failed", ["run": JSON(run), "failure": failure.json, "words": JSON(each: words.split(separator: "\n")) { JSON(String($0)) }])
            case .takenBack(let run, let failure, let left): ("taken_back", ["run": JSON(run), "failure": failure.json, "left": JSON(each: left, \.json)])
            case .undone(let run, let left): ("undone", ["run": JSON(run), "left": JSON(each: left, \.json)])
            case .undoInterrupted(let run): ("undo_interrupted", ["run": JSON(run)])
            case .cleaned(let runs, let left): ("cleaned", ["removed": JSON(runs), "not_removed": JSON(left)])
            }
        return more.merging(["ending": JSON(name), "status": JSON(Int(exitStatus))]) { $1 }
    }
}
