/// `n1, n2 and n3`.
public func list(_ names: [String]) -> String { joined(names, "and") }

/// `n1, n2, n3 and 4 more`.
public func list(_ names: [String], atMost number: Int) -> String {
    names.count <= number ? list(names) : list(names.prefix(number) + ["\(names.count - number) more"])
}

/// `full, newest or none`.
public func alternatives(_ words: [String]) -> String { joined(words, "or") }

private func joined(_ names: [String], _ conjunction: String) -> String {
    guard let last = names.last, names.count > 1 else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " \(conjunction) " + last
}

extension StringProtocol {
    /// Without white space at both ends.
    public var trimmed: String {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(self[first...last])
    }

    /// With zeros in front, up to `width` characters.
    public func zeroPadded(to width: Int) -> String { String(repeating: "0", count: Swift.max(0, width - count)) + self }

    /// With a single blank for white space of any kind and length, and none at the ends.
    public var onOneLine: String { split(whereSeparator: \.isWhitespace).joined(separator: " ") }
}

extension BidirectionalCollection<UInt8> {
    /// Without ASCII's white space at both ends.
    public var trimmed: SubSequence {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0D).contains($0) }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else { return self[startIndex..<startIndex] }
        return self[first...last]
    }
}
