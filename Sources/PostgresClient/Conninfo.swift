/// A connection string, taken apart and put together by libpq's own rules.
///
/// Order is kept; a password prints as `‹redacted›`.
public struct Conninfo: Sendable, Hashable, CustomStringConvertible {
    private(set) var options: [(keyword: String, value: String)] = []

    public init(_ options: KeyValuePairs<String, String> = [:]) {
        for (keyword, value) in options { self[keyword] = value }
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

    /// `keyword=value` pairs as libpq reads them, with the password if there is one: for servers, never for people.
    public var connectionString: String { render { _, value in value } }

    public var description: String { render { keyword, value in keyword.contains("password") ? "‹redacted›" : value } }

    private func render(_ shown: (String, String) -> String) -> String {
        options.map { "\($0.keyword)=\(Conninfo.quote(shown($0.keyword, $0.value)))" }.joined(separator: " ")
    }

    private static func quote(_ value: String) -> String {
        guard value.isEmpty || value.contains(where: { $0.isWhitespace || $0 == "'" || $0 == "\\" }) else { return value }
        return "'" + value.map { $0 == "'" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined() + "'"
    }

    public static func == (left: Conninfo, right: Conninfo) -> Bool { left.connectionString == right.connectionString }
    public func hash(into hasher: inout Hasher) { hasher.combine(connectionString) }
}
