import Testing

@testable import RemoteHost

@Suite struct KnownHostsTests {
    static let key = "AAAAC3NzaC1lZDI1NTE5AAAAIJ2N8cC5WnIXrB0c8J1g2ZpJ5mP6F0jv8mJ8tQ5rP1aa"
    static let other = "AAAAC3NzaC1lZDI1NTE5AAAAIJ2N8cC5WnIXrB0c8J1g2ZpJ5mP6F0jv8mJ8tQ5rP1bb"
    static let ecdsa = SSHWire.string(Array("ecdsa-sha2-nistp256".utf8)) + [1, 2, 3]

    private func hosts(_ text: String, file: String = "/known") -> KnownHosts {
        var hosts = KnownHosts()
        hosts.add(Array(text.utf8), file: file)
        return hosts
    }

    private func blob(_ text: String) -> [UInt8] {
        var parsed = KnownHosts()
        parsed.add(Array("x ssh-ed25519 \(text)".utf8), file: "")
        return parsed.entries.first?.key ?? []
    }

    @Test(arguments: [
        ("example.org", "example.org", true), ("example.org", "example.com", false), ("EXAMPLE.org", "example.org", true),
        ("a,b,c", "b", true), ("a,b,c", "d", false), ("a,,b", "", false),
        ("*.example.org", "db.example.org", true), ("*.example.org", "example.org", false), ("*", "anything", true),
        ("db?.example.org", "db1.example.org", true), ("db?.example.org", "db10.example.org", false), ("d*b*c", "dxxbyyc", true),
        ("d*b*c", "dxxbyy", false), ("**", "", true),
        ("*.example.org,!bad.example.org", "bad.example.org", false), ("!bad.example.org,*.example.org", "bad.example.org", false),
        ("*.example.org,!bad.example.org", "good.example.org", true), ("!bad.example.org", "good.example.org", false),
        ("*,!10.0.*", "10.0.0.7", false),
        ("[example.org]:2222", "[example.org]:2222", true), ("[example.org]:2222", "example.org", false),
        ("[*]:2222", "[example.org]:2222", true), ("[example.org]:*", "[example.org]:2222", true),
        // Brackets are themselves here, not a set as in a shell.
        ("[e]xample.org", "example.org", false),
        ("2001:db8::1", "2001:db8::1", true),
    ]) func aNamesFieldMeansWhatOpenSSHTakesItFor(names: String, host: String, expected: Bool) {
        #expect(KnownHosts.matches(names, host) == expected)
    }

    /// Written by `ssh-keygen -H`.
    @Test(arguments: [
        ("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=", "192.168.1.61")
    ]) func aHashedNameMatchesItsHostOnly(names: String, host: String) {
        #expect(KnownHosts.matches(names, host))
        #expect(!KnownHosts.matches(names, "192.168.1.62"))
    }

    @Test func aPortOtherThan22IsPartOfTheName() {
        #expect(KnownHosts.name(host: "DB.example.org", port: 22) == "db.example.org")
        #expect(KnownHosts.name(host: "DB.example.org", port: 2222) == "[db.example.org]:2222")
    }

    @Test func aKeyThatStandsThereIsKnownAndAnotherOfItsTypeIsAChange() {
        let known = hosts("n1 ssh-ed25519 \(Self.key) comment with words\n")
        #expect(known.verdict(on: blob(Self.key), for: ["n1"]) == .known)
        #expect(known.verdict(on: blob(Self.other), for: ["n1"]) == .changed(file: "/known"))
        #expect(known.verdict(on: Self.ecdsa, for: ["n1"]) == .unknown)
        #expect(known.verdict(on: blob(Self.key), for: ["n2"]) == .unknown)
        #expect(known.keyTypes(for: ["n1"]) == ["ssh-ed25519"])
    }

    @Test func oneOfSeveralKeysIsEnough() {
        let known = hosts("n1 ssh-ed25519 \(Self.other)\nn1,n2 ssh-ed25519 \(Self.key)\n")
        #expect(known.verdict(on: blob(Self.key), for: ["n1"]) == .known)
        #expect(known.verdict(on: blob(Self.other), for: ["n1"]) == .known)
        #expect(known.verdict(on: blob(Self.other), for: ["n2"]) == .changed(file: "/known"))
    }

    @Test func aRevokedKeyIsRevokedWhereverElseItStands() {
        let known = hosts("n1 ssh-ed25519 \(Self.key)\n@revoked * ssh-ed25519 \(Self.key)\n")
        #expect(known.verdict(on: blob(Self.key), for: ["n1"]) == .revoked(file: "/known"))
        #expect(known.verdict(on: blob(Self.other), for: ["n1"]) == .changed(file: "/known"))
        #expect(known.verdict(on: blob(Self.other), for: ["n2"]) == .unknown)
    }

    @Test func anAuthorityIsNoHostKeyAndIsCounted() {
        let known = hosts("@cert-authority *.example.org ssh-ed25519 \(Self.key)\n")
        #expect(known.verdict(on: blob(Self.key), for: ["n1.example.org"]) == .unknown)
        #expect(known.authorities(for: ["n1.example.org"]) == 1)
        #expect(known.authorities(for: ["n1"]) == 0)
        #expect(known.badLines == 0)
    }

    @Test(arguments: [
        "n1 ssh-ed25519", "n1", "n1 ssh-ed25519 not/base64!", "n1 ecdsa-sha2-nistp256 \(KnownHostsTests.key)", "n1 1024 35 1234567890",
        "@unheard n1 ssh-ed25519 \(KnownHostsTests.key)", "|1|xx n1 ssh-ed25519", "|2|aaaa|bbbb ssh-ed25519 \(KnownHostsTests.key)",
        "|1|aaaa|bbbb ssh-ed25519 \(KnownHostsTests.key)",
    ]) func aLineThatMakesNoSenseIsCountedAndTheNextIsRead(line: String) {
        let known = hosts("\(line)\nn1 ssh-ed25519 \(Self.key)\n")
        #expect(known.badLines == 1)
        #expect(known.verdict(on: blob(Self.key), for: ["n1"]) == .known)
    }

    @Test func commentsEmptyLinesTabsAndCarriageReturnsAreFine() {
        let known = hosts("# comment\n\n   \n\tn1\tssh-ed25519\t\(Self.key)\r\n  # another\n")
        #expect(known.badLines == 0)
        #expect(known.verdict(on: blob(Self.key), for: ["n1"]) == .known)
    }

    @Test func theNameWithThePortCountsFirstAndTheBareOneWhereThereIsNone() {
        let both = hosts("[n1]:2222 ssh-ed25519 \(Self.key)\nn1 ssh-ed25519 \(Self.other)\n")
        #expect(both.verdict(on: blob(Self.key), for: ["[n1]:2222", "n1"]) == .known)
        #expect(both.verdict(on: blob(Self.other), for: ["[n1]:2222", "n1"]) == .changed(file: "/known"))
        let bare = hosts("n1 ssh-ed25519 \(Self.other)\n")
        #expect(bare.verdict(on: blob(Self.other), for: ["[n1]:2222", "n1"]) == .known)
    }

    @Test func aFileThatIsNotThereIsStillNamed() {
        var known = KnownHosts()
        known.add(nil, file: "/home/dba/.ssh/known_hosts")
        known.add(Array("n1 ssh-ed25519 \(Self.key)".utf8), file: "/etc/ssh/ssh_known_hosts")
        #expect(known.files == ["/home/dba/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"])
        #expect(known.verdict(on: blob(Self.other), for: ["n1"]) == .changed(file: "/etc/ssh/ssh_known_hosts"))
    }
}
