import Foundation
import RemoteHost
import Testing

@testable import Procedures

/// A directory with a program that stands for `ssh`: it runs what it is told to run on the other host here, as the login shell there would.
private struct Place {
    let directory: String
    /// What the program does with its input first: `head -c 1000` cuts a connection off.
    let filter: String

    init(filter: String = "cat") throws {
        (directory, self.filter) = (NSTemporaryDirectory() + "pggraft-archive-\(UUID().uuidString)", filter)
        try FileManager.default.createDirectory(atPath: "\(directory)/it's 100% there", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "\(directory)/pg_xlog", withIntermediateDirectories: true)
        let ssh = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; echo \"$2\" >\(directory)/host; shift 2; \(filter) | sh -c \"$*\"\n"
        try ssh.write(toFile: "\(directory)/ssh", atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(directory)/ssh")
    }

    var archive: SlaveArchive { get throws { SlaveArchive(directory: try #require(HostPath("\(directory)/it's 100% there")), host: "10.77.0.62") } }

    func segment(_ byte: UInt8) throws { try Data(repeating: byte, count: 70_000).write(to: URL(fileURLWithPath: "\(directory)/pg_xlog/\(Self.name)")) }
    static let name = "000000010000000000000003"

    /// As the server runs it, in its data directory.
    func archived() throws -> (status: Int32, text: String) {
        let command = try archive.archiveCommand.replacing("%%", with: "\u{1}").replacing("%p", with: "pg_xlog/\(Self.name)").replacing("%f", with: Self.name).replacing(
            "\u{1}", with: "%")
        let process = Process(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.environment = ["PATH": "\(directory):/usr/bin:/bin"]
        (process.standardOutput, process.standardError) = (output, output)
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    var files: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: archive.directory.path).sorted() } }
    func content() throws -> Data? { FileManager.default.contents(atPath: "\(try archive.directory.path)/\(Self.name)") }
    func remove() throws { try FileManager.default.removeItem(atPath: directory) }
}

@Suite("The archive of a slave") struct SlaveArchiveTests {
    @Test func `is written to by ssh, without a question, and fits into what the server takes`() throws {
        let archive = SlaveArchive(directory: try #require(HostPath("/home/postgresxc/pgxc/datanode1_arclog")), host: "node02")
        #expect(archive.archiveCommand.hasPrefix("ssh -T -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=15 -- node02 'sh -c '"), "\(archive.archiveCommand)")
        #expect(archive.archiveCommand.hasSuffix(#" sh /home/postgresxc/pgxc/datanode1_arclog' %f $(wc -c <"%p") <"%p"||exit 1"#), "\(archive.archiveCommand)")
        #expect(archive.archiveCommandLength < SlaveArchive.longest)
        #expect(archive.restoreCommand == #"cp /home/postgresxc/pgxc/datanode1_arclog/%f "%p""#)
        #expect(archive.cleanupCommand(try #require(HostPath("/usr/pgxc/bin/pg_archivecleanup"))) == "/usr/pgxc/bin/pg_archivecleanup /home/postgresxc/pgxc/datanode1_arclog %r")
        let long = SlaveArchive(directory: try #require(HostPath("/" + String(repeating: "x", count: 600))), host: "node02")
        #expect(long.archiveCommandLength > SlaveArchive.longest)
    }

    @Test func `gets a segment whole; the same one again is a success, another one by its name is none`() throws {
        let place = try Place()
        defer { try? place.remove() }
        try place.segment(1)
        let first = try place.archived()
        #expect(first.status == 0, "\(first.text)")
        #expect(try place.files == [Place.name])
        #expect(try place.content() == Data(repeating: 1, count: 70_000))
        #expect(try String(contentsOfFile: "\(place.directory)/host", encoding: .utf8) == "10.77.0.62\n")
        let again = try place.archived()
        #expect(again.status == 0, "\(again.text)")
        try place.segment(2)
        let other = try place.archived()
        #expect(other.status == 1 && other.text.contains("\(Place.name) is there already, and is another one"), "\(other)")
        #expect(try place.content() == Data(repeating: 1, count: 70_000))
        #expect(try place.files == [Place.name])
    }

    @Test(arguments: ["head -c 1000", "head -c 0"]) func `does not take for a segment what a connection has brought that was cut off`(_ filter: String) throws {
        let place = try Place(filter: filter)
        defer { try? place.remove() }
        try place.segment(1)
        let cut = try place.archived()
        #expect(cut.status == 1 && cut.text.contains("\(Place.name) was cut off"), "\(cut)")
        #expect(try place.files == [])
        // What is whole is not taken for something else because the comparison was cut off.
        try Data(repeating: 1, count: 70_000).write(to: URL(fileURLWithPath: "\(try place.archive.directory.path)/\(Place.name)"))
        #expect(try place.archived().status == 1)
        #expect(try place.content() == Data(repeating: 1, count: 70_000))
    }

    @Test func `goes on where an attempt was killed, and says an error where nothing can be written`() throws {
        let place = try Place()
        defer { try? place.remove() }
        try place.segment(1)
        let left = "\(try place.archive.directory.path)/\(Place.name).4711.part"
        try Data(repeating: 9, count: 100).write(to: URL(fileURLWithPath: left))
        #expect(try place.archived().status == 0)
        #expect(try place.files == [Place.name])
        try FileManager.default.removeItem(atPath: try place.archive.directory.path)
        #expect(try place.archived().status == 1)
    }
}
