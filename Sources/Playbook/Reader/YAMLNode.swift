/// Where something stands in the text; both counted from 1, columns in Unicode scalars.
struct TextMark: Hashable, Comparable {
    var line: Int
    var column: Int

    static func < (left: TextMark, right: TextMark) -> Bool { (left.line, left.column) < (right.line, right.column) }
}

/// A part of a playbook's YAML, and where it stands.
struct YAMLNode {
    var mark: TextMark
    var content: Content

    /// Scalars are text here and nothing else: the key decides what a value is, so `no` and `on` are no booleans.
    enum Content {
        case scalar(String)
        /// Nothing after the colon, `~` or `null`.
        case null
        case mapping([Entry])
        case sequence
        /// A mistake here has been reported; what the value would have been is not known.
        case refused
    }

    struct Entry {
        var key: String
        var keyMark: TextMark
        var value: YAMLNode
    }
}
