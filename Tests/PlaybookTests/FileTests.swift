import Foundation
import Playbook
import Testing

@Suite struct `A playbook's file` {
    private func mistakes(_ path: String) -> String {
        do throws(PlaybookErrors) {
            _ = try Playbook.load(path: path)
            return ""
        } catch {
            return error.description
        }
    }

    private func mistakes(_ bytes: Data) throws -> String {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).yaml")
        try bytes.write(to: file)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: file) } }
        return mistakes(file.path).replacing(file.path, with: "FILE")
    }

    @Test func `that is not there is an error of the operating system`() {
        #expect(mistakes("/nowhere/p.yaml") == "/nowhere/p.yaml: error: cannot read the playbook: No such file or directory")
    }

    @Test func `that is a directory cannot be read`() {
        #expect(mistakes("/tmp") == "/tmp: error: cannot read the playbook: Is a directory")
    }

    @Test func `that is binary is shown to be so, and where`() throws {
        #expect(
            try mistakes(Data("a: 1\nb: ü\n".utf8) + [0x63, 0xFF, 0x00])
                == "FILE:3:2: error: the text is not UTF-8\n  HINT: save the file as UTF-8 text")
    }

    @Test func `in UTF-16 is not UTF-8`() throws {
        #expect(
            try mistakes(try #require("a: 1".data(using: .utf16))) == "FILE:1:1: error: the text is not UTF-8\n  HINT: save the file as UTF-8 text")
    }

    @Test func `of ten megabytes is not read`() throws {
        #expect(
            try mistakes(Data(repeating: UInt8(ascii: "#"), count: 10 << 20))
                == "FILE: error: the file is larger than 128kB\n  HINT: a playbook is a few kilobytes of YAML; is this the right file?")
    }

    @Test func `without end is not read to its end`() { #expect(mistakes("/dev/zero").contains("larger than 128kB")) }

    @Test func `that is sound is loaded under its own name`() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).yaml")
        try Data(Examples.shortest.utf8).write(to: file)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: file) } }
        #expect(try Playbook.load(path: file.path).name == file.path)
    }
}
