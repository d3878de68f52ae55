import Foundation
import PgBackRest
import PostgresClient
import Report
import Testing

@testable import ProcedureKit

@Suite("The key of a bucket")
struct S3KeySourceTests {
    private static let text = """
        # of the operator
        [default]
        aws_access_key_id = AKIADEFAULT
        aws_secret_access_key=a/b=c

        [profile backup]
        region = eu-central-1
        aws_access_key_id=AKIABACKUP
        aws_secret_access_key = secret
        aws_session_token = token
        [empty]
        aws_access_key_id = x
        """

    @Test(
        "stands in a profile of a file",
        arguments: [
            ("default", S3Key(identifier: "AKIADEFAULT", secret: "a/b=c")), ("backup", S3Key(identifier: "AKIABACKUP", secret: "secret", token: "token")),
            ("empty", nil), ("other", nil),
        ] as [(String, S3Key?)])
    func file(_ profile: String, _ key: S3Key?) { #expect(S3KeySource.key(in: Self.text, profile: profile) == key) }

    @Test func `that is not there is told with where it was looked for, and is never printed`() throws {
        let path = NSTemporaryDirectory() + "credentials-\(UUID().uuidString)"
        #expect(throws: Problem.self) { try S3KeySource.file(path: path, profile: "default").key(of: "b", ask: { _ in nil }) }
        try Self.text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let found = try #require(try S3KeySource.file(path: path, profile: "default").key(of: "b", ask: { _ in nil }))
        #expect(found.secret.reveal() == "a/b=c")
        #expect(!"\(found)".contains("a/b=c") && !"\(found)".contains("AKIADEFAULT"))
        let error = #expect(throws: Problem.self) { try S3KeySource.file(path: path, profile: "nobody").key(of: "b", ask: { _ in nil }) }
        #expect(error?.fact == "\(path) has no aws_access_key_id and aws_secret_access_key in the profile [nobody]")
    }

    @Test func `is asked for, or is the hosts' own`() throws {
        let asked = try S3KeySource.prompt.key(of: "backups", ask: { $0.hasPrefix("Secret") ? "s" : "id" })
        #expect(asked == S3Key(identifier: "id", secret: "s"))
        #expect(throws: Problem.self) { try S3KeySource.prompt.key(of: "backups", ask: { _ in nil }) }
        #expect(try S3KeySource.role.key(of: "b", ask: { _ in "x" }) == nil)
        #expect(try S3KeySource.webIdentity.key(of: "b", ask: { _ in "x" }) == nil)
    }
}
