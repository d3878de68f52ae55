import EventLoop
import Report
public import Run
import Server

/// Create the slot that keeps the standby's WAL on its source, from before the copy on.
public struct CreateStandbySlot: Step {
    public static let name = "standby-slot"
    private let standby: Standby
    private let slot: SlotName
    private static let kind = "replication slot"

    /// In bytes; `nil` where nobody watches.
    private let keepsFree: UInt64?

    /// - Parameter keepsFree: what stays free for WAL, in bytes, or the slot is given up; `nil` for no limit.
    public init(_ slot: SlotName, of standby: Standby, keepingFree keepsFree: UInt64? = nil) { (self.slot, self.standby, self.keepsFree) = (slot, standby, keepsFree) }

    public var title: String { "Create the replication slot \(slot) on \(standby.source)" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        let source = standby.source, thing = Created(Self.kind, on: source, slot.rawValue)
        guard let found = try await standby.access.server(source).slot(slot, deadline: .after(.seconds(20))) else {
            return .needed([
                Change(
                    "\(source): create the physical replication slot \(slot), which keeps WAL from now on" + (keepsFree.map { ", as long as \($0.inBytes) are free there" } ?? ""))
            ])
        }
        let drop = "if nobody needs it, on \(source): SELECT pg_drop_replication_slot('\(slot)'); or name another one (replication.slot)"
        if found.plugin != nil { return .blocked([Problem("\(source): \(slot) is a logical replication slot", hint: drop)]) }
        if found.walStatus == "lost" { return .blocked([Problem("\(source): what the replication slot \(slot) kept is lost", hint: drop)]) }
        if try memory.created(by: name).contains(thing) { return .done("it is there") }
        guard let reader = found.activePID else { return .done("it was there, and nobody reads it") }
        let application = try await standby.access.server(source).applicationName(of: reader, deadline: .after(.seconds(20)))
        if application == standby.name { return .done("\(standby.name) reads it") }
        return .blocked([Problem("\(source): the replication slot \(slot) is read by \(application ?? "another one")", hint: "name another one (replication.slot)")])
    }

    public func perform(_ run: StepRun) async throws -> String {
        try run.creating(Created(Self.kind, on: standby.source, slot.rawValue))
        let begin = try await standby.access.server(standby.source).createPhysicalSlot(slot, deadline: .after(.seconds(20)))
        return begin.map { "it keeps WAL from \($0) on" } ?? "created"
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        await takeBack(try run.created) { [standby] thing in
            guard let slot = SlotName(rawValue: thing.name) else { return .absent }
            let server = try await standby.access.server(thing.place)
            guard let found = try await server.slot(slot, deadline: .after(.seconds(20))) else { return .absent }
            guard found.plugin == nil else { return .left(Problem("\(thing) is a logical one by now: left alone", hint: "find out whose it is")) }
            return try await server.dropSlotOfStoppedReader(slot) ? .gone("\(thing) is dropped") : .absent
        }
    }
}
