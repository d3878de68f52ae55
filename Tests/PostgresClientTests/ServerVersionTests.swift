import PostgresClient
import Testing

@Suite struct `A server version` {
    @Test(arguments: [
        (ServerVersion(number: 150_018), "15", "15.18"), (ServerVersion(15, 18), "15", "15.18"), (ServerVersion(15), "15", "15.0"),
        (ServerVersion(number: 90_324), "9.3", "9.3.24"), (ServerVersion(9, 3, 24), "9.3", "9.3.24"), (ServerVersion(9, 1), "9.1", "9.1.0"),
        (ServerVersion(18, 1), "18", "18.1"),
    ])
    func `has a major version, as directories are named for it`(version: ServerVersion, major: String, text: String) {
        #expect(version.major == major)
        #expect("\(version)" == text)
    }

    @Test(arguments: [
        ("15.18", ServerVersion(15, 18)), ("15\n", ServerVersion(15)), ("9.3.24", ServerVersion(9, 3, 24)), ("9.6", ServerVersion(9, 6)),
        ("16beta1", ServerVersion(16)), ("18devel", ServerVersion(18)), ("15.18 (Debian 15.18-0+deb12u1)", ServerVersion(15, 18)),
    ])
    func `is read from text`(text: String, version: ServerVersion) {
        #expect(ServerVersion(text) == version)
    }

    @Test(arguments: ["", "beta", ".5", "PostgreSQL 15", "-1", "99999999999999999999", "123456789"])
    func `is not read from anything else`(text: String) {
        #expect(ServerVersion(text) == nil)
    }

    @Test func `is ordered as versions are`() {
        let ascending = [ServerVersion(9, 1, 24), ServerVersion(9, 2), ServerVersion(9, 6, 3), ServerVersion(10), ServerVersion(10, 1), ServerVersion(18)]
        #expect(ascending.sorted() == ascending)
        #expect(Set(ascending).count == ascending.count)
    }
}
