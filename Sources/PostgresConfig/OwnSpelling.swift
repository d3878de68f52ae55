import Report

/// The settings whose value a server shows in a spelling of its own: `iso, dmy` as `ISO, DMY`.
public enum OwnSpelling {
    /// Whether a text of a file is what the server shows, for the setting `name`; `nil` where it shows what it was given.
    public static func of(_ name: String) -> ((_ text: String, _ shown: String) -> Bool)? {
        let known: [(String, (String, String) -> Bool)] = [
            ("DateStyle", isSameDateStyle), ("TimeZone", isSameZone), ("log_timezone", isSameZone), ("client_encoding", isSameEncoding),
        ]
        return known.first { isSameSetting($0.0, name) }?.1
    }

    /// A text that does not say the order, or the style, leaves it as it is.
    private static func isSameDateStyle(_ text: String, _ shown: String) -> Bool {
        let wanted = dateStyle(text), there = dateStyle(shown)
        guard let wanted, let there, wanted.style ?? wanted.order != nil else { return false }
        return (wanted.style ?? there.style) == there.style && (wanted.order ?? there.order) == there.order
    }

    /// `nil` for what is no style of dates.
    private static func dateStyle(_ text: String) -> (style: String?, order: String?)? {
        var style: String?, order: String?
        for word in text.split(separator: ",", omittingEmptySubsequences: false).map({ String($0).trimmed.lowercased() }) {
            switch word {
            case "iso", "sql": style = word
            case let word where word.hasPrefix("postgres"): style = "postgres"
            // It has an order of its own where none is said.
            case "german": (style, order) = (word, order ?? "dmy")
            case "ymd": order = word
            case let word where word == "dmy" || word.hasPrefix("euro"): order = "dmy"
            case let word where word == "mdy" || word == "us" || word.hasPrefix("noneuro"): order = "mdy"
            default: return nil
            }
        }
        return (style, order)
    }

    private static func isSameZone(_ text: String, _ shown: String) -> Bool { isSameSetting(text, shown) }

    /// Letters and digits count; `unicode` is what UTF8 was called.
    private static func isSameEncoding(_ text: String, _ shown: String) -> Bool {
        func folded(_ text: String) -> String {
            let word = text.lowercased().filter { $0.isLetter || $0.isNumber }
            return ["unicode": "utf8", "iso88591": "latin1"][word] ?? word
        }
        return folded(text) == folded(shown)
    }
}
