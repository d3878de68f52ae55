import FoundationEssentials
import PostgresClient
import Testing

@testable import PgBackRest

@Suite struct StanzaInfoTests {
    private func decode(_ json: String) throws -> StanzaInfo {
        let stanzas = try StanzaInfo.decode(Array(json.utf8))
        #expect(stanzas.count == 1)
        return try #require(stanzas.first)
    }

    @Test func `a stanza with a backup`() throws {
        let info = try decode(Recorded.info)
        #expect(info.name == "n1")
        #expect(info.status.code == .ok)
        #expect(info.status.lock?.backup.held == true)
        #expect(info.systemIdentifier == 7_710_472_219_068_492_593)
        #expect(info.databases.first?.version == "15")
        #expect(info.archives.first?.max == "00000001000000000000000E")
        let backup = try #require(info.backups.first)
        #expect(backup.label == "20261121-041043F")
        #expect(backup.kind == .full)
        #expect(backup.hasErrors == false)
        #expect(backup.started == Date(timeIntervalSince1970: 1_795_234_243))
        #expect(backup.startLSN == LSN("0/E000028"))
        #expect(backup.stopLSN == LSN("0/E000100"))
        #expect(backup.stopSegment == "00000001000000000000000E")
        #expect(backup.size == 191_887_160)
        #expect(backup.repositorySize == 45_869_103)
        #expect(backup.madeBy == "2.45")
        #expect(info.backup(startingAt: try #require(LSN("0/E000028"))) == backup)
        #expect(info.backup(startingAt: .zero) == nil)
    }

    @Test func `a stanza that is not there`() throws {
        let info = try decode(Recorded.infoMissingStanza)
        #expect(info.status.code == .missingStanzaPath)
        #expect(info.systemIdentifier == nil)
        #expect(info.backups.isEmpty)
    }

    @Test func `a repository that cannot be read`() throws {
        let info = try decode(Recorded.infoPermissionDenied)
        #expect(info.status.code == .other)
        #expect(info.repositories.first?.status.message.contains("Permission denied") == true)
    }

    @Test func `what could not be decrypted stands in the message as it is`() throws {
        let json = Array(Recorded.infoPermissionDenied.utf8), mark = Array("Permission denied".utf8)
        let place = try #require(json.indices.first { json[$0...].starts(with: mark) })
        let info = try #require(try StanzaInfo.decode(json[..<place] + [0xCA, 0x50, 0x01, 0x0A, 0xFF, 0x1C] + json[place...]).first)
        #expect(info.repositories.first?.status.code == .other)
    }

    @Test func `newer versions say how far a running copy is`() throws {
        let json = Recorded.info.replacing(#"{"held":true}"#, with: #"{"held":true,"size":1000,"size-cplt":250},"restore":{"held":false}"#)
        let lock = try #require(try decode(json).status.lock)
        #expect(lock.backup.size == 1000)
        #expect(lock.backup.sizeComplete == 250)
        #expect(lock.restore?.held == false)
    }

    @Test func `a code of the future is kept`() throws {
        #expect(try decode(Recorded.infoMissingStanza.replacing(#""code":1,"lock""#, with: #""code":7,"lock""#)).status.code == .unknown(7))
    }

    @Test func `the database system is that of the first repository`() throws {
        #expect(try decode(Recorded.info).systemIdentifier == 7_710_472_219_068_492_593)
        #expect(try decode(Recorded.info.replacing(#""repo-key":1"#, with: #""repo-key":2"#)).systemIdentifier == 7_710_472_219_068_492_593)
    }
}
