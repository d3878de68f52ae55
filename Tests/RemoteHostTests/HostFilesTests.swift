import EventLoop
import Foundation
import Report
import Testing

@testable import RemoteHost

@Suite(.fewAtATime) struct HostFilesTests {
    let host = LocalHost(name: "n1")
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory(mode: 0o755) }

    private func path(_ name: String) throws -> HostPath { try #require(HostPath(directory.path)) / name }

    private func text(_ path: HostPath) throws -> String { try String(contentsOfFile: path.path, encoding: .utf8) }

    private func mode(_ path: HostPath) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path.path)[.posixPermissions] as? NSNumber).intValue
    }

    static let oddNames = ["plain", "two words", "it's", "\"quoted\"", "$HOME `id` \\", "-n", "--help", "*", "new\nline", "ends in newline\n", "é", " ", "a;b"]

    @Test(arguments: oddNames) func aFileIsWrittenReadListedAndRemovedWhateverItsName(name: String) async throws {
        let file = try path(name)
        #expect(try await host.read(file, deadline: .patient) == nil)
        let content = Array("one\ntwo\u{0}\n\n".utf8)
        try await host.write(content, to: file, mode: 0o640, deadline: .patient)
        #expect(try await host.read(file, deadline: .patient) == content)
        #expect(try await host.listDirectory(file.directory, deadline: .patient) == [name])
        let status = try #require(try await host.stat(file, deadline: .patient))
        #expect(status == FileStatus(kind: .file, mode: 0o640, owner: host.loginUser, group: status.group, size: UInt64(content.count)))
        try await host.remove(file, deadline: .patient)
        #expect(try await host.stat(file, deadline: .patient) == nil)
        try await host.remove(file, deadline: .patient)
        #expect(try await host.listDirectory(file.directory, deadline: .patient) == [])
    }

    @Test(arguments: oddNames) func aDirectoryMayHaveAnyNameToo(name: String) async throws {
        let inner = try path(name)
        try await host.makeDirectory(inner, mode: 0o750, deadline: .patient)
        #expect(try await host.stat(inner, deadline: .patient)?.kind == .directory)
        #expect(try await host.stat(inner, deadline: .patient)?.mode == 0o750)
        try await host.write([1], to: inner / "file", deadline: .patient)
        #expect(try await host.read(inner / "file", deadline: .patient) == [1])
        #expect(try await host.listDirectory(inner, deadline: .patient) == ["file"])
        #expect(try await host.freeSpace(at: inner, deadline: .patient) > 0)
        await #expect(throws: HostError.self) { try await host.remove(inner, deadline: .patient) }
        try await host.remove(inner, recursively: true, deadline: .patient)
        #expect(try await host.stat(inner, deadline: .patient) == nil)
    }

    @Test func severalFilesAreReadInOneGo() async throws {
        var contents: [HostPath: [UInt8]] = [:]
        for (number, name) in Self.oddNames.enumerated() {
            contents[try path(name)] = Array("\(number)\u{0}\n\n".utf8)
        }
        contents[try path("empty")] = []
        contents[try path("large")] = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for (file, content) in contents { try await host.write(content, to: file, deadline: .patient) }
        let absent = [try path("nobody's"), try path("new\nor old"), try path("plain") / "below"]
        #expect(try await host.read(Array(contents.keys) + absent, deadline: .patient) == contents)
        #expect(try await host.read([HostPath](), deadline: .patient).isEmpty)

        try await host.makeDirectory(try path("directory"), deadline: .patient)
        let found = try await host.contents(of: [try path("directory"), try path("plain")], deadline: .patient)
        #expect(try found[path("plain")]?.get() == contents[path("plain")])
        #expect(throws: HostError.self) { try found[path("directory")]?.get() }
        await #expect(throws: HostError.self) { try await host.read([try path("plain"), try path("directory")], deadline: .patient) as [HostPath: [UInt8]] }
    }

    @Test func aFileIsReplacedOnlyWhereItIsAsExpected() async throws {
        let file = try path("file")
        #expect(try await !host.write([2], to: file, replacing: [1], deadline: .patient))
        #expect(try await host.read(file, deadline: .patient) == nil)
        #expect(try await host.write([1], to: file, replacing: nil, mode: 0o640, deadline: .patient))
        #expect(try await !host.write([2], to: file, replacing: nil, deadline: .patient))
        #expect(try await !host.write([2], to: file, replacing: [], deadline: .patient))
        #expect(try await host.read(file, deadline: .patient) == [1])
        #expect(try await host.write([2], to: file, replacing: [1], deadline: .patient))
        #expect(try await host.write([2], to: file, replacing: [1], deadline: .patient), "it is done already")
        #expect(try await host.read(file, deadline: .patient) == [2])
        #expect(try mode(file) == 0o640)
        #expect(try await host.write([], to: file, replacing: [2], deadline: .patient))
        #expect(try await host.write([3], to: file, replacing: [], deadline: .patient))
        #expect(try await host.read(file, deadline: .patient) == [3])
        #expect(try await host.listDirectory(file.directory, deadline: .patient) == ["file"])
    }

    @Test func anEmptyFileIsNotAnAbsentOne() async throws {
        let file = try path("empty")
        try await host.write([], to: file, deadline: .patient)
        #expect(try await host.read(file, deadline: .patient) == [])
        #expect(try mode(file) == 0o600)
    }

    @Test func anExistingFileKeepsItsModeUnlessAnotherIsAskedFor() async throws {
        let file = try path("file")
        try await host.write([1], to: file, mode: 0o604, deadline: .patient)
        let before = try #require(try FileManager.default.attributesOfItem(atPath: file.path)[.systemFileNumber] as? NSNumber)
        try await host.write([2], to: file, deadline: .patient)
        #expect(try mode(file) == 0o604)
        let after = try #require(try FileManager.default.attributesOfItem(atPath: file.path)[.systemFileNumber] as? NSNumber)
        // Another file took its place: nobody ever read half of it.
        #expect(before != after)
        try await host.write([3], to: file, mode: 0o600, deadline: .patient)
        #expect(try mode(file) == 0o600)
        #expect(try await host.listDirectory(file.directory, deadline: .patient) == ["file"])
    }

    @Test(.enabled(if: getuid() == 0)) func anExistingFileKeepsItsOwner() async throws {
        let file = try path("file")
        try await host.write([1], to: file, mode: 0o640, deadline: .patient)
        try await host.require(Command("chown", "nobody:daemon", file.path), deadline: .patient)
        try await host.write([2], to: file, deadline: .patient)
        #expect(try await host.stat(file, deadline: .patient) == FileStatus(kind: .file, mode: 0o640, owner: "nobody", group: "daemon", size: 1))
    }

    @Test(arguments: ["target", "../DIRECTORY/target", "missing"]) func aSymbolicLinkIsWrittenThrough(destination: String) async throws {
        let link = try path("link")
        let name = directory.path.split(separator: "/").last.map(String.init) ?? ""
        let destination = destination.replacingOccurrences(of: "DIRECTORY", with: name)
        try await host.write([1], to: try path("target"), mode: 0o640, deadline: .patient)
        try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: destination)
        try await host.write([2], to: link, deadline: .patient)
        #expect(try await host.stat(link, followingLinks: false, deadline: .patient)?.kind == .symbolicLink)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link.path) == destination)
        #expect(try await host.read(link, deadline: .patient) == [2])
        #expect(try await host.read(try path("target"), deadline: .patient) == (destination == "missing" ? [1] : [2]))
    }

    @Test func aDanglingLinkIsAbsentAndItselfThere() async throws {
        let link = try path("link")
        try FileManager.default.createSymbolicLink(atPath: link.path, withDestinationPath: "nowhere")
        #expect(try await host.read(link, deadline: .patient) == nil)
        #expect(try await host.stat(link, deadline: .patient) == nil)
        #expect(try await host.stat(link, followingLinks: false, deadline: .patient)?.kind == .symbolicLink)
    }

    @Test func whatIsNoFileIsNotReplaced() async throws {
        let inner = try path("inner")
        try await host.makeDirectory(inner, deadline: .patient)
        let error = try #require(await #expect(throws: HostError.self) { try await host.write([1], to: inner, deadline: .patient) })
        #expect(error == .fileFailed(host: "n1", operation: "write", path: inner, detail: "\(inner): not a regular file"))
        await #expect(throws: HostError.self) { try await host.read(inner, deadline: .patient) }
    }

    @Test func aCopyHasTheModeAndReplacesNothing() async throws {
        let file = try path("a b"), copy = try path("copy of a b")
        try await host.write([1, 2, 0, 255], to: file, mode: 0o640, deadline: .patient)
        try await host.copy(file, to: copy, deadline: .patient)
        #expect(try await host.read(copy, deadline: .patient) == [1, 2, 0, 255])
        #expect(try mode(copy) == 0o640)
        let error = try #require(await #expect(throws: HostError.self) { try await host.copy(file, to: copy, deadline: .patient) })
        #expect(error.description.contains("it is there already"))
        await #expect(throws: HostError.self) { try await host.copy(try path("nothing"), to: try path("c"), deadline: .patient) }
        #expect(try await host.listDirectory(file.directory, deadline: .patient) == ["a b", "copy of a b"])
    }

    @Test func aDirectoryTellsWhatIsBehindItsNames() async throws {
        let inner = try path("inner")
        try await host.makeDirectory(inner, deadline: .patient)
        try await host.require(
            .script("cd \"$1\" && : >f && mkdir d && ln -s f lf && ln -s d ld && ln -s nowhere lost && ln -s loop loop && mkfifo p", inner.path), deadline: .patient)
        let entries = try #require(try await host.directoryEntries(inner, deadline: .patient))
        #expect(entries == ["f": .file, "d": .directory, "lf": .file, "ld": .directory, "lost": nil, "loop": nil, "p": .other])
        #expect(try await host.directoryEntries(inner / "none", deadline: .patient) == nil)
    }

    @Test func aDirectoryThatIsMissingIsSaid() async throws {
        let file = try path("none/file")
        let error = try #require(await #expect(throws: HostError.self) { try await host.write([1], to: file, deadline: .patient) })
        #expect(error == .fileFailed(host: "n1", operation: "write", path: file, detail: "\(file): No such file or directory"))
        #expect(try await host.read(file, deadline: .patient) == nil)
        #expect(try await host.listDirectory(try path("none"), deadline: .patient) == nil)
    }

    @Test func contentThatIsCutShortNeverArrives() async throws {
        let file = try path("file")
        try await host.write(Array("whole".utf8), to: file, deadline: .patient)
        // What a connection that ends in between looks like to the host: fewer bytes than were said.
        var command = Command.writeFile(Array("longer content".utf8), file, nil)
        command.input.removeLast(5)
        let result = try await host.run(command, deadline: .patient)
        #expect(result.status == .code(1))
        #expect(result.errorText == "\(file): the content did not come through whole")
        #expect(try text(file) == "whole")
        #expect(try await host.listDirectory(file.directory, deadline: .patient) == ["file"])
    }

    @Test func aMegabyteArrivesWhole() async throws {
        let content = [UInt8](repeating: 0x0A, count: 3 << 20)
        let file = try path("big")
        try await host.write(content, to: file, deadline: .patient)
        #expect(try await host.read(file, deadline: .patient).map { Data($0) } == Data(content))
    }

    @Test(.enabled(if: getuid() == 0)) func whatAUserMayNotDoIsNamed() async throws {
        let secret = try path("secret")
        try await host.write([1], to: secret, mode: 0o600, deadline: .patient)
        try await host.makeDirectory(try path("locked"), mode: 0o700, deadline: .patient)
        let within = try path("locked") / "file"
        func denied(_ path: HostPath, _ body: () async throws -> Void) async throws {
            let error = try #require(await #expect(throws: HostError.self) { try await body() })
            guard case .permissionDenied("n1", path, "nobody", let detail) = error else { throw error }
            #expect(detail.contains("Permission denied"))
        }
        try await denied(secret) { _ = try await host.read(secret, as: "nobody", deadline: .patient) }
        try await denied(secret) { try await host.write([2], to: secret, as: "nobody", deadline: .patient) }
        // Not "absent": the user cannot know.
        try await denied(within) { _ = try await host.read(within, as: "nobody", deadline: .patient) }
        try await denied(within) { _ = try await host.stat(within, as: "nobody", deadline: .patient) }
        try await denied(within) { _ = try await host.listDirectory(within, as: "nobody", deadline: .patient) }
        try await denied(try path("new")) { try await host.makeDirectory(try path("new"), as: "nobody", deadline: .patient) }
        try await denied(secret) { try await host.remove(secret, as: "nobody", deadline: .patient) }
        #expect(try await host.read(secret, deadline: .patient) == [1])
    }

    @Test(.enabled(if: getuid() == 0)) func aFileOfAnotherOwnerIsNotTakenOver() async throws {
        // nobody may replace the file in its own directory, but could not give it its owner back.
        let open = try path("open")
        try await host.makeDirectory(open, mode: 0o755, owner: "nobody", deadline: .patient)
        let file = open / "file"
        try await host.write([1], to: file, mode: 0o644, deadline: .patient)
        let error = try #require(await #expect(throws: HostError.self) { try await host.write([2], to: file, as: "nobody", deadline: .patient) })
        guard case .permissionDenied("n1", file, "nobody", _) = error else { throw error }
        #expect(try await host.read(file, deadline: .patient) == [1])
        #expect(try await host.listDirectory(open, deadline: .patient) == ["file"])
    }

    @Test(.enabled(if: getuid() == 0)) func aDirectoryGetsItsOwnerAndKeepsWhatIsInIt() async throws {
        let inner = try path("a/b")
        try await host.makeDirectory(inner, mode: 0o700, owner: "nobody", deadline: .patient)
        let status = try #require(try await host.stat(inner, deadline: .patient))
        #expect(status.owner == "nobody")
        #expect(status.group == "nogroup")
        try await host.write([1], to: inner / "file", as: "nobody", deadline: .patient)
        try await host.makeDirectory(inner, mode: 0o750, owner: "nobody", deadline: .patient)
        #expect(try await host.stat(inner, deadline: .patient)?.mode == 0o750)
        #expect(try await host.listDirectory(inner, deadline: .patient) == ["file"])
    }

    @Test func freeSpaceIsThatOfTheNearestDirectoryThatExists() async throws {
        let here = try await host.freeSpace(at: try path("no/such/place"), deadline: .patient)
        #expect(here > 0)
        #expect(try await host.freeSpace(at: try #require(HostPath("/no such place")), deadline: .patient) > 0)
        #expect(try await host.freeSpace(at: try #require(HostPath("/proc/none")), deadline: .patient) == 0)
    }

    @Test func theSameHoldsOverSSH() async throws {
        let server = try await TestSSHServer()
        try await withHost(server) { host in
            let file = try path("over\nssh")
            try await host.write([1, 2, 0, 3], to: file, mode: 0o644, deadline: .patient)
            let content = try await host.read(file, deadline: .patient)
            #expect(content == [1, 2, 0, 3])
            let names = try await host.listDirectory(file.directory, deadline: .patient)
            #expect(names == ["over\nssh"])
        }
    }

    @Test(
        arguments: [
            ("81a0/12/postgres/adm/101/4", FileStatus(kind: .file, mode: 0o640, owner: "postgres", group: "adm", size: 12)),
            ("41ed/4096/UNKNOWN/UNKNOWN/4711/42", FileStatus(kind: .directory, mode: 0o755, owner: "4711", group: "42", size: 4096)),
            ("a1ff/7/root/root/0/0", FileStatus(kind: .symbolicLink, mode: 0o777, owner: "root", group: "root", size: 7)),
            ("21b6/0/root/root/0/0", FileStatus(kind: .other, mode: 0o666, owner: "root", group: "root", size: 0)),
            ("89ed/1/DOMAIN\\domain users/x y/5/6", FileStatus(kind: .file, mode: 0o4755, owner: "DOMAIN\\domain users", group: "x y", size: 1)),
            ("nonsense", nil), ("", nil), ("zz/1/a/b/1/1", nil),
        ] as [(String, FileStatus?)]) func theAnswerOfStatIsRead(text: String, status: FileStatus?)
    {
        #expect(FileStatus(text) == status)
    }

    @Test(arguments: [(FileMode(bits: 0o640), "0640"), (0o4755, "4755"), (0, "0000"), (0o7, "0007")]) func aModeIsFourDigits(mode: FileMode, text: String) {
        #expect(mode.description == text)
    }
}

@Suite struct HostPathTests {
    @Test(arguments: [
        ("/", "/", "/", "/"), ("/a", "/a", "/", "a"), ("/a/b", "/a/b", "/a", "b"), ("/a/b///", "/a/b", "/a", "b"), ("//", "/", "/", "/"),
        ("/a b/c\nd", "/a b/c\nd", "/a b", "c\nd"),
    ]) func anAbsolutePathHasADirectoryAndAName(text: String, path: String, directory: String, name: String) throws {
        let parsed = try #require(HostPath(text))
        #expect(parsed.path == path)
        #expect(parsed.directory.path == directory)
        #expect(parsed.name == name)
    }

    @Test(arguments: ["", "a", "~/a", "./a", "/a\0b"]) func anythingElseIsNoPath(text: String) {
        #expect(HostPath(text) == nil)
    }

    @Test func aNameIsPutBehindADirectory() throws {
        #expect((try #require(HostPath("/")) / "a").path == "/a")
        #expect((try #require(HostPath("/a")) / "b/c").path == "/a/b/c")
    }
}
