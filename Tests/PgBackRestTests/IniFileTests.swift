import RemoteHost
import Testing

@testable import PgBackRest

func path(_ text: String) throws -> HostPath { try #require(HostPath(text)) }
func stanza(_ name: String) throws -> StanzaName { try #require(StanzaName(name)) }

func ini(_ text: String, at file: String = "/etc/pgbackrest.conf") throws -> IniFile { try IniFile(Array(text.utf8), path: path(file)) }
func text(_ file: IniFile) -> String { String(decoding: file.bytes, as: UTF8.self) }

@Suite struct IniFileTests {
    @Test(arguments: [
        "", "\n", "[global]", "[global]\nrepo1-path=/a\n", "# x\r\n[n1]\r\n  pg1-path = /a \r\n", "\n\n[a]\nb=c\n\n\n# end",
    ])
    func `a file that is not changed keeps its bytes`(_ original: String) throws {
        #expect(text(try ini(original)) == original)
    }

    @Test func `bytes that are not UTF-8 are kept`() throws {
        let bytes: [UInt8] = Array("# caf".utf8) + [0xE9] + Array("\n[n1]\npg1-path=/a\n".utf8)
        var file = try IniFile(bytes, path: path("/etc/pgbackrest.conf"))
        file.add("pg1-port", "5433", to: "n1")
        #expect(file.bytes == bytes + Array("pg1-port=5433\n".utf8))
    }

    @Test func `settings are read as pgBackRest reads them`() throws {
        let file = try ini("# c\n[global]\n repo1-path = /a = b\n#x=1\n\n[n1:backup]\nprocess-max=2\n")
        #expect(file.sections == ["global", "n1:backup"])
        #expect(
            file.settings == [
                .init(section: "global", key: "repo1-path", value: "/a = b", line: 3),
                .init(section: "n1:backup", key: "process-max", value: "2", line: 7),
            ])
    }

    @Test(arguments: [
        ("[global\n", 1, "the section does not end with ]"),
        ("\n[]\n", 2, "the section has no name"),
        ("a=b\n[n1]\n", 1, "an option stands before the first section"),
        ("[n1]\n# c\nsecret\n", 3, "there is no '='"),
        ("[n1]\n=x\n", 2, "there is no option before '='"),
    ])
    func `what pgBackRest refuses is refused with its line`(_ bytes: String, _ line: Int, _ why: String) throws {
        #expect(throws: IniFile.Malformed(file: try path("/etc/pgbackrest.conf"), line: line, why: why)) { try ini(bytes) }
    }

    @Test(arguments: [
        ("", "[n1]\npg1-port=5432\n"),
        ("[global]\nrepo1-path=/a\n", "[global]\nrepo1-path=/a\n\n[n1]\npg1-port=5432\n"),
        ("[global]\nrepo1-path=/a", "[global]\nrepo1-path=/a\n\n[n1]\npg1-port=5432\n"),
        ("[global]\nrepo1-path=/a\n\n", "[global]\nrepo1-path=/a\n\n[n1]\npg1-port=5432\n"),
        ("[n1]\npg1-path=/a\n\n[n2]\npg1-path=/b\n", "[n1]\npg1-path=/a\npg1-port=5432\n\n[n2]\npg1-path=/b\n"),
        ("[n1]\n# nothing yet\n", "[n1]\npg1-port=5432\n# nothing yet\n"),
    ])
    func `an option goes behind the last one of its section`(_ before: String, _ after: String) throws {
        var file = try ini(before)
        file.add("pg1-port", "5432", to: "n1")
        #expect(text(file) == after)
    }

    @Test(arguments: ["", "[global]\nrepo1-path=/a\n", "[n1]\npg1-path=/a\n\n[n2]\npg1-path=/b\n", "[n1]\n# nothing yet\n"])
    func `what was added can be taken away again without a trace`(_ original: String) throws {
        var file = try ini(original)
        file.add("pg1-port", "5432", to: "n1")
        file.add("repo1-bundle", "y", to: "n1")
        file.remove("pg1-port", "5432", from: "n1")
        file.remove("repo1-bundle", "y", from: "n1")
        #expect(text(file) == original)
    }

    @Test func `an option with another value is not taken away`() throws {
        var file = try ini("[n1]\npg1-port=5433\n")
        file.remove("pg1-port", "5432", from: "n1")
        #expect(text(file) == "[n1]\npg1-port=5433\n")
    }
}
