public import EventLoop
public import RemoteHost
public import Report
import Synchronization

extension BackRest {
    /// The version on `host`.
    /// - Throws: ``BackRestError/notInstalled(host:program:)``
    public func installedVersion(on host: any Host, deadline: Deadline) async throws -> BackRestVersion {
        let result = try await host.run(version(), deadline: deadline)
        // 127 from env and from the shell: no such program.
        if result.status == .code(127) { throw BackRestError.notInstalled(host: host.name, program: program) }
        let text = try succeeded(result, "version", on: host).text
        guard let version = BackRestVersion(text) else {
            throw BackRestError.unreadable(host: host.name, command: "version", why: "no version in '\(text)'")
        }
        return version
    }

    /// What the repository holds for the stanza.
    public func info(on host: any Host, deadline: Deadline) async throws -> StanzaInfo {
        let result = try succeeded(try await host.run(info(), deadline: deadline), "info", on: host)
        guard let info = try stanza(in: result, on: host) else {
            throw BackRestError.unreadable(host: host.name, command: "info", why: "it does not mention stanza '\(stanza)'")
        }
        return info
    }

    /// What `info` has answered of the stanza.
    func stanza(in result: CommandResult, on host: any Host) throws(BackRestError) -> StanzaInfo? {
        do {
            return try StanzaInfo.decode(result.output).first { $0.name == stanza.name }
        } catch {
            throw .unreadable(host: host.name, command: "info", why: Problem(explaining: error).fact)
        }
    }

    public func createStanza(on host: any Host, deadline: Deadline) async throws {
        try succeeded(try await host.run(stanzaCreate(), deadline: deadline), "stanza-create", on: host)
    }

    /// Proves that a WAL segment of the source arrives in the repository.
    public func check(on host: any Host, archiveTimeout: Duration? = nil, deadline: Deadline) async throws {
        try succeeded(try await host.run(check(archiveTimeout: archiveTimeout), deadline: deadline), "check", on: host)
    }

    /// Deletes the stanza and all its backups: for a stanza that this run made.
    ///
    /// archive_command must not push to it any more. Where the deletion fails, archiving is allowed again.
    public func deleteStanza(on host: any Host, deadline: Deadline) async throws {
        try succeeded(try await host.run(stop(), deadline: deadline), "stop", on: host)
        let deleted = try await host.run(stanzaDelete(), deadline: deadline)
        if !deleted.succeeded { try succeeded(try await host.run(start(), deadline: deadline), "start", on: host) }
        try succeeded(deleted, "stanza-delete", on: host)
    }

    /// Takes a full backup and returns its label and pgBackRest's warnings.
    ///
    /// A backup that was cut off before is resumed where type and compression are the same, else removed; a resumed one
    /// keeps its first label.
    /// - Parameter bytesTotal: the size of the data directory, for progress.
    /// - Throws: ``BackRestError/alreadyRunning(host:stanza:_:)`` before anything is started.
    public func backUp(
        on host: any Host, processes: Int, bytesTotal: UInt64? = nil, deadline: Deadline,
        onProgress: (@Sendable (CopyProgress) -> Void)? = nil
    ) async throws -> (label: String, warnings: [Problem]) {
        let log = try await copy(backup(processes: processes), "backup", on: host, bytesTotal: bytesTotal, deadline: deadline, onProgress)
        guard let label = log.newBackup else {
            throw BackRestError.unreadable(host: host.name, command: "backup", why: "it names no new backup label")
        }
        return (label, log.warnings)
    }

    /// Restores a backup as a standby and returns its label and pgBackRest's warnings.
    ///
    /// pgBackRest takes no lock for a restore before 2.56: two of them into one directory would ruin it, hence the look first.
    /// - Parameter bytesTotal: the size of the backup by ``StanzaInfo``, for progress.
    /// - Throws: ``BackRestError/alreadyRunning(host:stanza:_:)`` before anything is started.
    public func restore(
        _ options: RestoreOptions, on host: any Host, processes: Int, bytesTotal: UInt64? = nil, deadline: Deadline,
        onProgress: (@Sendable (CopyProgress) -> Void)? = nil
    ) async throws -> (label: String, warnings: [Problem]) {
        let log = try await copy(
            restore(options, processes: processes), "restore", on: host, bytesTotal: bytesTotal, deadline: deadline, onProgress)
        guard let label = log.restoredBackup else {
            throw BackRestError.unreadable(host: host.name, command: "restore", why: "it does not name the backup set")
        }
        return (label, log.warnings)
    }

    /// The processors of `host`.
    public static func cores(of host: any Host, deadline: Deadline) async throws -> Int {
        let text = try await host.require(Command("nproc"), deadline: deadline).text
        guard let cores = Int(text) else { throw BackRestError.unreadable(host: host.name, command: "nproc", why: "no number in '\(text)'") }
        return cores
    }

    /// How many processes a backup may use on a host with `cores`: half of them, for the source goes on serving.
    ///
    /// Eight at most: each opens an SSH connection when the repository is remote, and sshd drops connections beyond ten.
    public static func backupProcesses(cores: Int) -> Int { min(8, max(1, (cores + 1) / 2)) }

    /// How many processes a restore may use on a host with `cores`: all of them, up to eight.
    public static func restoreProcesses(cores: Int) -> Int { min(8, max(1, cores)) }

    private func copy(
        _ command: Command, _ name: String, on host: any Host, bytesTotal: UInt64?, deadline: Deadline,
        _ onProgress: (@Sendable (CopyProgress) -> Void)?
    ) async throws -> BackRestLog {
        let running = try await ownProcesses(on: host, deadline: deadline)
        guard running.isEmpty else { throw BackRestError.alreadyRunning(host: host.name, stanza: stanza, running) }
        let meter = Mutex(ProgressMeter(bytesTotal: bytesTotal))
        let result = try await host.run(command, deadline: deadline) { line in
            guard let progress = meter.withLock({ $0.read(line, at: .now) }) else { return }
            onProgress?(progress)
        }
        try succeeded(result, name, on: host)
        let output = BackRestLog(result.text), errors = BackRestLog(result.errorText)
        return output.joined(with: errors)
    }

    @discardableResult
    private func succeeded(_ result: CommandResult, _ command: String, on host: any Host) throws(BackRestError) -> CommandResult {
        guard !result.succeeded else { return result }
        for log in [BackRestLog(result.errorText), BackRestLog(result.text)] {
            guard let failure = log.failure else { continue }
            throw .failed(
                BackRestError.Failure(
                    host: host.name, command: command, stanza: stanza, code: failure.code, message: failure.message, hints: failure.hints,
                    warnings: log.warnings.map(\.fact).filter { !$0.contains("-retention-") }))
        }
        if result.status == .code(63) {
            throw .failed(
                BackRestError.Failure(
                    host: host.name, command: command, stanza: stanza, code: BackRestErrorCode(rawValue: 63), message: "terminated by a signal", hints: []))
        }
        throw .ended(host: host.name, command: command, stanza: stanza, result.status, errorText: result.errorText)
    }
}
