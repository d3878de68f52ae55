import Testing

@testable import PostgresClient

@Suite("A password file")
struct PasswordFileTests {
    private static let text = """
        # n1:5432:app:alice:a comment
        n1:5432:app:alice:wonderland
        n1:5433:*:alice:looking\\:glass
        \\*:*:*:*:of a host called star
        fe80\\:\\:1:*:*:bob:builder\\\\
        *:*:*:carol:for any: colons and all
        """

    @Test(
        "has the first line that fits, as libpq reads it",
        arguments: [
            ("n1", 5432, "app", "alice", "wonderland"), ("n1", 5433, "other", "alice", "looking:glass"), ("n2", 5432, "app", "alice", nil),
            ("fe80::1", 1, "x", "bob", "builder\\"), ("*", 1, "x", "dave", "of a host called star"), ("n9", 9, "x", "carol", "for any: colons and all"),
        ] as [(String, UInt16, String, String, String?)])
    func lines(_ host: String, _ port: UInt16, _ database: String, _ user: String, _ password: String?) {
        #expect(PasswordFile.password(in: Self.text, host: host, port: port, database: database, user: user)?.reveal() == password)
    }
}
