internal import Glibc

/// What kind of value a setting has, as `pg_settings` says it.
public struct SettingKind: Sendable, Hashable {
    /// `pg_settings.vartype`.
    public enum ValueType: String, Sendable, Hashable {
        case bool, integer, real, string
        case enumeration = "enum"
    }

    public let type: ValueType
    public let unit: SettingUnit?
    /// `pg_settings.enumvals`; of an enum only.
    public let choices: [String]
    public let version: MajorVersion

    public init(_ type: ValueType, unit: SettingUnit? = nil, choices: [String] = [], version: MajorVersion) {
        (self.type, self.unit, self.choices, self.version) = (type, unit, choices, version)
    }

    /// From a row of `pg_settings`; `nil` where it holds a type or a unit that no version has.
    public init?(vartype: String, unit: String?, enumvals: [String]?, version: MajorVersion) {
        guard let type = ValueType(rawValue: vartype) else { return nil }
        let known = unit.map { SettingUnit($0) }
        if let known, known == nil { return nil }
        self.init(type, unit: known ?? nil, choices: enumvals ?? [], version: version)
    }
}

/// The value of a setting, the way the server takes a text for it: `on`, `1` and `TRUE` are one, `1GB` and `1048576kB`, too.
///
/// ```swift
/// let kind = SettingKind(.integer, unit: SettingUnit("8kB"), version: .postgres(15))
/// SettingValue("1GB", kind: kind) == SettingValue("131072", kind: kind)   // true
/// SettingValue("131072", kind: kind)?.text(kind)                          // 1GB
/// ```
public enum SettingValue: Sendable, Hashable {
    case bool(Bool)
    /// In the setting's unit.
    case integer(Int)
    /// In the setting's unit.
    case real(Double)
    case string(String)
    /// One of the setting's choices, spelled as the server shows it.
    case enumeration(String)

    /// Reads `text` as the server does; `nil` where the server refuses it, whatever the setting's limits.
    public init?(_ text: String, kind: SettingKind) {
        let value: SettingValue? =
            switch kind.type {
            case .bool: Self.bool(text).map(SettingValue.bool)
            case .integer: Self.integer(text, unit: kind.unit, version: kind.version).map(SettingValue.integer)
            case .real: Self.real(text, unit: kind.unit, version: kind.version).map(SettingValue.real)
            case .string: .string(text)
            case .enumeration: Self.choice(text, of: kind.choices).map(SettingValue.enumeration)
            }
        guard let value else { return nil }
        self = value
    }

    /// For people, as `SHOW` says it: `1GB` for 131072 of 8kB.
    public func text(_ kind: SettingKind) -> String {
        switch self {
        case .bool(let isOn): isOn ? "on" : "off"
        case .integer(let number): kind.unit?.text(number) ?? "\(number)"
        case .real(let number): kind.unit?.text(number) ?? shortText(number)
        case .string(let text), .enumeration(let text): text
        }
    }

    /// Whether this is the value that `pg_settings.setting` shows: in the setting's unit, a real number to six digits.
    ///
    /// A few settings show something else than they were given: a disabled `archive_command`, canonical names of time zones,
    /// what the server works out for -1.
    public func isShown(as setting: String, kind: SettingKind) -> Bool {
        if case .real(let number) = self { return shortText(number) == setting }
        if case .string(let text) = self { return text.utf8.elementsEqual(setting.utf8) }
        return SettingValue(setting, kind: kind) == self
    }

    // MARK: Reading

    /// Beginnings of the words are enough, where they are of one word.
    private static func bool(_ text: String) -> Bool? {
        let text = text.utf8.map(foldedByte)
        func begins(_ word: String) -> Bool { word.utf8.starts(with: text) }
        switch text.first {
        case UInt8(ascii: "t") where begins("true"), UInt8(ascii: "y") where begins("yes"): return true
        case UInt8(ascii: "f") where begins("false"), UInt8(ascii: "n") where begins("no"): return false
        case UInt8(ascii: "o") where text.count > 1: return begins("on") ? true : begins("off") ? false : nil
        case UInt8(ascii: "1") where text.count == 1: return true
        case UInt8(ascii: "0") where text.count == 1: return false
        default: return nil
        }
    }

    /// Decimal, hexadecimal (`0x`) or octal (`0`); from 12 on also with a fraction and an exponent, rounded.
    private static func integer(_ text: String, unit: SettingUnit?, version: MajorVersion) -> Int? {
        let isExact = version < .postgres(12)
        guard let (number, rest) = number(text, from: isExact ? .integer : .integerOrReal) else { return nil }
        guard let value = inBaseUnit(number, rest, unit: unit, version: version) else { return nil }
        let rounded = value.rounded(.toNearestOrEven)
        return rounded >= Double(Int32.min) && rounded <= Double(Int32.max) ? Int(rounded) : nil
    }

    private static func real(_ text: String, unit: SettingUnit?, version: MajorVersion) -> Double? {
        guard let (number, rest) = number(text, from: .real) else { return nil }
        return inBaseUnit(number, rest, unit: version < .postgres(12) ? nil : unit, version: version)
    }

    private enum Notation { case integer, real, integerOrReal }

    /// The number that `text` begins with, and what is behind it.
    private static func number(_ text: String, from notation: Notation) -> (Double, rest: ArraySlice<UInt8>)? {
        let bytes = Array(text.utf8)
        return text.withCString { start -> (Double, rest: ArraySlice<UInt8>)? in
            var end: UnsafeMutablePointer<CChar>?
            var value = 0.0
            errno = 0
            if notation != .real { value = Double(strtol(start, &end, 0)) }
            let stop = end.map { UInt8(bitPattern: $0.pointee) }
            let goesOn = errno == ERANGE || stop == UInt8(ascii: ".") || stop.map(foldedByte) == UInt8(ascii: "e")
            if notation == .real || (notation == .integerOrReal && goesOn) {
                errno = 0
                value = strtod(start, &end)
            }
            guard let end, end != start, errno != ERANGE, !value.isNaN else { return nil }
            return (value, bytes.dropFirst(UnsafePointer(end) - start))
        }
    }

    /// `number` of the unit that `rest` names, blanks around it.
    private static func inBaseUnit(_ number: Double, _ rest: ArraySlice<UInt8>, unit: SettingUnit?, version: MajorVersion) -> Double? {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
        let written = rest.drop(while: isBlank)
        if written.isEmpty { return number }
        let name = written.prefix { !isBlank($0) }
        guard let unit, written.dropFirst(name.count).allSatisfy(isBlank) else { return nil }
        return unit.value(of: number, in: String(decoding: name, as: UTF8.self), version: version)
    }

    /// Words that the server takes without listing them, and which of the listed ones each is.
    private static let unlisted = [
        "true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off", "debug": "debug2",
    ]
    /// What `wal_level` was called until 9.5, and still may be.
    private static let oldLevels = ["archive": "replica", "hot_standby": "replica"]

    private static func choice(_ text: String, of choices: [String]) -> String? {
        func find(_ text: String) -> String? { choices.first { isSameSetting($0, text) } }
        let folded = String(decoding: text.utf8.map(foldedByte), as: UTF8.self)
        let isWALLevel = find("minimal") != nil && find("logical") != nil
        guard let found = find(text) ?? (isWALLevel ? oldLevels : unlisted)[folded].flatMap(find) else { return nil }
        // `wal_compression` that is only said to be on is this one, and shown so.
        return found == "on" ? find("pglz") ?? found : found
    }
}
