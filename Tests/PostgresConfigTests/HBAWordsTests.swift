import PostgresConfig
import Report
import Testing

@Suite("What an operator says of a rule") struct HBAWordsTests {
    static let addresses = [
        "all", "samehost", "samenet", "10.77.0.3", "10.0.0.0/8", "2001:db8::5", "fd00::/8", "::ffff:10.0.0.1", "db.example.com", "localhost", ".example.com", "n-4",
        "a_b.c1", "3com.com",
    ]

    /// What is refused, a part of what is said, and whether the server would take the word for the name of a host without a sound.
    static let nonsense: [(text: String, said: String, isHostNameToServer: Bool)] = [
        ("10.0.0.256", "does not end in a number", true), ("10.0.0.1-10.0.0.9", "there are no ranges", true), ("10.0.0.0 255.0.0.0", "such as 10.0.0.0/8: 10.0.0.0/8", true),
        ("[2001:db8::5]", "without brackets", true), ("ALL", "write all, in small letters", true), ("SameNet", "write samenet", true), ("any", "called all", true),
        ("*", "called all", true), ("no such host", "letters, digits, hyphens and dots", true), ("", "letters, digits, hyphens and dots", true),
        ("10.0.0", "the server would read 10.0.0.0", false), ("0x7f.1", "the server would read 127.0.0.1", false), ("010.0.0.1", "the server would read 8.0.0.1", false),
        ("10.0.0.0/33", "ADDRESS/BITS", false), ("10.0.0.0/255.0.0.0", "ADDRESS/BITS", false), ("db.example.com/24", "ADDRESS/BITS", false),
        ("::1%1/128", "without the %", false), ("fe80::1%lo", "without the %", false), ("2001:db8::5:5432:x", "one with its port", true),
        ("a..b", "letters, digits, hyphens and dots", true), ("db.example.com.", "letters, digits, hyphens and dots", true), ("-a.b", "letters, digits, hyphens and dots", true),
        ("häuschen.example", "letters, digits, hyphens and dots", true), ("a,b", "letters, digits, hyphens and dots", true),
    ]

    @Test("an address, a network, a host and three words are read")
    func read() throws {
        for text in Self.addresses {
            let rule = HBARule(.host, databases: [.all], users: [.all], from: try HBARule.Address(asked: text), method: "md5")
            // What was understood is what the line says.
            #expect(HBAFile("\(rule)", for: HBAServer(.postgres(16))).rules == [rule], "\(text)")
        }
    }

    @Test("anything else is refused, and what was meant is said", arguments: nonsense)
    func refused(text: String, said: String, isHostNameToServer: Bool) throws {
        let problem = #expect(throws: Problem.self) { try HBARule.Address(asked: text) }
        #expect(problem?.description.contains(said) == true, "\(String(describing: problem))")
        #expect(problem?.fact.contains(text) == true)
    }

    @Test("the server would take it for the name of a host, and say nothing", arguments: Programs.judges.map(\.version))
    func server(version: MajorVersion) throws {
        let bin = try #require(Programs.judges.first { $0.version == version }).bin
        let server = try ScratchServer(settings: "", bin: bin)
        defer { #expect(throws: Never.self) { try server.stop() } }
        let session = try ServerSession(server)
        defer { #expect(throws: Never.self) { try session.close() } }
        let path = "\(server.data)/pg_hba.conf"
        func row(_ address: String) throws -> HBAServerTests.Row? {
            try Disk.write(Array("host all all \"\(address)\" md5\n".utf8), to: path)
            return try session.json(HBAServerTests.query(version), as: [HBAServerTests.Row].self).first
        }
        for (text, _, isHostNameToServer) in Self.nonsense {
            let row = try #require(try row(text))
            let isHostName = row.error == nil && row.address == text && row.netmask == nil
            #expect(isHostName == isHostNameToServer, "\(text): \(row)")
        }
        for text in Self.addresses where !["all", "samehost", "samenet"].contains(text) {
            guard case .hostName = try HBARule.Address(asked: text) else { continue }
            let row = try #require(try row(text))
            #expect(row.error == nil && row.address == text && row.netmask == nil, "\(text): \(row)")
        }
    }

    @Test("names, members, expressions and the words of the file are read")
    func names() throws {
        #expect(try HBARule.User(asked: "app") == .named("app"))
        #expect(try HBARule.User(asked: "all") == .all)
        #expect(try HBARule.User(asked: "+app") == .memberOf("app"))
        #expect(try HBARule.User(asked: "/^a") == .regex("^a"))
        #expect(try HBARule.Database(asked: "sameuser") == .sameUser)
        #expect(try HBARule.Database(asked: "+app") == .named("+app"))
        #expect(try HBARule.Database(asked: "/^a") == .regex("^a"))
        for text in ["", "a\nb", "a\rb", "a\0b", "@app", "/"] {
            #expect(throws: Problem.self) { try HBARule.User(asked: text) }
            #expect(throws: Problem.self) { try HBARule.Database(asked: text) }
        }
        #expect(throws: Problem.self) { try HBARule.User(asked: "+") }
    }
}
