public import EventLoop
public import PostgresClient
import PostgresConfig
import RemoteHost
import Report

/// Which part of the write-ahead log an instance has still.
enum KeptWAL {
    /// What the name of the file that holds a position ends with, behind the eight digits of a timeline.
    static func suffix(of position: LSN, segment bytes: UInt64) -> String {
        let number = position.position / bytes, perFile = (1 << 32) / bytes
        func digits(_ number: UInt64) -> String { String(number, radix: 16, uppercase: true).zeroPadded(to: 8) }
        return digits(number / perFile) + digits(number % perFile)
    }

    // $1 WAL directory, $2 the end of a name. In the file of a switch of timelines that of the new one has the log of the old one, too.
    static let script = #"cd "$1" && ls | grep -qE "^[0-9A-F]{8}$2\$" && echo kept; :"#
}

extension Instance {
    /// Whether a file of its log, of whichever timeline, holds `position`.
    public func hasWAL(at position: LSN, deadline: Deadline) async throws -> Bool {
        let bytes = try await controlData(deadline: deadline).walSegmentBytes, directory = dataDirectory / features.walDirectory
        let command = Command.script(KeptWAL.script, directory.path, KeptWAL.suffix(of: position, segment: bytes)).as(user)
        return try await host.require(command, deadline: deadline).text == "kept"
    }

    /// Whether a standby that is started here knows an archive (`restore_command`).
    public func restoresWAL(deadline: Deadline) async throws -> Bool {
        switch features.standbyMarker {
        case .signalFile: try await !(settingsTree(deadline: deadline).deciding("restore_command")?.value ?? "").isEmpty
        case .recoveryConf: try await !(recoveryFile(.recoveryConf, deadline: deadline)?.value(of: "restore_command") ?? "").isEmpty
        }
    }

    /// What `recovery.conf` says (until 11) a server streams by as a standby, or what that of its time as a standby has said.
    public func saidInRecovery(_ isInRecovery: Bool, deadline: Deadline) async throws -> (conninfo: Conninfo?, slot: String?) {
        guard let file = try await recoveryFile(isInRecovery ? .recoveryConf : .recoveryDone, deadline: deadline) else { return (nil, nil) }
        return (try file.value(of: "primary_conninfo").map { try Conninfo(ofServer: $0).withoutSecrets }, file.value(of: "primary_slot_name"))
    }

    /// What `recovery.conf` (until 11) says of a replay that is to be late, as it stands there.
    public func saidOfReplayDelay(deadline: Deadline) async throws -> String? {
        try await recoveryFile(.recoveryConf, deadline: deadline)?.value(of: "recovery_min_apply_delay")
    }

    private func recoveryFile(_ file: StandbyConfiguration.File, deadline: Deadline) async throws -> SettingsFile? {
        try await host.read(dataDirectory / file.rawValue, as: user, deadline: deadline).map { SettingsFile($0) }
    }
}
