import Report
import Testing

@testable import Spock

@Suite struct ReadOnlyModeTests {
    @Test(arguments: [("5.0.11", ReadOnlyMode.user), ("6.0.0-beta.1", .local), ("6.0.0", .local), ("4.0.10", .user)])
    func `clients are closed out by the word of the version`(version: String, mode: ReadOnlyMode) throws {
        let version = try #require(SpockVersion(version))
        #expect(ReadOnlyMode.closingClients(on: version) == mode)
        #expect(mode.inForce(on: version) == mode)
    }

    @Test(arguments: [
        ("5.0.11", ReadOnlyMode.all, false), ("6.0.0-beta.1", .all, true), ("5.0.11", .local, false), ("5.0.11", .user, true),
        ("6.0.0", .user, true), ("5.0.11", .off, true),
    ])
    func `all is refused where it loses data`(version: String, mode: ReadOnlyMode, accepted: Bool) throws {
        let version = try #require(SpockVersion(version))
        guard !accepted else { return try mode.check(on: version, node: "n1") }
        let error = #expect(throws: SpockError.self) { try mode.check(on: version, node: "n1") }
        guard case .readOnlyModeRefused("n1", mode, version) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `user is shown as local from 6 on`() throws {
        #expect(ReadOnlyMode.user.inForce(on: try #require(SpockVersion("6.0.0-beta.1"))) == .local)
    }

    @Test func `the refusal says why, and what instead`() throws {
        let error = SpockError.readOnlyModeRefused(node: "n2", mode: .all, version: try #require(SpockVersion("5.0.11")))
        #expect(
            error.description == """
                n2: spock.readonly = 'all' is refused on Spock 5.0.11, which discards the transaction being applied at that moment for good
                  HINT: use 'user'
                """)
    }
}
