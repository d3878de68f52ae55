internal import CLibPQ
public import Report

/// A connection string, taken apart and put together by libpq's own rules.
///
/// Two are equal when they mean the same: order, empty values and values that are libpq's own defaults do not count.
/// A password prints as `‹redacted›`. <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>
///
/// ```swift
/// let dsn = try Conninfo(parsing: "postgresql://spock@n1:5433/app?sslmode=verify-full")
/// dsn["sslmode"]                                                   // verify-full
/// dsn.forwarded(host: "n1", address: "127.0.0.1", port: 40001)     // host=n1 … hostaddr=127.0.0.1 port=40001
/// ```
public struct Conninfo: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private(set) var options: [(keyword: String, value: String)] = []
    private(set) var forwarding: Forwarding?

    public init(_ options: KeyValuePairs<String, String> = [:]) {
        for (keyword, value) in options { self[keyword] = value }
    }

    /// Reads `keyword=value` pairs or a `postgresql://` URI, as libpq does; options come in libpq's order.
    /// - Throws: ``ConninfoError``.
    public init(parsing text: String) throws {
        guard !holdsNul(text) else { throw ConninfoError(message: "a connection string cannot hold a NUL byte") }
        var message: UnsafeMutablePointer<CChar>?
        guard let parsed = PQconninfoParse(text, &message) else {
            defer { PQfreemem(message) }
            throw ConninfoError(libpq: message.map { String(cString: $0) } ?? "out of memory", about: text)
        }
        defer { PQconninfoFree(parsed) }
        for option in LibpqOption.all(parsed) where option.value != nil { self[option.keyword] = option.value }
    }

    /// Reads what a server's configuration holds. Its libpq may be newer than this one, and know more options: they are kept.
    /// - Throws: ``ConninfoError``.
    public init(ofServer text: String) throws {
        guard !text.hasPrefix("postgresql://"), !text.hasPrefix("postgres://") else {
            try self.init(parsing: text)
            return
        }
        self.init()
        var rest = text.unicodeScalars[...]
        func skipBlanks() { rest = rest.drop(while: \.properties.isWhitespace) }
        skipBlanks()
        while !rest.isEmpty {
            let keyword = rest.prefix { $0 != "=" && !$0.properties.isWhitespace }
            rest = rest.dropFirst(keyword.count)
            skipBlanks()
            guard rest.popFirst() == "=", !keyword.isEmpty else { throw ConninfoError(message: "an option without a value") }
            skipBlanks()
            let isQuoted = rest.first == "'"
            if isQuoted { rest = rest.dropFirst() }
            var value = String.UnicodeScalarView(), isClosed = !isQuoted
            while let scalar = rest.first {
                if isQuoted ? scalar == "'" : scalar.properties.isWhitespace {
                    isClosed = true
                    break
                }
                rest = rest.dropFirst()
                if scalar == "\\" { if let escaped = rest.popFirst() { value.append(escaped) } } else { value.append(scalar) }
            }
            guard isClosed else { throw ConninfoError(message: "a quote that does not end") }
            if isQuoted { rest = rest.dropFirst() }
            self[String(keyword)] = String(value)
            skipBlanks()
        }
    }

    public subscript(keyword: String) -> String? {
        get { options.first { $0.keyword == keyword }?.value }
        set {
            let index = options.firstIndex { $0.keyword == keyword }
            switch (index, newValue) {
            case (let index?, let value?): options[index].value = value
            case (let index?, nil): options.remove(at: index)
            case (nil, let value?): options.append((keyword, value))
            case (nil, nil): break
            }
        }
    }

    public var password: Secret? {
        get { self["password"].map(Secret.init) }
        set { self["password"] = newValue?.reveal() }
    }

    /// The same without every value that is a secret: `password`, `sslpassword`, and what a newer libpq has.
    public var withoutSecrets: Conninfo {
        var copy = self
        copy.options.removeAll { LibpqOption.isSecret($0.keyword) }
        return copy
    }

    /// The same server through a forwarded port. `host` stays the name that certificates and `.pgpass` lines are for;
    /// `address` and `port` are where the connection goes. Errors go on naming `host` and the port that there was.
    public func forwarded(host: String, address: String, port: UInt16) -> Conninfo {
        var copy = self
        copy.forwarding = Forwarding(host: host, port: self["port"] ?? "\(port)", localAddress: address, localPort: "\(port)")
        copy["host"] = host
        copy["hostaddr"] = address
        copy["port"] = "\(port)"
        return copy
    }

    /// A Unix-domain socket of a host, through the port of this machine that leads there: a server speaks no TLS and no GSSAPI on one.
    /// Errors name the socket.
    public func forwarded(socket path: String, address: String, port: UInt16) -> Conninfo {
        var copy = forwarded(host: String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex)), address: address, port: port)
        copy.forwarding?.socket = path
        copy["sslmode"] = "disable"
        copy["gssencmode"] = "disable"
        return copy
    }

    /// `keyword=value` pairs as libpq reads them, with the password if there is one: for servers, never for people.
    public var connectionString: String { render { _, value in value } }

    public var description: String { render { LibpqOption.isSecret($0) ? Redaction.mark : $1 } }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["options": description]) }

    private func render(_ shown: (_ keyword: String, _ value: String) -> String) -> String {
        options.map { "\($0.keyword)=\(Conninfo.quote(shown($0.keyword, $0.value)))" }.joined(separator: " ")
    }

    // Scalars, not characters: a quote followed by a combining mark is one Character, and would be missed.
    private static func quote(_ value: String) -> String {
        let needsQuotes = value.unicodeScalars.contains { $0.properties.isWhitespace || $0 == "'" || $0 == "\\" }
        guard value.isEmpty || needsQuotes else { return value }
        var quoted = String.UnicodeScalarView()
        for scalar in value.unicodeScalars {
            if scalar == "'" || scalar == "\\" { quoted.append("\\") }
            quoted.append(scalar)
        }
        return "'" + String(quoted) + "'"
    }

    private var meaning: [String: String] {
        var meaning: [String: String] = [:]
        for (keyword, value) in options where !value.isEmpty && value != LibpqOption.compiledDefaults[keyword] {
            meaning[keyword] = value
        }
        return meaning
    }

    public static func == (left: Conninfo, right: Conninfo) -> Bool { left.meaning == right.meaning }
    public func hash(into hasher: inout Hasher) { hasher.combine(meaning) }
}

/// A text that is no connection string; `message` is libpq's, without what could be a secret.
public struct ConninfoError: Explained {
    public let message: String

    init(message: String) { self.message = message }

    /// libpq quotes the place it stumbled over, which may be half a password. Where the text can hold one, everything
    /// from the first quoted part that is neither a keyword nor punctuation to the last quote goes.
    init(libpq text: String, about conninfo: String) {
        let message = text.trimmed
        let folded = conninfo.lowercased()
        let authority = folded.firstRange(of: "://").map { folded[$0.upperBound...] }
        let mayHoldSecret = folded.contains("pass") || authority?.contains(where: { $0 == ":" || $0 == "@" }) == true
        self.message = mayHoldSecret ? ConninfoError.redacting(message) : message
    }

    private static func redacting(_ message: String) -> String {
        let scalars = message.unicodeScalars
        let quotes = scalars.indices.filter { scalars[$0] == "\"" }
        guard let last = quotes.last else { return message }
        for pair in stride(from: 0, to: quotes.count, by: 2) {
            let start = scalars.index(after: quotes[pair])
            let quoted = String(scalars[start..<(pair + 1 < quotes.count ? quotes[pair + 1] : scalars.endIndex)])
            let isPunctuation = quoted.count == 1 && quoted.allSatisfy { $0.isASCII && !$0.isLetter && !$0.isNumber }
            if isPunctuation || LibpqOption.keywords.contains(quoted) { continue }
            return String(scalars[..<start]) + Redaction.mark + String(scalars[max(start, last)...])
        }
        return message
    }

    public var fact: String { "not a connection string: \(message)" }
    public var hint: String? { "write keyword=value pairs or a postgresql:// URI; values with spaces stand in single quotes" }
}
