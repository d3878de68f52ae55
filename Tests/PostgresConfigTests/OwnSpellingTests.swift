import PostgresConfig
import Testing

@Suite("What a server shows in a spelling of its own, judged by servers", .serialized) struct OwnSpellingTests {
    private static let texts: [(name: String, texts: [String])] = [
        (
            "DateStyle",
            ["iso, dmy", "ISO,MDY", "sql, european", "Postgres, us", "german", "german, ymd", "postgresql, dmy", "dmy, iso", "ymd,sql", "noneuropean, iso", "iso, wrong"]
        ),
        ("TimeZone", ["utc", "UTC", "europe/berlin", "Europe/Berlin", "etc/gmt+3"]),
        ("client_encoding", ["utf8", "UTF-8", "unicode", "latin1", "iso_8859_1", "win1252", "sql_ascii"]),
    ]

    @Test("a text is the value that the server makes of it, and no other of them is", arguments: Programs.judges.indices)
    func spelling(judge: Int) throws {
        let server = try ScratchServer(settings: "", bin: Programs.judges[judge].bin)
        defer { do { try server.stop() } catch { Issue.record(error) } }
        let session = try ServerSession(server, isQuiet: true)
        for (name, texts) in Self.texts {
            let isSame = try #require(OwnSpelling.of(name.lowercased()))
            var shown: [(text: String, shown: String)] = []
            for text in texts {
                guard try session.codes(["SET \(name) = '\(text)'"]) == ["00000"] else { continue }
                shown.append((text, String(decoding: try #require(try session.rows("SHOW \(name)").first), as: UTF8.self)))
            }
            try #require(shown.count > 3)
            for (text, _) in shown {
                for (_, other) in shown {
                    // What the server shows is a text of its own kind, too: set again it is itself.
                    _ = try session.codes(["SET \(name) = '\(other)'", "SET \(name) = '\(text)'"])
                    let now = String(decoding: try #require(try session.rows("SHOW \(name)").first), as: UTF8.self)
                    #expect(isSame(text, other) == (now == other), "\(Programs.judges[judge].version): \(name): \(text) and \(other)")
                }
            }
            #expect(!isSame("nonsense, x", shown[0].shown))
        }
        #expect(OwnSpelling.of("work_mem") == nil)
        try session.close()
    }
}
