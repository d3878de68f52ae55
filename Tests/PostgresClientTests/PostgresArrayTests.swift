import Testing

@testable import PostgresClient

@Suite struct `A PostgreSQL array` {
    @Test(
        arguments: [
            ("{}", []), ("{a}", ["a"]), ("{a,b c,d}", ["a", "b c", "d"]), (#"{"a,b","{x}"}"#, ["a,b", "{x}"]), (#"{""}"#, [""]),
            (#"{"NULL",null}"#, ["NULL", "null"]), (#"{"a\"b","a\\b"}"#, [#"a"b"#, #"a\b"#]),
            ("{\"\u{301}x\",y}", ["\u{301}x", "y"]),
        ] as [(String, [String])])
    func `is read`(text: String, elements: [String]) {
        #expect([String](postgresText: text) == elements)
    }

    @Test(arguments: [
        "", "{", "a", "{a", "a}", "{,}", "{a,}", "{,a}", "{NULL}", "{a,NULL}", "{{a},{b}}", "[0:1]={a,b}", #"{"a}"#, #"{"a"b}"#,
        #"{a"b"}"#, #"{"a\"}"#, #"{a\"#, "{}}",
    ])
    func `is not read, since it is something else`(text: String) {
        #expect([String](postgresText: text) == nil)
    }

    @Test(arguments: [[], [""], ["NULL"], ["a", "b"], [#"q"u\o'te"#, "{,}", " ", "ö€🐘", "\u{301}"]])
    func `is written so that it reads the same`(elements: [String]) {
        #expect([String](postgresText: PostgresArray.text(elements)) == elements)
    }
}
