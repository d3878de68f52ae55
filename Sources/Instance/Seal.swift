public import EventLoop
public import PostgresConfig
public import RemoteHost
import Report

/// The mark that makes a standby of whatever starts in a data directory: put on a primary that was stopped for good, before
/// another one takes its place, it comes up read-only whoever starts it. What a recovery to a point in time has left in its settings, by which it would
/// promote itself, is overridden in `postgresql.auto.conf`: a primary never asks for it.
public enum Seal {
    /// The file that is the mark.
    public static func file(_ features: ServerFeatures) -> StandbyConfiguration.File {
        features.standbyMarker == .signalFile ? .standbySignal : .recoveryConf
    }

    /// What a file that stands alone says; in `recovery.conf` that it is a standby, which has nowhere to stream from yet.
    static func content(_ features: ServerFeatures) -> String {
        features.standbyMarker == .signalFile ? "" : "standby_mode = 'on'\nrecovery_target_timeline = 'latest'\n"
    }

    /// Who was looked for in vain, by exit status.
    static let runs: Int32 = 21, opening: Int32 = 22

    // $1 data directory, $2 the mark, $3 what it says, $4 pg_controldata, $5 what finds processes, $6 the lease's file, $7 where its configuration is.
    // The watchdog of the lease goes first: one that has begun to open the node has said so before.
    static let script = #"""
        if read -r beat pid <"$6"; then
          if grep -qsF -- "$6" "/proc/$pid/cmdline"; then kill -9 "$pid"; fi
          while grep -qsF -- "$6" "/proc/$pid/cmdline"; do sleep 0.01; done
        fi 2>/dev/null
        [ ! -e "$6.opening" ] || exit 22
        found=$(sh -c "$5" sh "$1")
        [ -z "$found" ] || { printf '%s\n' "$found" >&2; exit 21; }
        auto=$1/postgresql.auto.conf
        set_to="^[[:space:]]*recovery_target(_(lsn|name|time|xid))?([[:space:]]*=[[:space:]]*|[[:space:]]+)('[^']|[^'#=[:space:]])"
        if [ "$2" = standby.signal ] && grep -qsE "$set_to" "$1"/*.conf "$1"/conf.d/*.conf "$7"/*.conf "$7"/conf.d/*.conf; then
          { [ ! -e "$auto" ] || cat "$auto"; } >"$auto.pggraft" && printf "\nrecovery_target%s = ''" '' _lsn _name _time _xid >>"$auto.pggraft" && echo >>"$auto.pggraft" && chmod 0600 "$auto.pggraft" &&
            { [ "$(id -u)" != 0 ] || chown --reference="$1" "$auto.pggraft"; } && sync "$auto.pggraft" && mv -f "$auto.pggraft" "$auto" || exit 1
        fi
        printf '%s' "$3" >"$1/$2.pggraft" && { [ "$(id -u)" != 0 ] || chown --reference="$1" "$1/$2.pggraft"; } && sync "$1/$2.pggraft" && mv -f "$1/$2.pggraft" "$1/$2" && sync "$1" || exit 1
        found=$(sh -c "$5" sh "$1")
        [ -z "$found" ] || { rm -f "$1/$2"; printf '%s\n' "$found" >&2; exit 21; }
        rm -f "$6"
        exec "$4" "$1"
        """#
}

extension Instance {
    /// Where ``seal(endingLease:deadline:)`` looks for what a recovery has left: `*.conf` in these directories.
    private var configDirectories: [HostPath] {
        [dataDirectory, debianCluster?.configDirectory ?? dataDirectory].flatMap { [$0, $0 / "conf.d"] }
    }

    /// Whether the mark of a standby overrides `target`: it stands where settings usually do, spelled as usual.
    public func sealOverrides(_ target: RecoveryTarget) -> Bool {
        guard let file = HostPath(target.entry.file), file.path.hasSuffix(".conf"), target.entry.name == target.name else { return false }
        return configDirectories.contains { $0 / file.name == file }
    }

    func seal(lease: HostPath) -> Command {
        Command.script(
            Seal.script, dataDirectory.path, Seal.file(features).rawValue, Seal.content(features), (binaries.directory / "pg_controldata").path, DataDirectoryProcess.script,
            lease.path, (debianCluster?.configDirectory ?? dataDirectory).path
        ).as(starter)
    }

    /// Puts the mark of a standby on the stopped server, and ends the lease that would start it: from here on nobody makes a primary of it
    /// but by taking the mark away.
    /// - Parameter lease: the file of the lease.
    /// - Returns: what `pg_controldata` says then.
    /// - Throws: `Problem` where a process of the server is there, or the lease has run out: nothing is marked then.
    public func seal(endingLease lease: HostPath, deadline: Deadline) async throws -> ControlData {
        let result = try await host.run(seal(lease: lease), deadline: deadline)
        switch result.status {
        case .code(Seal.runs): throw Problem("\(node): its server was started again: \(result.errorText.onOneLine)", hint: "see who started it, and run again")
        case .code(Seal.opening): throw Problem("\(node): the lease ran out, and its watchdog has opened the server again", hint: "resume the run: it begins anew")
        default: break
        }
        guard result.succeeded, let data = ControlData(result.text) else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "what pg_controldata says of \(dataDirectory): \(result.errorText)")
        }
        return data
    }

    /// Whether the mark of a standby is there.
    public func isSealed(deadline: Deadline) async throws -> Bool {
        try await host.stat(dataDirectory / Seal.file(features).rawValue, as: user, deadline: deadline) != nil
    }

    /// Takes the mark away from a server that was not started since: it was a primary, and will be one.
    public func unseal(deadline: Deadline) async throws {
        try await host.remove(dataDirectory / Seal.file(features).rawValue, as: user, deadline: deadline)
    }

    /// What a stop still waits for whose time is over.
    private func notStopped(within budget: Duration) async throws -> Problem {
        let left = try await processes(deadline: .after(.seconds(10))).filter(\.holdsStopUp).map(\.description)
        return Problem(
            "\(node): its stop has not come to its end in time\(left.isEmpty ? "" : ", and waits for \(list(left))")",
            hint: "a fast stop waits until every standby that streams has everything, and until archive_command has come back: see to them")
    }

    /// Stops the server fast, and reads its control file: one command where that is enough.
    /// - Throws: as ``stop(mode:deadline:)`` and ``controlData(deadline:)``.
    public func stopAndReadControlData(deadline: Deadline) async throws -> ControlData {
        let stopping = Shell.line(stopCommand(mode: .fast, seconds: seconds(until: deadline)).words)
        let script = #"eval "$1" >&2 || exit $?; exec "$2" "$3""#
        let command = Command.script(script, stopping, (binaries.directory / "pg_controldata").path, dataDirectory.path).as(starter)
        let result = try await host.run(command, deadline: .after(deadline.remaining + .seconds(10)))
        if result.succeeded, let data = ControlData(result.text), data.state == .shutDown { return data }
        if deadline.hasPassed { throw try await notStopped(within: deadline.budget) }
        // One after the other it is seen what does not work.
        try await stop(mode: .fast, deadline: deadline)
        return try await controlData(deadline: deadline.orAfter(.seconds(20)))
    }
}
