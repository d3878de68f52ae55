import EventLoop
import Instance
import Playbook
import ProcedureKit
import RemoteHost
import Report
import Run
import Spock

/// A watchdog on each host in the window: it opens the node by itself when pggraft has not renewed the lease in time.
///
/// Plain `sh`, detached, beside the server. It works when pggraft was killed, when the operator's machine is gone or the
/// network is cut, and it needs no connection to PostgreSQL: it takes the setting out of `postgresql.auto.conf` and
/// signals the postmaster, so that a server which restarts meanwhile comes up open. With the lease's file it goes away.
enum Lease {
    static func file(of instance: Instance) -> HostPath { instance.dataDirectory / "pggraft.lease" }

    /// Starts the watchdog. It is there when the command has ended. The lease's file holds the last sign of life and the
    /// watchdog's pid.
    static func start(on instance: Instance, time: Duration, restoring before: ReadOnlyState) -> Command {
        Command.script(
            #"printf '0\n' >"$2" && { trap '' HUP; setsid sh -c "$1" sh "$2" "$3" "$4" "$5" </dev/null >/dev/null 2>&1 & printf '0 %s\n' "$!" >"$2"; }"#,
            opening + watching, file(of: instance).path, "\(max(1, Int(time.seconds.rounded(.up))))", instance.dataDirectory.path, line(before)
        ).as(instance.user)
    }

    /// Gives the watchdog another sign of life. Fails where it lives no more.
    static func renew(on instance: Instance, beat: Int) -> Command {
        Command.script(#"read -r beat pid <"$1" && kill -0 "$pid" && printf '%s %s\n' "$2" "$pid" >"$1""#, file(of: instance).path, "\(beat)").as(instance.user)
    }

    /// Ends the lease: the watchdog goes without having done anything.
    static func end(on instance: Instance) -> Command { Command("rm", "-f", file(of: instance).path).as(instance.user) }

    /// Opens the node as the watchdog would, now: for a server that takes no connection.
    static func openNow(on instance: Instance, restoring before: ReadOnlyState) -> Command {
        Command.script(opening + "\nopen", file(of: instance).path, "0", instance.dataDirectory.path, line(before)).as(instance.user)
    }

    /// The line that `postgresql.auto.conf` had; empty where it had none.
    private static func line(_ before: ReadOnlyState) -> String { before.altered.map { "spock.readonly = '\($0.rawValue)'" } ?? "" }

    // $1 the lease's file, $2 its seconds, $3 the data directory, $4 the line to put back. A line that somebody else has
    // written is left: pggraft writes user or local.
    private static let opening = #"""
        lease=$1 limit=$2 data=$3 line=$4 conf=$3/postgresql.auto.conf
        ours="^[[:space:]]*spock\.readonly[[:space:]]*=[[:space:]]*'(user|local)'"
        lift() {
            while grep -Eq "$ours" "$conf" && ! {
                { sed -E "/$ours/d" "$conf" && { [ -z "$line" ] || printf '%s\n' "$line"; }; } >"$conf.pggraft" &&
                    chmod --reference="$conf" "$conf.pggraft" && sync "$conf.pggraft" && mv -f "$conf.pggraft" "$conf"
            }; do sleep 1; done
        }
        open() {
            lift
            rm -f "$lease"
            # More than once: a postmaster that is just starting may have read the file before it says who it is, and a
            # statement that waited on a frozen host may write the line again.
            for again in 1 2 3 4 5 6 7 8 9 10; do
                [ "$again" = 1 ] || [ -n "$line" ] || lift
                pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) && kill -HUP "$pid" 2>/dev/null
                [ "$limit" = 0 ] && [ -n "$pid" ] && return 0
                sleep 1
            done
        }
        """#

    private static let watching = #"""

        # In hundredths of a second.
        now() { read -r up rest </proc/uptime; echo "${up%.*}${up#*.}"; }
        seen= since=$(now)
        while [ -e "$lease" ]; do
            beat=; read -r beat rest <"$lease"
            [ "$beat" = "$seen" ] || { seen=$beat; since=$(now); }
            [ $(($(now) - since)) -lt "${limit}00" ] || break
            sleep 0.2
        done
        [ -e "$lease" ] || exit 0
        open
        """#
}

extension Seed {
    /// Starts a lease on each of `nodes` and keeps them renewed until ``stopRenewing()``.
    func startLeases(_ nodes: [String], restoring before: [String: ReadOnlyState]) async throws {
        let time = playbook.handover.lease
        leaseKeeper?.cancel()
        lostWindow = nil
        let instances = try await onEach(nodes) { node in
            let instance = try await self.instance(node)
            guard let state = before[node] else { throw UnknownNode(name: node) }
            try await instance.host.require(Lease.start(on: instance, time: time, restoring: state), deadline: .after(.seconds(20)))
            return instance
        }
        // The new node holds the window up as much as the others: one that answers no more is found out the same way.
        let clone = nodes.contains(newNode) ? nil : try await instance(newNode)
        leaseKeeper = Task { [weak self] in
            var beat = 0
            while !Task.isCancelled {
                beat += 1
                let number = beat
                let results = await attemptOnEach(instances.keys.sorted() + (clone.map { [$0.node] } ?? [])) { node in
                    guard let instance = instances[node] ?? clone else { return }
                    let sign = node == clone?.node ? Command("true") : Lease.renew(on: instance, beat: number)
                    try await instance.host.require(sign, deadline: .after(time / 3))
                }
                for (node, result) in results {
                    if case .failure(let error) = result, !Task.isCancelled { await self?.lost(node, error) }
                }
                do { try await Task.sleep(for: time / 6) } catch { return }
            }
        }
    }

    private func lost(_ node: String, _ error: any Error) {
        guard lostWindow == nil else { return }
        let fact = "the read-only window is given up, so that the others take writes again", hint = "see what is wrong with \(node), then resume"
        if let late = error as? DeadlineExceeded {
            lostWindow = Problem("\(fact): \(node) gave no answer for \(late.budget.inSeconds)", hint: hint)
        } else {
            lostWindow = Problem(fact, because: error, hint: hint)
        }
    }

    /// Throws as soon as the open window cannot be kept: a host does not answer any more, or the time is up.
    func watchWindow() async throws {
        let limit = playbook.handover.windowLimit
        // The steps have the window's own deadline and say more; this is for one that does not come back from it.
        try await wait(for: "the read-only window to end", until: .after((window?.deadline.remaining ?? limit) + .seconds(2)), every: .milliseconds(100)) { () -> Look<Void> in
            if let lostWindow { throw lostWindow }
            return .notYet("it is open")
        }
    }

    /// Stops renewing. The leases' files are taken away node by node, when each is open again.
    func stopRenewing() {
        leaseKeeper?.cancel()
        leaseKeeper = nil
    }

    /// Takes the lease of an open node away, also one that another process of this run has left.
    func endLease(_ node: String) async throws {
        let instance = try await instance(node)
        let host = try await access.host(node, deadline: .after(.seconds(10)))
        try await host.require(Lease.end(on: instance), deadline: .after(.seconds(10)))
    }
}
