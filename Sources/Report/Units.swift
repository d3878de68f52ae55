extension Duration {
    /// Seconds as a number.
    public var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }

    public var wholeMicroseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }

    /// The duration as a reader says it: `40 ms`, `3.2 s`, `4 min 10 s`, `2 h 05 min`.
    public var inSeconds: String {
        let total = seconds
        if total < 0.9995 { return "\(Int((total * 1000).rounded())) ms" }
        if total < 120 { return "\(tenths(total)) s" }
        let whole = Int(total.rounded())
        let (hours, minutes, rest) = (whole / 3600, whole % 3600 / 60, whole % 60)
        return hours > 0 ? "\(hours) h \(minutes < 10 ? "0" : "")\(minutes) min" : "\(minutes) min \(rest) s"
    }
}

extension UInt64 {
    /// The size as a reader says it, in powers of 1024: `512 B`, `1.6 KB`, `160.9 MB`.
    public var inBytes: String {
        guard self >= 1024 else { return "\(self) B" }
        var value = Double(self) / 1024, unit = 0
        let units = ["KB", "MB", "GB", "TB", "PB", "EB"]
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\(tenths(value)) \(units[unit])"
    }
}

/// With one digit behind the point, unless that is a zero.
private func tenths(_ value: Double) -> String {
    let tenths = UInt64((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
}
