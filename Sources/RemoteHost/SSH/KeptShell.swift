import Report

/// An `sh` of one OS user on a host, kept for one program after another.
///
/// A program that is given to it costs one round trip: no channel is opened, no login shell, `sudo` or PAM starts. What it
/// keeps of ``ProgramReport`` is everything: the marks on both streams, the process that watches, the program's own input.
///
/// On the host the shell is a loop that makes ready for one program before that is asked for: a process that will watch it,
/// two pipes, and a `cat` behind each. The program writes into these pipes and never sees the shell's own streams, so what
/// it leaves behind (a postmaster with its standard output open) ends at the two relays, which are ended before the next
/// program begins. The marks of the beginning go round the relays: once a program can run, the shell has said so.
///
/// What reads from the shell reads byte by byte, as `read` of every `sh` does, and nothing else has its input. So:
/// - a program's input comes in the same line as the program, and is handed on by `printf`, which is part of the shell: it
///   stands in no command line, environment or file;
/// - an input that is large (``longestInput``) has a channel of its own, where it need not be read byte by byte.
final class KeptShell {
    /// The OS user whose it is.
    let user: String
    let nonce: String
    let channel: OpaquePointer
    /// What has still to be written before the next program.
    var unwritten: [UInt8] = []

    init(user: String, nonce: String, channel: OpaquePointer) {
        (self.user, self.nonce, self.channel) = (user, nonce, channel)
    }

    /// The shell ends with this code when the process that watches a program has been killed.
    static let watcherLost: Int32 = 86
    /// The bytes of a program's input as it is written, at most. `read` takes up to a microsecond for each.
    static let longestInput = 32_768

    /// The line for the login shell of `loginUser`. A ``ProgramReport`` with this nonce tells that the shell is there.
    static func line(user: String, nonce: String, loginUser: String) -> String {
        let words = Command(words: ["sh", "-c", loop, "sh", nonce, watcher], user: user).allWords(loginUser: loginUser)
        return "exec " + Shell.line(["sh", "-c", #"cd / && exec "$@""#, "sh"] + words)
    }

    /// What is written to the shell to have `command` run; `nil` where that is too much.
    static func request(_ command: Command, nonce: String) -> [UInt8]? {
        guard let input = formatted(command.input) else { return nil }
        let line = Array(command.lineOfItsUser.utf8), newline = UInt8(ascii: "\n")
        let lines = line.reduce(1) { $1 == newline ? $0 + 1 : $0 }
        return Array("\(nonce) \(lines)\n".utf8) + line + [newline] + input + [newline]
    }

    /// Once the program's end has been seen: its relays are not needed any more.
    static let receipt: [UInt8] = [UInt8(ascii: "\n")]

    /// `bytes` as a format of `printf`, on one line of ASCII.
    private static func formatted(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count <= longestInput else { return nil }
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            // A minus that comes first would begin an option.
            case UInt8(ascii: "-") where text.isEmpty, UInt8(ascii: "%"), UInt8(ascii: "\\"), ..<0x20, 0x7F...:
                text += [UInt8(ascii: "\\")] + [byte >> 6, byte >> 3 & 7, byte & 7].map { $0 + UInt8(ascii: "0") }
            default: text.append(byte)
            }
        }
        return text.count <= longestInput ? text : nil
    }

    // Neither has a newline: csh takes the line, too; and what is quoted is so once only: fish does. dash, bash and busybox run both.

    /// `$1` is the shell's nonce, `$2` is ``watcher``. The shell's input is descriptor 3; a pipe's write end is had by opening
    /// the read end again, which is tried before the shell says that it is there. `TMOUT` would end bash's `read`.
    private static let loop =
        #"exec 3<&0 </dev/null; unset TMOUT; : | { exec 4<&0 5>/proc/self/fd/4; } || exit 1; "#
        + #"printf '\n%s\n' "$1" && printf '\n%s %s\n' "$1" "$$" >&2 || exit 1; "#
        + #"while : | { : | sh -c "$2" sh "$1"; } 5<&0; do :; done; exit 86"#

    /// For one program: its relays, then the request, the program, its end, the receipt. Descriptors 4 and 5 are the pipes' read
    /// ends, 6 and 7 their write ends. Without a receipt the relays have some time to bring the end through. One that is still
    /// there is ended only if it is a child of ours: its number may be another's by then.
    private static let watcher =
        #"exec 4<&0 </dev/null 6>/proc/self/fd/4 7>/proc/self/fd/5 || exit 1; "#
        + #"cat <&4 2>/dev/null 3<&- 4<&- 5<&- 6>&- 7>&- & o=$!; "#
        + #"cat <&5 >&2 2>/dev/null 3<&- 4<&- 5<&- 6>&- 7>&- & e=$!; exec 4<&- 5<&-; "#
        + #"t=$(printf '\nx'); t=${t%x}; read -r m n <&3 || exit 1; c=; "#
        + #"while [ "$n" -gt 0 ]; do IFS= read -r l <&3 || exit 1; c=$c$l$t; n=$((n-1)); done; "#
        + #"IFS= read -r i <&3 || exit 1; "#
        + #"printf '\n%s\n' "$m" && printf '\n%s %s\n' "$m" "$$ $o $e" >&2 || exit 1; "#
        + #"exec >&6 8>&7 2>/dev/null 6>&- 7>&-; "#
        + #"if [ -n "$i" ]; then printf "$i" 3<&- 8>&- | (exec 2>&8 3<&- 8>&-; eval "$c"); else (exec 2>&8 3<&- 8>&-; eval "$c"); fi; s=$?; "#
        + #"printf '\n%s\n' "$m"; printf '\n%s %s\n' "$m" "$s" >&8; exec >/dev/null 8>&-; read -r n <&3 || sleep 2; "#
        + #"for r in "$o" "$e"; do read -r a b c p d <"/proc/$r/stat" && [ "$p" = "$$" ] && kill "$r"; done; wait; exit 0"#
}
