internal import Glibc

/// What the number in a setting counts: `8kB`, `kB`, `MB`, `B`, `ms`, `s`, `min`, as `pg_settings.unit` says it.
public struct SettingUnit: Sendable, Hashable, CustomStringConvertible {
    private enum Dimension { case memory, time }

    public let description: String
    private let dimension: Dimension
    /// How many bytes, or microseconds, one of it is.
    private let size: Double

    /// `nil` for something that is no unit of a setting.
    public init?(_ text: String) {
        let count = text.utf8.prefix { (0x30...0x39).contains($0) }.count
        let unit = String(text.dropFirst(count))
        guard let found = Self.known.first(where: { $0.name == unit }), let number = count == 0 ? 1 : Int(text.prefix(count)) else { return nil }
        (description, dimension, size) = (text, found.dimension, found.size * Double(number))
    }

    private struct Known {
        var name: String, dimension: Dimension, size: Double
        /// The first major version that reads it in a value.
        var since = MajorVersion.postgres(0)
    }

    /// From the largest down, of each dimension.
    private static let known = [
        Known(name: "TB", dimension: .memory, size: 1024 * 1024 * 1024 * 1024), Known(name: "GB", dimension: .memory, size: 1024 * 1024 * 1024),
        Known(name: "MB", dimension: .memory, size: 1024 * 1024), Known(name: "kB", dimension: .memory, size: 1024),
        Known(name: "B", dimension: .memory, size: 1, since: .postgres(11)),
        Known(name: "d", dimension: .time, size: 86_400_000_000), Known(name: "h", dimension: .time, size: 3_600_000_000),
        Known(name: "min", dimension: .time, size: 60_000_000), Known(name: "s", dimension: .time, size: 1_000_000),
        Known(name: "ms", dimension: .time, size: 1000), Known(name: "us", dimension: .time, size: 1, since: .postgres(12)),
    ]

    /// Units of the same dimension with what each is in this one.
    private var scales: [(unit: Known, factor: Double)] {
        Self.known.filter { $0.dimension == dimension }.map { ($0, $0.size / size) }
    }

    /// `number` of `unit` in this unit; `nil` where that is no unit of it. What is not a whole number of the next smaller
    /// unit is rounded to one; before 12 it is cut off.
    func value(of number: Double, in unit: String, version: MajorVersion) -> Double? {
        let scales = scales
        guard let index = scales.firstIndex(where: { $0.unit.name == unit && $0.unit.since <= version }) else { return nil }
        let value = number * scales[index].factor
        guard version >= .postgres(12) else { return value.rounded(.towardZero) }
        guard index + 1 < scales.count else { return value }
        return (value / scales[index + 1].factor).rounded(.toNearestOrEven) * scales[index + 1].factor
    }

    /// `number` of this unit in the greatest unit that holds it evenly, as `SHOW` does it: 131072 of 8kB are `1GB`.
    public func text(_ number: Int) -> String {
        guard number > 0, let scale = scales.first(where: { $0.factor <= 1 || number.isMultiple(of: Int($0.factor)) }) else { return "\(number)" }
        return "\(Int((Double(number) / scale.factor).rounded(.toNearestOrEven)))\(scale.unit.name)"
    }

    /// As ``text(_:)-(Int)``; what fits no unit is given in the smallest.
    public func text(_ number: Double) -> String {
        func isWhole(_ number: Double) -> Bool { number > 0 && abs(number.rounded(.toNearestOrEven) / number - 1) <= 1e-8 }
        guard number > 0, let scale = scales.first(where: { isWhole(number / $0.factor) }) ?? scales.last else { return shortText(number) }
        return shortText(number / scale.factor) + scale.unit.name
    }
}

/// `%g` of C: six digits, as the server shows real numbers.
func shortText(_ number: Double) -> String {
    var buffer = [CChar](repeating: 0, count: 64)
    let count = withVaList([number]) { vsnprintf(&buffer, buffer.count, "%g", $0) }
    return String(decoding: buffer.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
