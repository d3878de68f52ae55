/// How the sequence of a node goes on so that it meets no other node's.
public struct KeySteps: Sendable, Hashable {
    public var node: NodeName
    public var increment: Int64
    public var restart: Int64

    /// What has to change of a sequence that collides.
    ///
    /// Steps that are wide enough for all stay, and with them who makes numbers that nobody else makes; else all get new ones. Who changes goes on above everybody's numbers.
    /// - Parameters:
    ///   - all: every node that has the sequence.
    ///   - members: how many nodes the mesh has.
    /// - Returns: `nil` where there are no such numbers: the sequence counts down, or its range ends before.
    public static func parting(_ all: [(node: NodeName, sequence: KeySequence)], members: Int) -> [KeySteps]? {
        guard let first = all.first?.sequence, all.allSatisfy({ $0.sequence.increment > 0 }) else { return nil }
        let isWide = first.increment >= Int64(all.count) && all.allSatisfy { $0.sequence.increment == first.increment }
        let step = isWide ? first.increment : Int64(max(members, all.count, 10))
        let rests = all.map { KeySequence.rest($0.sequence.next, step.magnitude) }, counts = Dictionary(rests.map { ($0, 1) }, uniquingKeysWith: +)
        var taken = isWide ? Set(rests.filter { counts[$0] == 1 }) : []
        let base = ((all.map { Int128($0.sequence.next) }.max() ?? 0) + 1000) / Int128(step) * Int128(step) + Int128(step)
        var changes: [KeySteps] = []
        for (place, one) in all.enumerated() where !isWide || counts[rests[place]] != 1 {
            let free = isWide && !taken.contains(rests[place]) ? rests[place] : (1...step.magnitude).lazy.map { $0 % step.magnitude }.first { !taken.contains($0) }
            guard let free, let restart = Int64(exactly: base + Int128(free)), base + Int128(free) + Int128(step) <= one.sequence.maximum else { return nil }
            taken.insert(free)
            changes.append(KeySteps(node: one.node, increment: step, restart: restart))
        }
        return changes
    }
}
