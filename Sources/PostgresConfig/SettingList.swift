/// The value of a setting that is a list, read as the server reads it and written so that the server reads it back.
///
/// ```swift
/// let path = SettingList("\"$user\", Public", syntax: .identifiers)   // $user, public
/// path?.adding("Sales").description                                   // "$user", Public, "Sales"
/// ```
///
/// Write it to a file. `ALTER SYSTEM SET shared_preload_libraries = 'a,b'` stores one library, and `= ''` one without a name.
public struct SettingList: Sendable, Hashable, CustomStringConvertible {
    /// How the server takes a list apart.
    public enum Syntax: Sendable, Hashable {
        /// Names are folded to small letters and cut at 63 bytes, and end at a blank, if they are not quoted (`search_path`).
        case identifiers
        /// Names end at a blank, if they are not quoted (`listen_addresses`).
        case words
        /// Names may have blanks inside (`shared_preload_libraries`).
        case paths
    }

    struct Element: Sendable, Hashable {
        var name: String
        /// As it stood in the list, quotes included.
        var written: String
    }

    public let syntax: Syntax
    var elements: [Element] = []

    public init(_ syntax: Syntax) { self.syntax = syntax }

    init(_ elements: [Element], syntax: Syntax) { (self.elements, self.syntax) = (elements, syntax) }

    /// `nil` for a list the server calls invalid.
    public init?(_ value: String, syntax: Syntax) {
        self.syntax = syntax
        var rest = Array(value.utf8)[...]
        rest = rest.drop(while: isListSpace)
        while !rest.isEmpty {
            let start = rest
            guard let name = Self.name(&rest, syntax) else { return nil }
            let written = start.prefix(start.count - rest.count)
            elements.append(Element(name: String(decoding: name, as: UTF8.self), written: String(decoding: written, as: UTF8.self)))
            rest = rest.drop(while: isListSpace)
            guard let separator = rest.popFirst() else { return }
            rest = rest.drop(while: isListSpace)
            guard separator == UInt8(ascii: ","), !rest.isEmpty else { return nil }
        }
    }

    private static func name(_ rest: inout ArraySlice<UInt8>, _ syntax: Syntax) -> [UInt8]? {
        if rest.first == UInt8(ascii: "\"") { return quotedName(&rest).map { syntax == .identifiers ? cut($0) : $0 } }
        var name = rest.prefix { $0 != UInt8(ascii: ",") && (syntax == .paths || !isListSpace($0)) }
        while let last = name.last, isListSpace(last) { name.removeLast() }
        rest = rest.dropFirst(name.count)
        if name.isEmpty { return nil }
        return syntax == .identifiers ? cut(name.map(foldedByte)) : Array(name)
    }

    /// What stands in double quotes, each of its own doubled; `nil` where they do not end.
    static func quotedName(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        var name: [UInt8] = []
        rest = rest.dropFirst()
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") {
                guard rest.first == UInt8(ascii: "\"") else { return name }
                rest = rest.dropFirst()
            }
            name.append(byte)
        }
        return nil
    }

    /// An identifier is at most 63 bytes long, and whole characters.
    private static func cut(_ name: [UInt8]) -> [UInt8] {
        guard name.count > 63 else { return name }
        var end = 63
        while end > 0, name[end] & 0xC0 == 0x80 { end -= 1 }
        return Array(name[..<end])
    }

    // MARK: What is in it

    /// As the server knows them, in order.
    public var names: [String] { elements.map(\.name) }
    public var isEmpty: Bool { elements.isEmpty }

    /// The value for ``SettingsFile/set(_:to:)``; empty for an empty list.
    public var description: String { elements.map(\.written).joined(separator: ", ") }

    public func contains(_ name: String) -> Bool { elements.contains { $0.name.utf8.elementsEqual(name.utf8) } }

    /// With `name` at the end, unless it is in it already.
    public func adding(_ name: String) -> SettingList {
        contains(name) ? self : SettingList(elements + [Element(name: name, written: Self.written(name, syntax))], syntax: syntax)
    }

    /// Without `name`, however often it is in it.
    public func removing(_ name: String) -> SettingList {
        SettingList(elements.filter { !$0.name.utf8.elementsEqual(name.utf8) }, syntax: syntax)
    }

    private static func written(_ name: String, _ syntax: Syntax) -> String {
        let isPlain: Bool
        if syntax == .identifiers {
            let first = name.utf8.first.map { (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "_") } ?? false
            isPlain = first && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "_") }
        } else {
            isPlain = !name.isEmpty && !name.utf8.contains { isListSpace($0) || $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") }
        }
        return isPlain ? name : quotedListName(name)
    }
}

/// `name` in double quotes, byte for byte.
func quotedListName(_ name: String) -> String {
    let doubled = name.utf8.flatMap { $0 == UInt8(ascii: "\"") ? [$0, $0] : [$0] }
    return "\"" + String(decoding: doubled, as: UTF8.self) + "\""
}

/// What the server skips between the names of a list.
private func isListSpace(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x20, 0x09, 0x0A, 0x0D, 0x0C: true
    default: false
    }
}

/// How the value of a setting that is a list is taken apart.
public enum ListSetting: Sendable, Hashable {
    case list(SettingList.Syntax)
    /// ``StandbyNames``
    case standbyNames

    /// `nil` for a setting that is no list.
    ///
    /// All that any version has: `output_plugin_libraries` came with minor releases, so a major version does not tell.
    public static func of(_ name: String, in version: MajorVersion) -> ListSetting? {
        let name = String(decoding: name.utf8.map(foldedByte), as: UTF8.self)
        return switch name {
        case "synchronous_standby_names": .standbyNames
        case "listen_addresses": .list(.words)
        // A switch until 17.
        case "log_connections": version >= .postgres(18) ? .list(.identifiers) : nil
        case "datestyle", "log_destination", "wal_consistency_checking", "createrole_self_grant", "debug_io_direct",
            "restrict_nonsystem_relation_kind", "synchronized_standby_slots", "plpgsql.extra_errors", "plpgsql.extra_warnings",
            "search_path", "temp_tablespaces":
            .list(.identifiers)
        case "shared_preload_libraries", "session_preload_libraries", "local_preload_libraries", "unix_socket_directories",
            "oauth_validator_libraries", "output_plugin_libraries":
            .list(.paths)
        default: nil
        }
    }
}
