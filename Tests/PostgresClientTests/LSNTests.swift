import Foundation
import PostgresClient
import Testing

@Suite struct `An LSN` {
    @Test(
        arguments: [
            ("0/0", 0), ("0/1", 1), ("16/B374D848", 0x16_B374_D848), ("1/0", 0x1_0000_0000), ("FFFFFFFF/FFFFFFFF", UInt64.max),
            ("00000016/0B374D84", 0x16_0B37_4D84), ("a/b", 0xA_0000_000B),
        ] as [(String, UInt64)])
    func `is read from PostgreSQL's text form`(text: String, position: UInt64) throws {
        #expect(try #require(LSN(text)).position == position)
    }

    @Test(arguments: ["", "/", "0", "0/", "/0", "0/0/0", "g/0", "0/-1", "+1/0", " 0/0", "0/0 ", "123456789/0", "0/123456789", "１/０"])
    func `is not read from anything else`(text: String) {
        #expect(LSN(text) == nil)
    }

    @Test(arguments: [(0, "0/0"), (0x16_B374_D848, "16/B374D848"), (0x16_0000_000A, "16/A"), (UInt64.max, "FFFFFFFF/FFFFFFFF")] as [(UInt64, String)])
    func `is written as PostgreSQL writes it`(position: UInt64, text: String) {
        #expect(LSN(position: position).description == text)
    }

    @Test func `knows its distance to another, both ways`() {
        let early = LSN(position: 0x1_FFFF_FFF0), late = LSN(position: 0x2_0000_0010)
        #expect(early < late)
        #expect(late.bytes(since: early) == 32)
        #expect(early.bytes(since: late) == -32)
        #expect(early.bytes(since: early) == 0)
        #expect(LSN.zero == LSN("0/0"))
        #expect([late, early].max() == late)
    }

    @Test func `is a text in JSON`() throws {
        let lsn = LSN(position: 0x16_B374_D848)
        #expect(String(decoding: try JSONEncoder().encode([lsn]), as: UTF8.self) == #"["16\/B374D848"]"#)
        #expect(try JSONDecoder().decode([LSN].self, from: Data(#"["16/B374D848"]"#.utf8)) == [lsn])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([LSN].self, from: Data(#"["16"]"#.utf8)) }
    }
}
