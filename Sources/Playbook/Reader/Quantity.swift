/// A whole number and its unit, as PostgreSQL's settings write them.
enum Quantity {
    static func split(_ text: String) -> (number: Int64, unit: String)? {
        let digits = text.utf8.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard let number = Int64(String(text[..<digits.endIndex])) else { return nil }
        let rest = text[digits.endIndex...]
        return (number, String(rest.drop { $0 == " " }))
    }

    /// `500ms`, `30s`, `5min`, `2h`.
    static func duration(_ text: String) -> Duration? {
        guard let (number, unit) = split(text), number <= 1_000_000_000 else { return nil }
        switch unit {
        case "ms": return .milliseconds(number)
        case "s": return .seconds(number)
        case "min": return .seconds(number * 60)
        case "h": return .seconds(number * 3600)
        default: return nil
        }
    }

    /// The duration as a playbook writes it.
    static func text(_ duration: Duration) -> String {
        let milliseconds = duration / .milliseconds(1)
        for (unit, length) in [("h", 3_600_000.0), ("min", 60_000), ("s", 1000)] where milliseconds > 0 {
            if milliseconds.truncatingRemainder(dividingBy: length) == 0 { return "\(Int(milliseconds / length))\(unit)" }
        }
        return "\(Int(milliseconds))ms"
    }
}
