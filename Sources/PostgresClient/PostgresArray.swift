/// The text form of a one-dimensional array without NULLs. <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>
///
/// Both directions look at Unicode scalars: a quote followed by a combining mark is one `Character`, and still a quote.
enum PostgresArray {
    /// `values` as `{"a","b"}`.
    static func text(_ values: [String]) -> String {
        "{" + values.map { "\"" + escaping($0) + "\"" }.joined(separator: ",") + "}"
    }

    private static func escaping(_ value: String) -> String {
        var escaped = String.UnicodeScalarView()
        for scalar in value.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { escaped.append("\\") }
            escaped.append(scalar)
        }
        return String(escaped)
    }

    /// The elements of `text`; `nil` for NULL elements, several dimensions, bounds, and anything else.
    static func elements(_ text: String) -> [String]? {
        var rest = text.unicodeScalars[...]
        guard rest.popFirst() == "{", rest.popLast() == "}" else { return nil }
        guard !rest.isEmpty else { return [] }
        var elements: [String] = []
        repeat {
            guard let element = rest.first == "\"" ? quoted(&rest) : bare(&rest) else { return nil }
            elements.append(element)
            if rest.isEmpty { return elements }
        } while rest.popFirst() == ","
        return nil
    }

    private static func quoted(_ rest: inout Substring.UnicodeScalarView) -> String? {
        var element = String.UnicodeScalarView()
        rest.removeFirst()
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\"": return String(element)
            case "\\":
                guard let escaped = rest.popFirst() else { return nil }
                element.append(escaped)
            default: element.append(scalar)
            }
        }
        return nil
    }

    private static func bare(_ rest: inout Substring.UnicodeScalarView) -> String? {
        var element = String.UnicodeScalarView()
        while let scalar = rest.first, scalar != "," {
            guard scalar != "\"", scalar != "{", scalar != "}", scalar != "\\" else { return nil }
            element.append(scalar)
            rest.removeFirst()
        }
        let text = String(element)
        return text.isEmpty || text == "NULL" ? nil : text
    }
}
