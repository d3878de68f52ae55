public import Run

extension Memory {
    /// Whether the run has begun to copy, whichever way, or to take a standby that is there: what is in the place of the copy is its own by now.
    public var beganCopy: Bool { began(RestoreBackup.self) || began(CopyFiles.self) || began(AdoptStandby.self) }

    /// Whether a standby that was there before was started as the copy.
    public var startedAdopted: Bool { began(AdoptStandby.self) && began(StartStandby.self) && !isUndone(StartStandby.self) }

    /// The data directory that the run has copied into.
    /// - Parameter undone: also where that was taken back.
    func copiedInto(undone: Bool) throws -> String? {
        let steps = [RestoreBackup.name, CopyFiles.name].filter { undone || !isUndone($0) }
        return try steps.lazy.flatMap { try created(by: $0) }.first { $0.kind == "data directory" }?.name
    }
}
