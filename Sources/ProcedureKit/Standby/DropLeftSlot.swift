import EventLoop
import Report
public import Run
import Server

/// Drop the slot on the source that the copy has streamed through as a standby, and has left.
public struct DropLeftSlot: LeavesNothing {
    public static let name = "left-slot"
    private let standby: Standby

    public init(of standby: Standby) { self.standby = standby }

    public var title: String { "Drop the slot on \(standby.source) that \(standby.name) had as a standby" }
    public var leavesNothing: String { "\(standby.name) has left it, and cannot come back to it" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        guard let slot = try await slot(memory) else { return .done("it had none") }
        guard try await standby.access.server(standby.source).slot(slot, deadline: .after(.seconds(20))) != nil else { return .done("\(slot) is gone") }
        return .needed([Change("\(standby.source): drop the physical slot \(slot), which would keep WAL for nobody")])
    }

    private func slot(_ memory: Memory) async throws -> SlotName? {
        guard let slot = try memory.recall(AdoptStandby.slot) else { return try await standby.slotInUse() }
        return SlotName(rawValue: slot)
    }

    public func perform(_ run: StepRun) async throws -> String {
        guard let slot = try await slot(run.memory) else { return "it had none" }
        let server = try await standby.access.server(standby.source), deadline = Deadline.after(.seconds(20))
        if let reader = try await server.slot(slot, deadline: deadline)?.activePID, let other = try await server.applicationName(of: reader, deadline: deadline),
            other != standby.name
        {
            run.note("\(standby.source): the slot \(slot) is read by \(other) now, and stays")
            return "\(slot) is somebody else's"
        }
        return try await server.dropSlotOfStoppedReader(slot) ? "\(slot) is dropped" : "\(slot) is gone"
    }
}
