import Report

extension Scalar<String> {
    /// A stanza is a directory of the repository and a word of command lines.
    static let stanza = Scalar("a stanza name of letters, digits, . _ and -, beginning with a letter or digit") { text in
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "._-".utf8.contains(byte)
            }
        }
        guard allowed, let first = text.first, !"._-".contains(first) else { return nil }
        return text
    }
}

extension Scalar<String> {
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>, and what compatible stores allow besides.
    static let bucket = Scalar("the name of a bucket", hint: "the path in it stands in its own line: `path: /pgbackrest`") { text in
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: ".-_".utf8.contains(byte)
            }
        }
        return allowed && (3...255).contains(text.utf8.count) ? text : nil
    }

    static let endpoint = Scalar("the host name of an object store", hint: "without https://; the port stands in its own line: `port: 443`") {
        text in Scalar.address.reads(text)
    }

    static func word(_ what: String) -> Scalar {
        Scalar(what) { text in text.isEmpty || text.contains(where: { $0.isWhitespace || $0 == "[" || $0 == "]" || $0 == "#" }) ? nil : text }
    }

    private func reads(_ text: String) -> String? { if case .value(let value) = reading(of: text) { value } else { nil } }
}

extension Scalar<Playbook.S3Credentials> {
    static let s3Credentials = Scalar("a file such as ~/.aws/credentials, environment, prompt, role or web-id") { text in
        switch text {
        case "environment": return .value(.environment)
        case "prompt": return .value(.prompt)
        case "role": return .value(.role)
        case "web-id": return .value(.webIdentity)
        default:
            if text.hasPrefix("/") || text.hasPrefix("~/") { return .value(.file(text)) }
            return .malformed(hint: Spelling.nearest(to: text, among: ["environment", "prompt", "role", "web-id"]).map { "did you mean \"\($0)\"?" })
        }
    }
}

extension Scalar<Playbook.BackRestCopy.Backup> {
    /// A label is pgBackRest's: `20260131-104500F`, and for a differential or incremental set `…F_20260201-104500D` or `…I`.
    static let backup = Scalar("full, newest or the label of a backup set such as 20260131-104500F") { text in
        switch text {
        case "full": return .value(.full)
        case "newest": return .value(.newest)
        default:
            let parts = text.split(separator: "_", omittingEmptySubsequences: false)
            let isLabel =
                switch parts.count {
                case 1: isStamp(parts[0], kinds: "F")
                case 2: isStamp(parts[0], kinds: "F") && isStamp(parts[1], kinds: "DI")
                default: false
                }
            if isLabel { return .value(.set(text)) }
            return .malformed(hint: Spelling.nearest(to: text, among: ["full", "newest"]).map { "did you mean \"\($0)\"?" })
        }
    }

    private static func isStamp(_ text: Substring, kinds: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, kinds.utf8.contains(bytes[15]), bytes[8] == UInt8(ascii: "-") else { return false }
        return bytes.indices.dropLast().allSatisfy { $0 == 8 || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[$0]) }
    }
}
