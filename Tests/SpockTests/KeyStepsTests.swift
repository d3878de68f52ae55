import Server
import Testing

@testable import Spock

/// Sequences that collide part, and nobody meets anybody afterwards.
@Suite("Steps of sequences that collide")
struct KeyStepsTests {
    static func sequence(_ increment: Int64, next: Int64, start: Int64 = 1, maximum: Int64 = .max) -> KeySequence {
        KeySequence(
            RelationName(schema: "app", name: "t_id_seq"), of: RelationName(schema: "app", name: "t"), column: "id", increment: increment, maximum: maximum, start: start,
            next: next
        )
    }

    static func nodes(_ sequences: [KeySequence]) -> [(node: NodeName, sequence: KeySequence)] {
        sequences.enumerated().map { (NodeName(stringLiteral: "n\($0.offset + 1)"), $0.element) }
    }

    static let cases: [(sequences: [KeySequence], members: Int, restarts: [String: Int64])] = [
        // A copy of n2: n1 goes on as it is.
        ([sequence(10, next: 21), sequence(10, next: 502), sequence(10, next: 502)], 3, ["n2": 1512, "n3": 1513]),
        // All of them.
        ([sequence(10, next: 11), sequence(10, next: 21), sequence(10, next: 31)], 3, ["n1": 1041, "n2": 1042, "n3": 1043]),
        ([sequence(1, next: 501), sequence(1, next: 1), sequence(1, next: 1)], 3, ["n1": 1511, "n2": 1512, "n3": 1513]),
        // One that has a block of its own takes new steps with the others, above its block.
        ([sequence(1, next: 1), sequence(1, next: 1), sequence(1, next: 1_000_001, start: 1_000_000)], 3, ["n1": 1_001_011, "n2": 1_001_012, "n3": 1_001_013]),
        // Steps that are too short for all.
        ([sequence(2, next: 1), sequence(2, next: 2), sequence(2, next: 2)], 3, ["n1": 1011, "n2": 1012, "n3": 1013]),
        // Different steps, and more members than ten.
        ([sequence(10, next: 1), sequence(20, next: 1)], 12, ["n1": 1009, "n2": 1010]),
        // No room but at the rest of nought.
        ([sequence(3, next: 1), sequence(3, next: 2), sequence(3, next: 2)], 3, ["n2": 1007, "n3": 1005]),
    ]

    @Test(arguments: cases.indices)
    func `they meet nobody, and who meets nobody stays`(index: Int) throws {
        let (sequences, members, restarts) = Self.cases[index], all = Self.nodes(sequences)
        let steps = try #require(KeySteps.parting(all, members: members))
        #expect(Dictionary(uniqueKeysWithValues: steps.map { ($0.node.rawValue, $0.restart) }) == restarts)
        let after = all.map { node, sequence in
            guard let step = steps.first(where: { $0.node == node }) else { return sequence }
            var changed = sequence
            (changed.increment, changed.next) = (step.increment, step.restart)
            return changed
        }
        for one in after.indices {
            for other in after.indices where one != other { #expect(!after[one].collides(with: after[other]), "\(after)") }
        }
        let highest = sequences.map(\.next).max() ?? 0
        #expect(steps.allSatisfy { $0.restart > highest })
    }

    @Test func `there are none that count down, or beyond the range`() {
        #expect(KeySteps.parting(Self.nodes([Self.sequence(-1, next: 9), Self.sequence(-1, next: 9)]), members: 2) == nil)
        #expect(KeySteps.parting(Self.nodes([Self.sequence(1, next: 9, maximum: 1000), Self.sequence(1, next: 9, maximum: 1000)]), members: 2) == nil)
        #expect(KeySteps.parting(Self.nodes([Self.sequence(1, next: .max - 5), Self.sequence(1, next: .max - 5)]), members: 2) == nil)
    }
}
