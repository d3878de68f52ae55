import PostgresConfig
import Testing

@Suite("The parsers against a real server") struct RealServerTests {
    /// Settings as `pg_file_settings` shows them; the server gives `nil` names to lines it cannot parse.
    struct Line: Decodable, Hashable, CustomStringConvertible {
        var line: Int
        var name: String?
        var setting: String?
        var description: String { "\(line): \(name ?? "-") = \(setting ?? "-")" }
    }

    static let settings = [
        "x.a = 1\nx.b=2\nx.c 3\nx.d\t=\t'four' # comment\n#x.e = 5\n  X.F = 'it''s' #\n",
        "x.a = 'a\\nb\\tc\\\\d\\'e\\101\\7z\\q'\n",
        "x.a = on\nx.a = off\nX.A = maybe\n",
        "x.a = foo-bar_1.2:3/4\nx.b = -12kB\nx.c = 0x1FkB\nx.d = 1.5e-3\nx.e = .5\nx.f = 5.\nx.g = +7\n",
        "x.a = '' # empty\nx.b = ''''\nx.c = '#no'# yes\nx.d = 'tab\tin'\nx.f = 1",
        "x.a = 1\r\nx.b = 'c'\r\n\r\n# c\r\nx.d = e\r\n",
        "\n\n   \n\t# c\nx.a = 1",
        "größe.ä = ü\nx.ü = 'ß'\n",
    ] + [
        // The server reports one syntax error only: one line, one file.
        "x.a = 1e5", "x.b = a.b", "x.c = 1.2.3", "x.d = -", "x.e = 1,2", "x.f = $x", "x.g = \"a\"", "x.h = 0x", "x.i = 1.5GB",
        "x.a =", "x.b", "= 5", "'x.c' = 1", "x.d = = 1", "x.e = 'open", "x.f = 1 2", "x.g.h = 1", "1x = 2", "x-y = 3", "x = \u{0C}1",
        "x.a='b'#'c'", "x.b = 'c'd", "x.c = 'c''d'", "x.e = f'g'", "x._1$ = 2", "x.g = .", "x.h = +.5e+1", "x.i = 1.e", "x.j = 1.5e5", "x.k = 0x1Gx",
        "x.l = -0xff", "x.m = a.b.c", "x.n = a.", "x.o = a.1", "x.p = a:b", "x.q = /tmp", "x.r = 00x1", "x.s = 'a\\'", "x. = 1", "x.t ='\\", "x.u = 'a' \\",
    ]

    @Test("every line reads as the server reads it")
    func compare() throws {
        let server = try ScratchServer(settings: "include_if_exists 'under_test.conf'\n")
        defer { #expect(throws: Never.self) { try server.stop() } }

        for text in Self.settings.map({ $0.contains("\n") ? $0 : $0 + "\n" }) {
            try server.write(text, to: "under_test.conf")
            let theirs: [Line] = try server.json("""
                SELECT coalesce(json_agg(json_build_object('line', sourceline, 'name', name, 'setting', setting)
                                         ORDER BY sourceline, seqno), '[]')
                FROM pg_file_settings WHERE sourcefile LIKE '%/under_test.conf'
                """)
            let file = SettingsFile(text)
            let ours = file.settings.map { Line(line: $0.line, name: $0.name, setting: $0.value) }
                + file.syntaxErrors.map { Line(line: $0.line, name: nil, setting: nil) }
            #expect(ours.sorted { $0.line < $1.line } == theirs, "\(text)")
            #expect(!theirs.isEmpty)
        }
        try server.write("", to: "under_test.conf")
    }
}
