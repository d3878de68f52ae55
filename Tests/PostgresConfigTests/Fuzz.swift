import Foundation

/// How much the property tests generate, and from which seed.
enum Fuzz {
    /// How many files are generated for each server; `PGGRAFT_FUZZ` says how many instead of `usual`.
    ///
    /// - Parameter part: tests that take long for each get one of so many of it.
    static func count(usual: Int, part: Int = 1) -> Int {
        ProcessInfo.processInfo.environment["PGGRAFT_FUZZ"].flatMap(Int.init).map { $0 / part } ?? usual
    }

    /// Given by `PGGRAFT_FUZZ_SEED`, to see a failure again; else another one each time.
    static let seed: UInt64 = ProcessInfo.processInfo.environment["PGGRAFT_FUZZ_SEED"].flatMap(UInt64.init) ?? .random(in: 0...UInt64(UInt32.max))
}

/// SplitMix64: the same numbers from the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func one<Element>(of choices: [Element]) -> Element { choices[Int.random(in: 0..<choices.count, using: &self)] }
}
