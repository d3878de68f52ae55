import Foundation
import Testing

@testable import Server

@Suite("Names") struct NamesTests {
    @Test(arguments: [
        ("sub_n1_n2", true), ("a", true), (String(repeating: "x", count: 63), true), (String(repeating: "x", count: 64), false),
        ("", false), ("Sub", false), ("sub-1", false), ("süb", false), ("sub n1", false),
    ])
    func `slots take what PostgreSQL takes`(text: String, accepted: Bool) { #expect((SlotName(rawValue: text) != nil) == accepted) }

    @Test(arguments: [("Sub-1 ä", true), ("", false), (String(repeating: "x", count: 513), false), ("a\0b", false)])
    func `origins take nearly anything`(text: String, accepted: Bool) { #expect((OriginName(rawValue: text) != nil) == accepted) }

    @Test func `are kept in the journal as plain text, and refused when they read wrong`() throws {
        let name: SlotName = "spk_app_n1_sub_n1_n4"
        let data = try JSONEncoder().encode([name])
        #expect(String(decoding: data, as: UTF8.self) == "[\"spk_app_n1_sub_n1_n4\"]")
        #expect(try JSONDecoder().decode([SlotName].self, from: data) == [name])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([SlotName].self, from: Data("[\"A B\"]".utf8)) }
    }
}
