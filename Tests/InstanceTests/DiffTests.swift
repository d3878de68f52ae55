import RemoteHost
import Testing

@testable import Instance

@Suite("What people see of an edit") struct DiffTests {
    @Test("is a diff without the passwords in it")
    func diff() throws {
        let edit = ConfigurationEdit(
            path: try #require(HostPath("/pg/postgresql.auto.conf")), before: Array("a = 1\nprimary_conninfo = 'password=old'\n".utf8),
            after: Array("a = 2\nprimary_conninfo = 'password=new'\n".utf8))
        #expect(
            edit.diff == """
                --- /pg/postgresql.auto.conf
                +++ /pg/postgresql.auto.conf
                @@ -1,2 +1,2 @@
                -a = 1
                -primary_conninfo = 'password=‹redacted›'
                +a = 2
                +primary_conninfo = 'password=‹redacted›'

                """)
        #expect("\(edit)" == edit.diff)
    }
}
