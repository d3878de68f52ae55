/// What joins a connection to a Unix-domain socket of a host, as an OS user of that host: a server asks the kernel who it is that
/// connects (`peer`), and sshd connects as the user who logged in.
///
/// No program of ours is there. One that is there copies both ways: perl (Debian's `perl-base`, which is on every Debian), Python
/// (RHEL's `platform-python`, which is on every RHEL from 8), socat, or nc where it knows `-U`.
enum SocketRelay {
    /// With this it ends where none of them is there.
    static let nothingThere: Int32 = 87
    /// What a path of a Unix-domain socket may be long, in bytes.
    static let longestPath = 107

    /// - Parameter nonce: that of a ``ProgramReport`` which is told that the socket has been reached; empty where nobody listens for it.
    static func command(to path: HostPath, as user: String, nonce: String) -> Command {
        Command(words: ["sh", "-c", script, "sh", path.path, nonce, perl, python, pythonLines], user: user)
    }

    /// What has become of one that did not reach the socket.
    /// - Parameter refusal: why sshd did not connect by itself, where it was asked.
    static func failure(_ result: CommandResult, host: String, path: HostPath, loginUser: String, user: String, refusal: String? = nil) -> HostError {
        guard result.status == .code(nothingThere) else {
            return .socketRefused(host: host, path: path, user: user, detail: result.errorText.isEmpty ? "\(result.status)" : result.errorText)
        }
        let none = "the host has no perl, no python3, no socat and no nc that knows -U"
        return .noSocketRelay(host: host, loginUser: loginUser, user: user, detail: refusal.map { "sshd says \($0), and \(none)" } ?? none)
    }

    // None has a newline, and each is quoted once: csh and fish take the line, too.

    /// `$1` the socket, `$2` the nonce, then the programs.
    private static let script =
        #"if perl -e 0 2>/dev/null; then exec perl -e "$3" "$1" "$2"; fi; "#
        + #"for p in python3 /usr/libexec/platform-python python; do if "$p" -c 0 2>/dev/null; then exec "$p" -c "$5" "$1" "$2" "$4"; fi; done; "#
        + #"if nc -h 2>&1 | grep -q -e -U; then n=nc; if nc -h 2>&1 | grep -q -e -N; then n='nc -N'; fi; fi; "#
        + #"if command -v socat >/dev/null; then set -- "$1" "$2" socat - "UNIX-CONNECT:$1"; elif [ -n "${n:-}" ]; then set -- "$1" "$2" $n -U "$1"; "#
        + "else exit \(nothingThere); fi; "
        + #"[ -S "$1" ] || { printf '%s: no socket is there, or it may not be seen\n' "$1" >&2; exit 1; }; "#
        + #"if [ -n "$2" ]; then printf '\n%s\n' "$2"; printf '\n%s %s\n' "$2" "$$" >&2; fi; shift 2; exec "$@""#

    /// A process for each direction: one that does both would stand still where both ends wait for it to read. The numbers are Linux's of
    /// AF_UNIX and SOCK_STREAM: what brings their names is not in every package of perl.
    private static let perl =
        #"my($p,$n)=@ARGV; my $s; socket($s,1,1,0) && connect($s,pack("Sa108",1,$p)) or die "$p: $!\n"; "#
        + #"sub put{my($to,$what)=@_; while(length $what){my $done=syswrite($to,$what); defined $done or exit 1; substr($what,0,$done)=""}} "#
        + #"if($n ne ""){put(*STDOUT,"\n$n\n"); put(*STDERR,"\n$n $$\n")} "#
        + #"my $c=fork; defined $c or die "fork: $!\n"; my($in,$out)=$c?($s,*STDOUT):(*STDIN,$s); if(not $c){close STDOUT; close STDERR} "#
        + #"my $d; while(sysread($in,$d,65536)){put($out,$d)} if($c){kill "TERM",$c}else{shutdown($s,1)}"#

    /// The same for Python 2 and 3; its lines end with a tilde.
    private static let python = """
        import os,signal,socket,sys~p,n=sys.argv[1:3]~signal.signal(signal.SIGPIPE,signal.SIG_DFL)~s=socket.socket(socket.AF_UNIX)~\
        try: s.connect(p)~\
        except Exception as e: sys.exit('%s: %s'%(p,getattr(e,'strerror',None) or e))~\
        if n: os.write(1,('\\n%s\\n'%n).encode());os.write(2,('\\n%s %d\\n'%(n,os.getpid())).encode())~\
        c=os.fork()~i,o=(s.fileno(),1) if c else (0,s.fileno())~\
        if not c: os.close(1);os.close(2)~\
        try:~ d=os.read(i,65536)~ while d:~  while d: d=d[os.write(o,d):]~  d=os.read(i,65536)~\
        except OSError: pass~\
        if c: os.kill(c,15)~\
        else: s.shutdown(1)~
        """
    private static let pythonLines = #"import sys;exec(sys.argv[3].replace("~",chr(10)))"#
}
