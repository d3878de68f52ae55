public import Report

// What an operator says of a rule, a word each. The server takes whatever it cannot read otherwise for the name of a host, a role or a
// database, and such a line matches nobody, or somebody else.

extension HBARule.Address {
    /// Reads an address (`10.77.0.3`), a network (`10.0.0.0/8`), the name of a host or the end of such names (`.example.com`), `all`, `samehost`
    /// or `samenet`.
    /// - Throws: `Problem` for anything else.
    public init(asked text: String) throws(Problem) {
        switch text {
        case "all": self = .all
        case "samehost": self = .sameHost
        case "samenet": self = .sameNet
        default:
            if let network = IPNetwork(text) {
                self = .network(network)
            } else if let problem = Self.problem(withName: text) {
                throw problem
            } else {
                self = .hostName(text)
            }
        }
    }

    /// Why `text`, which is no address and no network, is no name of a host either; `nil` where it is one.
    private static func problem(withName text: String) -> Problem? {
        let small = text.lowercased(), network = "a network is written ADDRESS/BITS, such as 10.0.0.0/8"
        func isNone(_ hint: String) -> Problem { Problem("\(text) is no address, no network and no name of a host", hint: hint) }
        if ["all", "samehost", "samenet"].contains(small) { return isNone("write \(small), in small letters") }
        if ["any", "anywhere", "everywhere", "*"].contains(small) { return isNone("every address is called all") }
        if text.hasPrefix("["), text.hasSuffix("]") { return isNone("write it without brackets") }
        if text.contains("%") {
            return Problem("\(text) names a network interface, and the server looks at the address only", hint: "write it without the % and what follows")
        }
        let words = text.split(whereSeparator: \.isWhitespace)
        if words.count == 2, let address = IPAddress(words[0]), let mask = IPAddress(words[1]), let meant = IPNetwork(address, mask: mask) {
            return isNone("\(network): \(meant)")
        }
        if text.contains("/") { return isNone(network) }
        let ends = text.split(separator: "-", maxSplits: 1)
        if ends.count == 2, ends.allSatisfy({ IPAddress($0) != nil }) { return isNone("there are no ranges: \(network)") }
        if let address = IPAddress(asServerReads: text) { return isNone("the server would read \(address): write that") }
        if text.contains(":") { return isNone("an IPv6 address looks like 2001:db8::5, one with its port is none") }
        return isHostName(text) ? nil : isNone("a name has letters, digits, hyphens and dots, and does not end in a number")
    }

    /// A name that a resolver can answer with, or the end of one behind a dot.
    private static func isHostName(_ text: String) -> Bool {
        let labels = (text.hasPrefix(".") ? text.dropFirst() : text[...]).split(separator: ".", omittingEmptySubsequences: false)
        func isOfLabel(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard let last = labels.last, !last.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text.utf8.count <= 254 else { return false }
        return labels.allSatisfy { label in
            !label.isEmpty && label.utf8.count <= 63 && label.utf8.allSatisfy(isOfLabel) && !label.hasPrefix("-") && !label.hasSuffix("-")
        }
    }
}

extension HBARule.User {
    /// Reads the name of a role, `all`, `+role` for whoever belongs to it, `/regex` for every role that fits.
    ///
    /// Before PostgreSQL 16 a slash is the first sign of a name like any other.
    /// - Throws: `Problem` for what is none of these.
    public init(asked text: String) throws(Problem) {
        try HBAWord.check(text, of: "role")
        self =
            switch text {
            case "all": .all
            case let text where text.hasPrefix("+"): .memberOf(String(text.dropFirst()))
            case let text where text.hasPrefix("/"): .regex(String(text.dropFirst()))
            case let text: .named(text)
            }
    }
}

extension HBARule.Database {
    /// Reads the name of a database, `all`, `sameuser`, `samerole`, `/regex` for every database that fits.
    ///
    /// Before PostgreSQL 16 a slash is the first sign of a name like any other.
    /// - Throws: `Problem` for what is none of these.
    public init(asked text: String) throws(Problem) {
        try HBAWord.check(text, of: "database")
        self =
            switch text {
            case "all": .all
            case "sameuser": .sameUser
            case "samerole": .sameRole
            case let text where text.hasPrefix("/"): .regex(String(text.dropFirst()))
            case let text: .named(text)
            }
    }
}

private enum HBAWord {
    /// - Throws: `Problem` for what no line can say, or what would say something else.
    static func check(_ text: String, of kind: String) throws(Problem) {
        if text.isEmpty { throw Problem("the name of the \(kind) is empty") }
        if text.utf8.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) {
            throw Problem("the name of the \(kind) has a line end in it, which no line of pg_hba.conf can say")
        }
        if text.hasPrefix("@") { throw Problem("\(text) stands for a file of names in pg_hba.conf", hint: "name the \(kind)s themselves, a rule for each") }
        if text == "/" || (text == "+" && kind == "role") { throw Problem("there is nothing behind the \(text)") }
    }
}
