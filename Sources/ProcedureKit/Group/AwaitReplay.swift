public import EventLoop
import Instance
import PostgresConfig
public import Run
import Server

extension ClusterAccess {
    /// Waits until `standbys` have replayed what `primary` has written by now: one that streams may stand still, its replay paused.
    ///
    /// One that is told to replay late need only have it on disk, and that is said.
    public nonisolated func awaitReplay(by standbys: [String], of primary: String, deadline: Deadline, _ run: StepRun) async throws {
        let written = try await server(primary).currentLSN(deadline: .after(.seconds(20)))
        _ = try await onEach(standbys) { name in
            let standby = try await self.server(name)
            if let delay = try await self.replayDelay(name) {
                run.note("\(name) replays late (recovery_min_apply_delay = \(delay)): it is seen to have received everything up to \(written), not to replay it")
                try await standby.waitReceived(to: written, of: primary, deadline: deadline)
            } else {
                try await standby.waitReplayed(to: written, of: primary, deadline: deadline)
            }
        }
    }

    /// By how much a standby is told to replay late; `nil` for not at all.
    private nonisolated func replayDelay(_ name: String) async throws -> String? {
        let instance = try await instance(name), setting = "recovery_min_apply_delay", deadline = Deadline.after(.seconds(20)), said: String?
        switch instance.features.standbyMarker {
        case .signalFile: said = try await server(name).settings([setting], deadline: deadline)[setting].map { $0 == "0" ? "" : "\($0) ms" }
        case .recoveryConf: said = try await instance.saidOfReplayDelay(deadline: deadline)
        }
        return said.flatMap { $0.isEmpty || $0 == "0" ? nil : $0 }
    }
}
