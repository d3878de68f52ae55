import Foundation

/// How much is generated, and from which seed; both can be given, and failures say the seed.
enum FuzzInput {
    static let seed = ProcessInfo.processInfo.environment["PGGRAFT_FUZZ_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...999_999)

    /// How many files are generated in one run, of which each judge gets its share.
    static func files(or usual: Int) -> Int { ProcessInfo.processInfo.environment["PGGRAFT_FUZZ"].flatMap { Int($0) } ?? usual }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
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

    /// True once in `count` times.
    mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: 0..<values.count, using: &self)] }
}
