import Instance
import PostgresConfig
import RemoteHost
import Report
import Scratch
import Testing

@Suite("Files on a host") struct FileTests {
    @Test("an edit is done, and may be repeated")
    func apply() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let path = area.directory / "pg_hba.conf"
        try await area.host.write(Array("old\n".utf8), to: path, as: "postgres", mode: 0o640, deadline: soon)
        let edit = ConfigurationEdit(path: path, before: Array("old\n".utf8), after: Array("new\n".utf8))
        for _ in 1...2 {
            try await edit.apply(on: area.host, as: "postgres", deadline: soon)
            #expect(text(try await area.host.read(path, deadline: soon)) == "new\n")
        }
        let status = try #require(try await area.host.stat(path, deadline: soon))
        #expect(status.mode == 0o640)
        #expect(status.owner == "postgres")
    }

    @Test("a file that was not there comes and goes")
    func signal() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let edit = ConfigurationEdit(path: area.directory / "standby.signal", before: nil, after: [])
        try await edit.apply(on: area.host, as: "postgres", deadline: soon)
        #expect(try await area.host.stat(edit.path, deadline: soon)?.mode == 0o600)
        try await ConfigurationEdit(path: edit.path, before: [], after: nil).apply(on: area.host, as: "postgres", deadline: soon)
        #expect(try await area.host.stat(edit.path, deadline: soon) == nil)
    }

    @Test("a file that someone else changed is left alone")
    func changed() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let path = area.directory / "pg_hba.conf"
        let edit = ConfigurationEdit(path: path, before: Array("old\n".utf8), after: Array("new\n".utf8))
        try await area.host.write(Array("theirs\n".utf8), to: path, as: "postgres", deadline: soon)
        let apply = await #expect(throws: InstanceError.self) { try await edit.apply(on: area.host, as: "postgres", deadline: soon) }
        #expect(apply?.description.hasPrefix("here: \(path) was changed by someone else after it was read, nothing was written") == true)
        #expect(text(try await area.host.read(path, deadline: soon)) == "theirs\n")
    }

    @Test("a data directory that is not there, or holds something else, is no cluster")
    func notACluster() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let data = area.directory / "new/data"
        let instance = try await area.find(
            InstanceAddress(node: "n4", port: try freePort(), dataDirectory: data, version: .postgres(15)))
        #expect(try await instance.status(deadline: soon) == .notACluster(.absent))
        await #expect(throws: InstanceError.self) { try await instance.start(deadline: soon) }
        try await area.host.makeDirectory(data, mode: 0o700, as: "postgres", deadline: soon)
        #expect(try await instance.dataDirectoryState(deadline: soon) == .empty)
        try await area.host.write([1], to: data / "precious", as: "postgres", deadline: soon)
        #expect(try await instance.status(deadline: soon) == .notACluster(.foreign(entries: ["precious"])))
    }
}
