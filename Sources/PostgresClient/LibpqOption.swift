internal import CLibPQ
import Report

/// A connection option as this libpq knows it.
struct LibpqOption {
    let keyword: String
    /// The environment variable that gives the value where a connection string does not.
    let variable: String?
    let compiledDefault: String?
    let value: String?
    let isSecret: Bool

    static func all(_ first: UnsafeMutablePointer<PQconninfoOption>) -> [LibpqOption] {
        var options: [LibpqOption] = []
        var next = first
        while let keyword = next.pointee.keyword {
            let text: (UnsafeMutablePointer<CChar>?) -> String? = { $0.map { String(cString: $0) } }
            options.append(
                LibpqOption(
                    keyword: String(cString: keyword), variable: text(next.pointee.envvar),
                    compiledDefault: text(next.pointee.compiled), value: text(next.pointee.val),
                    isSecret: text(next.pointee.dispchar) == "*"))
            next += 1
        }
        return options
    }

    private static let known: [LibpqOption] = {
        guard let defaults = PQconndefaults() else { return [] }
        defer { PQconninfoFree(defaults) }
        return all(defaults)
    }()

    static let keywords = Set(known.map(\.keyword))
    static let variables = Set(known.compactMap(\.variable))
    static let compiledDefaults: [String: String] =
        Dictionary(known.compactMap { option in option.compiledDefault.map { (option.keyword, $0) } }) { first, _ in first }
    private static let secrets = Set(known.filter(\.isSecret).map(\.keyword))

    /// Also for keywords this libpq does not know: a newer server's, or a misspelt one.
    static func isSecret(_ keyword: String) -> Bool {
        secrets.contains(keyword) || Redaction.isSecret(keyword)
    }
}
