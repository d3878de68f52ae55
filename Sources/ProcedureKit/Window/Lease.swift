import Instance
import RemoteHost
import Report
import Server

/// A watchdog on each host in the window: it opens the node by itself when pggraft has not renewed the lease in time.
///
/// Plain `sh`, detached, beside the server. It works when pggraft was killed, when the operator's machine is gone or the
/// network is cut, and it needs no connection to PostgreSQL: it takes the setting out of `postgresql.auto.conf` and
/// signals the postmaster, so that a server which restarts meanwhile comes up open. With the lease's file it goes away.
struct Lease: Sendable {
    let instance: Instance
    let setting: ClosingSetting
    /// Whether it also starts a server that does not run by then: one that is stopped in the window.
    var revives = false

    var file: HostPath { instance.dataDirectory / "pggraft.lease" }

    /// Starts the watchdog. It is there when the command has ended, and one that opens the node for an earlier lease has ended by
    /// then. The lease's file holds the last sign of life and the watchdog's pid.
    func start(time: Duration, restoring before: AlteredSetting) -> Command {
        Command.script(
            Self.starting, Self.opening + Self.watching, file.path, "\(max(1, Int(time.seconds.rounded(.up))))", instance.dataDirectory.path, setting.line(before), ours,
            revival
        ).as(owner)
    }

    private var revival: String { revives ? Shell.line(instance.startCommand(within: 60).words) : "" }
    private var owner: String { revives ? instance.starter : instance.user }

    /// Gives the watchdog another sign of life. Fails where it lives no more.
    func renew(beat: Int) -> Command {
        Command.script(#"read -r beat pid <"$1" && kill -0 "$pid" && printf '%s %s\n' "$2" "$pid" >"$1""#, file.path, "\(beat)").as(owner)
    }

    /// Ends the lease: the watchdog goes without having done anything.
    func end() -> Command { Command("rm", "-f", file.path).as(owner) }

    /// Opens the node as the watchdog would, now: for a server that takes no connection.
    func openNow(restoring before: AlteredSetting) -> Command {
        Command.script(Self.opening + "\nopen", file.path, "0", instance.dataDirectory.path, setting.line(before), ours, revival).as(owner)
    }

    /// The lines of `postgresql.auto.conf` that close the server, as grep -E has them.
    private var ours: String {
        let name = setting.name.split(separator: ".").joined(separator: #"\."#)
        return "^[[:space:]]*\(name)[[:space:]]*=[[:space:]]*'(\(setting.closingValues.joined(separator: "|")))'"
    }

    // $1 the watchdog, $2… what it is given. One that is opening the node sees the new lease and leaves; until then it would open the
    // node that this lease is about to close. Its mark may be older than the machine's start: the pid is then another one's.
    private static let starting = #"""
        printf '0\n' >"$2" || exit 1
        while { read -r one two <"$2.opening"; } 2>/dev/null && grep -qsF -- "$2" "/proc/${two:-$one}/cmdline"; do sleep 0.1; done
        rm -f "$2.opening"
        trap '' HUP
        setsid sh -c "$1" sh "$2" "$3" "$4" "$5" "$6" "$7" </dev/null >/dev/null 2>&1 &
        printf '0 %s\n' "$!" >"$2"
        """#

    // $1 the lease's file, $2 its seconds, $3 the data directory, $4 the line to put back, $5 the lines to take out, $6 what starts the
    // server, where it shall. A line that somebody else has written is left: pggraft writes the closing values only.
    private static let opening = #"""
        lease=$1 limit=$2 data=$3 line=$4 ours=$5 start=$6 conf=$3/postgresql.auto.conf
        lift() {
            while grep -Eq "$ours" "$conf" && ! {
                { sed -E "/$ours/d" "$conf" && { [ -z "$line" ] || printf '%s\n' "$line"; }; } >"$conf.pggraft" &&
                    chmod --reference="$conf" "$conf.pggraft" && { [ "$(id -u)" != 0 ] || chown --reference="$conf" "$conf.pggraft"; } && sync "$conf.pggraft" && mv -f "$conf.pggraft" "$conf"
            }; do sleep 1; done
        }
        # One that is just stopping is waited for: a start beside it fails. Not for long: its stop may wait for a standby or an archiver that does not answer.
        revive() {
            for again in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
                pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && ! grep -q '^stopping' "$data/postmaster.pid" && break
                eval "$start" && break
                [ "$again" -lt 3 ] || ! grep -qs '^stopping' "$data/postmaster.pid" || ! [ "/proc/$pid/cwd" -ef "$data" ] || kill -QUIT "$pid"
                sleep 1
            done
        }
        open() {
            echo $$ >"$lease.opening"
            lift
            [ -z "$start" ] || revive
            # One that another watchdog has by now stays.
            { [ "$limit" != 0 ] && read -r beat holder <"$lease" && [ "$holder" != $$ ]; } || rm -f "$lease"
            # More than once: a postmaster that is just starting may have read the file before it says who it is, and a
            # statement that waited on a frozen host may write the line again.
            for again in 1 2 3 4 5 6 7 8 9 10; do
                # Another lease was begun: what is closed from here on is closed by it.
                [ ! -e "$lease" ] || break
                [ "$again" = 1 ] || [ -n "$line" ] || lift
                pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) && kill -HUP "$pid" 2>/dev/null
                [ "$limit" = 0 ] && [ -n "$pid" ] && break
                sleep 1
            done
            rm -f "$lease.opening"
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
        # Who takes the file has it: this one, or pggraft, which ends the lease.
        mv "$lease" "$lease.opening" 2>/dev/null || exit 0
        open
        """#
}
