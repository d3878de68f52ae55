/// The value of `synchronous_standby_names`: which standbys a commit waits for.
///
/// ```swift
/// let names = StandbyNames("ANY 2 (n2, n3, \"n-4\")", version: .postgres(15))
/// names?.removing("n3").description   // ANY 2 (n2, "n-4")
/// ```
///
/// <https://www.postgresql.org/docs/current/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES>
public struct StandbyNames: Sendable, Hashable, CustomStringConvertible {
    public enum Method: Sendable, Hashable {
        /// `a, b`: the first of them that is there.
        case list
        /// `2 (a, b, c)`: so many, the first ones that are there (from 9.6).
        case number(Int)
        /// `FIRST 2 (a, b, c)`: the same (from 10).
        case first(Int)
        /// `ANY 2 (a, b, c)`: so many, whichever answer first (from 10).
        case any(Int)
    }

    public let method: Method
    /// `application_name`s, which the server compares without regard to case; `*` is any.
    public let names: [String]
    private let version: MajorVersion

    /// `nil` for a value that a server of `version` refuses.
    public init?(_ value: String, version: MajorVersion) {
        self.version = version
        guard version.number >= 906 else {
            guard let list = SettingList(value, syntax: .identifiers) else { return nil }
            (method, names) = (.list, list.names)
            return
        }
        if value.isEmpty {
            (method, names) = (.list, [])
            return
        }
        guard var tokens = Token.all(of: value, hasKeywords: version >= .postgres(10)).map({ $0[...] }) else { return nil }
        var method: Method?
        switch (tokens.first, tokens.dropFirst().first, tokens.dropFirst(2).first) {
        case (.any, .number(let number), .open): method = .any(Self.count(number))
        case (.first, .number(let number), .open): method = .first(Self.count(number))
        case (.number(let number), .open, _): method = .number(Self.count(number))
        default: break
        }
        if let method {
            tokens = tokens.drop { $0 != .open }.dropFirst()
            guard tokens.popLast() == .close else { return nil }
            if case .any(..<1) = method { return nil }
            if case .first(..<1) = method { return nil }
            if case .number(..<1) = method { return nil }
        }
        var names: [String] = []
        while let token = tokens.popFirst() {
            guard case .name(let name) = token.asName else { return nil }
            names.append(name)
            guard let separator = tokens.popFirst() else { break }
            guard separator == .comma, !tokens.isEmpty else { return nil }
        }
        if names.isEmpty { return nil }
        (self.method, self.names) = (method ?? .list, names)
    }

    private init(_ method: Method, _ names: [String], _ version: MajorVersion) { (self.method, self.names, self.version) = (method, names, version) }

    /// As C makes an `int` of it.
    private static func count(_ digits: String) -> Int { Int(Int32(truncatingIfNeeded: Int(digits) ?? Int.max)) }

    /// Whether every commit waits for this standby, whatever the others do.
    public func isAlwaysWaitedFor(_ name: String) -> Bool {
        guard !contains("*"), let index = names.firstIndex(where: { isSameSetting($0, name) }) else { return false }
        return if case .any = method { number >= names.count } else { index < number }
    }

    /// How many standbys a commit waits for; 0 without any.
    public var number: Int {
        switch method {
        case .list: names.isEmpty ? 0 : 1
        case .number(let number), .first(let number), .any(let number): names.isEmpty ? 0 : number
        }
    }

    /// Whether the listed standbys can be as many as a commit waits for. Where they cannot, every commit waits for ever.
    public var isSatisfiable: Bool { names.contains("*") || number <= names.count }

    public func contains(_ name: String) -> Bool { names.contains { isSameSetting($0, name) } }

    /// With `name` as the last of them; the method and the number stay.
    public func adding(_ name: String) -> StandbyNames { contains(name) ? self : StandbyNames(method, names + [name], version) }

    /// Without `name`; the method and the number stay. Look at ``isSatisfiable`` before writing it.
    public func removing(_ name: String) -> StandbyNames { StandbyNames(method, names.filter { !isSameSetting($0, name) }, version) }

    /// With `other` in the place of `name`; the method and the number stay.
    public func replacing(_ name: String, with other: String) -> StandbyNames { StandbyNames(method, names.map { isSameSetting($0, name) ? other : $0 }, version) }

    /// The same standbys with another method or number.
    public func waiting(by method: Method) -> StandbyNames { StandbyNames(method, names, version) }

    /// The value for ``SettingsFile/set(_:to:)``; empty without names, and no commit waits then.
    public var description: String {
        guard !names.isEmpty else { return "" }
        let list = names.map(written).joined(separator: ", ")
        return switch method {
        case .list: list
        case .number(let number): "\(number) (\(list))"
        case .first(let number): "FIRST \(number) (\(list))"
        case .any(let number): "ANY \(number) (\(list))"
        }
    }

    private func written(_ name: String) -> String {
        if name == "*" { return name }
        let isPlain = Token.all(of: name, hasKeywords: true) == [.name(name)] && !name.utf8.contains(UInt8(ascii: "\""))
        // Before 9.6 what is not quoted is folded; that makes no difference to the server and would to the reader.
        return isPlain && (version.number >= 906 || name.utf8.elementsEqual(name.utf8.map(foldedByte))) ? name : quotedListName(name)
    }

    private enum Token: Hashable {
        case name(String), number(String)
        case any, first, open, close, comma

        /// A number is a name, too, where a name stands.
        var asName: Token { if case .number(let digits) = self { .name(digits) } else { self } }

        /// `nil` where something is in `text` that has no place in such a value.
        static func all(of text: String, hasKeywords: Bool) -> [Token]? {
            var tokens: [Token] = [], rest = Array(text.utf8)[...]
            func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
            func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) || byte == UInt8(ascii: "_") || byte >= 0x80 }
            while let byte = rest.first {
                switch byte {
                case 0x20, 0x09...0x0D: rest = rest.dropFirst()
                case UInt8(ascii: "\""):
                    guard let name = SettingList.quotedName(&rest) else { return nil }
                    tokens.append(.name(String(decoding: name, as: UTF8.self)))
                case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: "*"):
                    rest = rest.dropFirst()
                    tokens.append(byte == UInt8(ascii: "(") ? .open : byte == UInt8(ascii: ")") ? .close : byte == UInt8(ascii: ",") ? .comma : .name("*"))
                case _ where isDigit(byte):
                    let digits = rest.prefix(while: isDigit)
                    rest = rest.dropFirst(digits.count)
                    tokens.append(.number(String(decoding: digits, as: UTF8.self)))
                case _ where isLetter(byte):
                    let word = rest.prefix { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "$") }
                    rest = rest.dropFirst(word.count)
                    let name = String(decoding: word, as: UTF8.self)
                    tokens.append(hasKeywords && isSameSetting(name, "any") ? .any : hasKeywords && isSameSetting(name, "first") ? .first : .name(name))
                default: return nil
                }
            }
            return tokens
        }
    }
}
