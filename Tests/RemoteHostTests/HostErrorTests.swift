import EventLoop
import Report
import Testing

@testable import RemoteHost

@Suite struct HostErrorTests {
    static let sighting = HostKeySighting(
        name: "[n1.example.org]:2222", keyType: "ssh-ed25519", fingerprint: "SHA256:abc", files: ["/home/dba/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"],
        badLines: 2, authorities: 1, scanArguments: ["-p", "2222", "n1.example.org"])

    static var changed: HostKeySighting {
        var sighting = Self.sighting
        (sighting.foundIn, sighting.badLines, sighting.authorities) = ("/etc/ssh/ssh_known_hosts", 0, 0)
        return sighting
    }

    @Test(
        arguments: [
            (
                .configurationUnreadable(host: "n1", detail: "Bad configuration option"),
                """
                n1: the SSH configuration could not be resolved: Bad configuration option
                  HINT: install the OpenSSH client; run `ssh -G HOST` to see the same message
                """
            ),
            (
                .configurationUnsupported(host: "n1", option: "ProxyCommand nc", hint: "use ProxyJump"),
                """
                n1: the SSH configuration asks for ProxyCommand nc, which pggraft does not do
                  HINT: use ProxyJump
                """
            ),
            (
                .unreachable(host: "n1", address: "n1.example.org", reason: .nameNotFound("Name or service not known")),
                """
                n1: the name n1.example.org does not resolve: Name or service not known
                  HINT: check the host's name in the playbook, and HostName in the SSH configuration
                """
            ),
            (
                .unreachable(host: "n1", address: "10.0.0.1 port 22", reason: .refused),
                """
                n1: 10.0.0.1 port 22 refused the connection
                  HINT: is sshd running there, and on this port? say another with `ssh: HOST:PORT` in the playbook, or Port in ~/.ssh/config
                """
            ),
            (
                .unreachable(host: "n1", address: "10.0.0.1 port 22", reason: .timedOut(after: .seconds(10))),
                """
                n1: no answer from 10.0.0.1 port 22 within 10 s
                  HINT: is the host up, and does a firewall drop the connection? a host behind another one needs ProxyJump
                """
            ),
            (
                .unreachable(host: "n1", address: "10.0.0.1 port 22", reason: .other("No route to host")),
                """
                n1: no connection to 10.0.0.1 port 22: No route to host
                  HINT: check the route to the host
                """
            ),
            (
                .noCommonAlgorithm(host: "n1", detail: "Unable to exchange encryption keys"),
                """
                n1: no common SSH algorithm with the server: Unable to exchange encryption keys
                  HINT: libssh2 \(SSHLibrary.version) needs an ed25519 or ECDSA host key (1.11 also checks RSA keys with SHA-2), a CTR or CBC cipher and an hmac-sha2 MAC: on the host run `ssh-keygen -A`, and look at HostKeyAlgorithms, Ciphers and MACs in sshd_config
                """
            ),
            (
                .hostKeyUnknown(host: "n1", sighting: sighting),
                """
                n1: the host key of [n1.example.org]:2222 is not known: ssh-ed25519 SHA256:abc, looked in /home/dba/.ssh/known_hosts, /etc/ssh/ssh_known_hosts; 2 lines there make no sense and were skipped
                  HINT: compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's own console, then add the key: `ssh-keyscan -p 2222 n1.example.org` >> /home/dba/.ssh/known_hosts
                """
            ),
            (
                .hostKeyChanged(host: "n1", sighting: changed),
                """
                n1: THE HOST KEY OF [n1.example.org]:2222 HAS CHANGED: the server shows ssh-ed25519 SHA256:abc, another ssh-ed25519 key stands in /etc/ssh/ssh_known_hosts
                  HINT: either the host was installed anew or somebody sits in between: compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's own console; only then remove the old key with `ssh-keygen -R '[n1.example.org]:2222' -f /etc/ssh/ssh_known_hosts`
                """
            ),
            (
                .hostKeyRevoked(host: "n1", sighting: changed),
                """
                n1: the host key of [n1.example.org]:2222 is revoked: ssh-ed25519 SHA256:abc, marked @revoked in /etc/ssh/ssh_known_hosts
                  HINT: somebody declared this key stolen: give the host a new key, and do not connect until then
                """
            ),
            (
                .authenticationFailed(host: "n1", user: "dba", attempts: [], offered: ["password"]),
                """
                n1: no login as dba: no key to try (the server accepts password)
                  HINT: pggraft logs in with keys only: allow PubkeyAuthentication in the host's sshd_config
                """
            ),
            (
                .authenticationFailed(
                    host: "n1", user: "dba",
                    attempts: [
                        .init(key: "agent key ssh-ed25519 (me)", outcome: .refused), .init(key: "key file /k", outcome: .passphraseWrong),
                    ], offered: ["publickey", "password"]),
                """
                n1: no login as dba: agent key ssh-ed25519 (me): refused by the server; key file /k: wrong passphrase (the server accepts publickey, password)
                  HINT: add the public key to ~/.ssh/authorized_keys of that user on the host, and see sshd's log there for the reason
                """
            ),
            (
                .authenticationFailed(
                    host: "n1", user: "dba", attempts: [.init(key: "key file /k", outcome: .disconnected("Too many authentication failures"))], offered: ["publickey"]),
                """
                n1: no login as dba: key file /k: the server disconnected: Too many authentication failures (the server accepts publickey)
                  HINT: the server counts every key offered: set IdentitiesOnly yes and IdentityFile for this host
                """
            ),
            (
                .authenticationFailed(host: "n1", user: "dba", attempts: [.init(key: "key file /k", outcome: .rsaFileUnusable)], offered: ["publickey"]),
                """
                n1: no login as dba: key file /k: RSA key files cannot be used (the server accepts publickey)
                  HINT: libssh2 \(SSHLibrary.version) cannot sign with an RSA key file as today's servers ask (1.11 can): load it into ssh-agent (`ssh-add FILE`), or use an ed25519 key
                """
            ),
            (
                .connectionLost(host: "n1", detail: "no sign of life for 15 s", during: "pg_ctl promote on n1"),
                """
                n1: connection lost: no sign of life for 15 s, during: pg_ctl promote on n1
                  HINT: a program that was running may still run on the host: look before doing it again
                """
            ),
            (.closed(host: "n1"), "n1: the connection has been closed"),
            (
                .channelRefused(host: "n1", detail: "Channel open failure (connect failed)"),
                """
                n1: the SSH server opens no session: Channel open failure (connect failed)
                  HINT: see MaxSessions in the host's sshd_config; programs left running by earlier sessions count too
                """
            ),
            (
                .shellRefused(host: "n1", user: "dba", answer: ""),
                """
                n1: the login shell of dba did not run the command: no answer
                  HINT: the login user needs a POSIX shell and no forced command; try `ssh HOST true`
                """
            ),
            (
                .outcomeUnknown(host: "n1", words: ["pg_ctl", "-D", "/my data", "promote"], detail: "the shell around it was killed by SIGKILL"),
                """
                n1: whether this succeeded is not known: pg_ctl -D '/my data' promote: the shell around it was killed by SIGKILL
                  HINT: look at the host's state before doing it again
                """
            ),
            (
                .commandTooLong(host: "n1", bytes: 40_000, limit: 30_000),
                """
                n1: a command line of 40000 bytes is too long, the limit is 30000
                  HINT: pass long values by standard input
                """
            ),
            (
                .sudoRefused(host: "n1", loginUser: "dba", user: "postgres", answer: "sudo: a password is required"),
                """
                n1: sudo does not let dba run commands as postgres: sudo: a password is required
                  HINT: allow it without a password, in a file of /etc/sudoers.d: `dba ALL=(postgres) NOPASSWD: ALL`, or log in as postgres or root
                """
            ),
            (
                .noSuchUser(host: "n1", user: "postgres"),
                """
                n1: there is no user postgres
                  HINT: check the user in the playbook
                """
            ),
            (
                .forwardRefused(host: "n1", address: "127.0.0.1", port: 5432, detail: "Channel open failure (connect failed)"),
                """
                n1: 127.0.0.1 port 5432 cannot be reached from the host: Channel open failure (connect failed)
                  HINT: is the server running and listening on that address? sshd must allow it too (AllowTcpForwarding, PermitOpen)
                """
            ),
            (
                .forwardNotOpened(host: "n1", detail: "Permission denied"),
                """
                n1: no local address for a forwarded port: Permission denied
                  HINT: 127.64.0.0/10 must be usable on this machine, as it is on Linux by default
                """
            ),
        ] as [(HostError, String)]) func anErrorSaysWhatHappenedAndWhatToDo(error: HostError, text: String)
    {
        #expect(error.description == text)
        #expect(error.host == "n1")
    }

    @Test func anErrorAboutAFileNamesIt() throws {
        let path = try #require(HostPath("/srv/pg/postgresql.conf"))
        #expect(
            HostError.permissionDenied(host: "n1", path: path, user: "dba", detail: "cat: Permission denied").description
                == "n1: dba may not access /srv/pg/postgresql.conf: cat: Permission denied")
        #expect(
            HostError.permissionDenied(host: "n1", path: path, user: "root", detail: "Operation not permitted").description
                == "n1: root may not access /srv/pg/postgresql.conf: Operation not permitted\n  HINT: is the file system mounted read-only, or the file immutable (`lsattr`)?")
        #expect(
            HostError.fileFailed(host: "n1", operation: "write", path: path, detail: "No space left on device").description
                == "n1: cannot write /srv/pg/postgresql.conf: No space left on device")
    }

}
