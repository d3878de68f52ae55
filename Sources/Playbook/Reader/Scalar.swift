import Report

/// A kind of value: what is expected, and how its text is read.
struct Scalar<Value: Sendable>: Sendable {
    /// As it reads after "expected".
    let expected: String
    private let read: @Sendable (String) -> Reading<Value>

    init(_ expected: String, _ read: @escaping @Sendable (String) -> Reading<Value>) {
        self.expected = expected
        self.read = read
    }

    /// A kind whose text is either right or not.
    init(_ expected: String, hint: String? = nil, _ read: @escaping @Sendable (String) -> Value?) {
        self.init(expected) { text in read(text).map(Reading.value) ?? .malformed(hint: hint) }
    }

    func reading(of text: String) -> Reading<Value> {
        // No value is more than one line, and one that is would break a line of a configuration file in two.
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return .refused("the value holds a line break or a control character", hint: "write it in one line")
        }
        return read(text)
    }
}

/// What a text is as a value.
enum Reading<Value> {
    case value(Value)
    case malformed(hint: String? = nil)
    /// It is of the right form, and still not possible.
    case refused(String, hint: String)
}

extension Scalar {
    /// One word that may stand where a section can.
    static func word(_ word: String, _ value: Value, or section: String) -> Scalar {
        Scalar("\(word), or \(section)") { text in
            if text == word { return .value(value) }
            return .malformed(hint: Spelling.nearest(to: text, among: [word]).map { "did you mean \"\($0)\"?" })
        }
    }

    /// One of a few words.
    static func choice(_ choices: [(String, Value)]) -> Scalar {
        Scalar(alternatives(choices.map(\.0))) { text in
            if let choice = choices.first(where: { $0.0 == text }) { return .value(choice.1) }
            return .malformed(hint: Spelling.nearest(to: text, among: choices.map(\.0)).map { "did you mean \"\($0)\"?" })
        }
    }
}

extension Scalar<Int> {
    /// A whole number in decimal digits.
    static func number(_ range: ClosedRange<Int>) -> Scalar {
        Scalar("a number from \(range.lowerBound) to \(range.upperBound)") { decimal($0, in: range) }
    }

    static func decimal(_ text: String, in range: ClosedRange<Int>) -> Int? {
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), text == "0" || text.first != "0",
            let number = Int(text), range.contains(number)
        else { return nil }
        return number
    }
}

extension Scalar<UInt16> {
    static let port = Scalar("a port from 1 to 65535") { Scalar<Int>.decimal($0, in: 1...65535).map(UInt16.init) }
}

extension Scalar<Duration> {
    static func duration(_ range: ClosedRange<Duration>) -> Scalar {
        Scalar("a duration such as 500ms, 30s or 5min") { text in
            guard let duration = Quantity.duration(text) else { return .malformed(hint: "the units are ms, s, min and h") }
            guard range.contains(duration) else {
                return .refused("\(text) is out of range", hint: "from \(Quantity.text(range.lowerBound)) to \(Quantity.text(range.upperBound))")
            }
            return .value(duration)
        }
    }
}

extension Scalar<ByteCount> {
    static let byteCount = Scalar("a number of bytes such as 16MB", hint: "the units are kB, MB, GB and TB, as in postgresql.conf") {
        ByteCount($0)
    }
}
