import Foundation
import Playbook
import Report
import Testing

@Suite struct `Whatever is done to a playbook` {
    private static let lines = Examples.shortest.split(separator: "\n").map(String.init)

    /// A line without its children: taking a section's key out takes what is below it out too.
    @Test(arguments: lines.indices)
    func `a required line taken out is named`(index: Int) throws {
        var lines = Self.lines
        let indent = { (line: String) in line.prefix { $0 == " " }.count }
        let removed = lines.remove(at: index), key = try #require(removed.split(separator: ":").first).drop { $0 == " " }
        while index < lines.count, indent(lines[index]) > indent(removed) { lines.remove(at: index) }
        // Of several nodes none is required by itself, but the source is.
        guard key != "n2" else { return }
        let mistakes = Examples.mistakes(lines.joined(separator: "\n"))
        #expect(!mistakes.isEmpty)
        #expect(mistakes.contains { $0.description.contains("\"\(key)\"") }, "\(mistakes)")
    }

    @Test func `a random change of bytes is an answer, not a crash`() throws {
        var random = Generator(state: 20_260_131)
        let shipped = Array(try Data(contentsOf: URL(fileURLWithPath: Examples.shippedPath)))
        let seeds = [shipped, Array(Examples.longest.utf8), Array(Examples.shortest.utf8)]
        let markup = Array("{}[]:,&*!|>'\"%@`#-?~\n\t\r \\<= \u{85}\u{2028}\u{FEFF}\0".utf8)
        for round in 0..<1500 {
            var bytes = seeds[round % seeds.count]
            for _ in 0...Int.random(in: 0..<6, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] = markup.randomElement(using: &random) ?? 0
                case 2: bytes.insert(markup.randomElement(using: &random) ?? 0, at: index)
                case 3: bytes.remove(at: index)
                default: bytes.replaceSubrange(index..<min(bytes.count, index + 40), with: bytes.prefix(Int.random(in: 0..<40, using: &random)))
                }
            }
            do throws(PlaybookErrors) {
                _ = try Playbook.parse(String(decoding: bytes, as: UTF8.self), name: "p.yaml")
            } catch {
                #expect(!error.errors.isEmpty)
                // No byte of the file may steer the terminal that shows the error.
                #expect(error.description.unicodeScalars.allSatisfy { $0 == "\n" || $0 == "\t" || $0.properties.generalCategory != .control })
            }
        }
    }

    /// A generator that gives the same numbers on every run. <https://prng.di.unimi.it/splitmix64.c>
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
