import Testing

@testable import RemoteHost

@Suite struct SSHOptionsTests {
    @Test func theCommandAsksForJustThisHost() {
        #expect(SSHOptions.command(for: SSHTarget("n1")).words == ["ssh", "-G", "--", "n1"])
        #expect(
            SSHOptions.command(for: SSHTarget("-oProxyCommand=evil", user: "dba", port: 2222, configFile: "/c f")).words
                == ["ssh", "-G", "-F", "/c f", "-l", "dba", "-p", "2222", "--", "-oProxyCommand=evil"])
    }

    @Test func theAnswerIsReadWhole() throws {
        let options = try #require(
            SSHOptions(
                """
                host n1
                user dba
                hostname 10.0.0.1
                port 2222
                identitiesonly yes
                identityagent none
                proxyjump bastion,ops@second:2200
                hostkeyalias N1.example.org
                identityfile /keys/one key
                identityfile /keys/%r@%h:%p
                globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2
                userknownhostsfile /k/one /k/two
                """))
        #expect(options.hostName == "10.0.0.1")
        #expect(options.user == "dba")
        #expect(options.port == 2222)
        #expect(options.identitiesOnly)
        #expect(options.agentSocket(environment: ["SSH_AUTH_SOCK": "/a"]) == nil)
        #expect(options.proxyJump == ["bastion", "ops@second:2200"])
        #expect(options.identityFiles == ["/keys/one key", "/keys/dba@10.0.0.1:2222"])
        #expect(options.userKnownHostsFiles == ["/k/one", "/k/two"])
        #expect(options.globalKnownHostsFiles == ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"])
        #expect(options.knownHostsNames == ["n1.example.org"])
    }

    @Test func withoutAnAliasThePortIsPartOfTheName() throws {
        #expect(try #require(SSHOptions("hostname N1\nuser u\nport 22")).knownHostsNames == ["n1"])
        #expect(try #require(SSHOptions("hostname N1\nuser u\nport 2222")).knownHostsNames == ["[n1]:2222", "n1"])
    }

    @Test(
        arguments: [
            ("", "/env"), ("identityagent SSH_AUTH_SOCK", "/env"), ("identityagent none", nil), ("identityagent /run/agent", "/run/agent"),
            ("identityagent $OTHER", "/other"), ("identityagent ${OTHER}", "/other"), ("identityagent $ABSENT", nil),
        ] as [(String, String?)]) func theAgentIsTheOneAskedFor(line: String, socket: String?) throws
    {
        let options = try #require(SSHOptions("hostname n\nuser u\nport 22\n\(line)"))
        #expect(options.agentSocket(environment: ["SSH_AUTH_SOCK": "/env", "OTHER": "/other"]) == socket)
    }

    @Test func anAnswerWithoutANameIsNone() {
        #expect(SSHOptions("user u\nport 22") == nil)
        #expect(SSHOptions("") == nil)
    }

    @Test(
        arguments: [
            ("bastion", SSHTarget("bastion")), ("ops@bastion", SSHTarget("bastion", user: "ops")), ("bastion:2200", SSHTarget("bastion", port: 2200)),
            ("ops@bastion:2200", SSHTarget("bastion", user: "ops", port: 2200)), ("ssh://ops@bastion:2200", SSHTarget("bastion", user: "ops", port: 2200)),
            ("[2001:db8::1]:2200", SSHTarget("2001:db8::1", port: 2200)), ("ops@[2001:db8::1]", SSHTarget("2001:db8::1", user: "ops")),
            ("bastion:port", nil), ("", nil), ("ops@", nil), ("[::1]x", nil),
        ] as [(String, SSHTarget?)]) func aHopIsReadAsSSHWritesIt(text: String, target: SSHTarget?)
    {
        #expect(SSHTarget(hop: text[...], configFile: nil) == target)
    }
}
