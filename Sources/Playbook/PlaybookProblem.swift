import Report

/// What is wrong at a place of a playbook.
public enum PlaybookProblem: Sendable, Hashable {
    /// The file cannot be read; the text is the operating system's.
    case unreadable(String)
    case tooLarge(limit: ByteCount)
    case notUTF8
    case controlCharacter(Unicode.Scalar)
    /// The YAML parser gave up. `context` is what it was doing, and since which line.
    case syntax(String, context: String?, hint: String?)
    case severalDocuments
    case empty
    case anchor
    case merge
    case tag(String)
    case keyIsNoText
    /// `line` is where the key stands first.
    case repeatedKey(String, line: Int?)
    case unknownKey(String, UnknownKeyHint)
    case missing(String, hint: String)
    case noValue
    /// Something else was expected. `found` is without secrets, and quoted where it is the file's own text.
    case unexpected(expected: String, found: String, hint: String?)
    /// A rule of the procedure does not hold.
    case rule(String, hint: String)

    /// What helps with a key that is not known.
    public enum UnknownKeyHint: Sendable, Hashable {
        case didYouMean(String)
        case belongsUnder(String)
        case belongsAtTop
        case passwordsStandElsewhere
        case known([String])
    }

    /// One line, lower case, without a full stop.
    public var fact: String {
        switch self {
        case .unreadable(let reason): "cannot read the playbook: \(reason)"
        case .tooLarge(let limit): "the file is larger than \(limit)"
        case .notUTF8: "the text is not UTF-8"
        case .controlCharacter(let scalar): "the control character \(PlaybookProblem.code(of: scalar)) is not allowed"
        case .syntax(let problem, let context, _): "not valid YAML: \(problem)" + (context.map { " \($0)" } ?? "")
        case .severalDocuments: "a second document begins here"
        case .empty: "the playbook is empty"
        case .anchor: "anchors (&name) and aliases (*name) are not supported"
        case .merge: "merge keys (<<) are not supported"
        case .tag(let tag): "tags (\(tag)) are not supported"
        case .keyIsNoText: "a key must be a single word"
        case .repeatedKey(let key, let line): "\"\(key)\" is given twice" + (line.map { ", first in line \($0)" } ?? "")
        case .unknownKey(let key, _): "unknown key \"\(key)\""
        case .missing(let key, _): "\"\(key)\" is missing"
        case .noValue: "has no value"
        case .unexpected(let expected, let found, _): "expected \(expected), found \(found)"
        case .rule(let fact, _): fact
        }
    }

    /// What to do, where that is not plain from the fact.
    public var hint: String? {
        switch self {
        case .tooLarge: "a playbook is a few kilobytes of YAML; is this the right file?"
        case .notUTF8: "save the file as UTF-8 text"
        case .controlCharacter: "take it out; YAML is plain text"
        case .syntax(_, _, let hint), .unexpected(_, _, let hint): hint
        case .severalDocuments: "one file holds one playbook: put the second into a file of its own"
        case .empty: "begin with one of the shipped playbooks, for example playbooks/spock-add-node.yaml"
        case .anchor, .merge: "write the value out where it is used"
        case .tag: "leave the tag out: the key decides what its value is"
        case .keyIsNoText: "write `key: value`; put a text with special characters in quotes"
        case .repeatedKey: "keep one of the two"
        case .unknownKey(_, let help): help.text
        case .noValue: "give it a value, or take the line out"
        case .missing(_, let hint), .rule(_, let hint): hint
        case .unreadable: nil
        }
    }

    private static func code(of scalar: Unicode.Scalar) -> String {
        "U+" + String(scalar.value, radix: 16, uppercase: true).zeroPadded(to: 4)
    }
}

extension PlaybookProblem.UnknownKeyHint {
    fileprivate var text: String {
        switch self {
        case .didYouMean(let key): "did you mean \"\(key)\"?"
        case .belongsUnder(let path): "it belongs under \"\(path)\"; look at the indentation"
        case .belongsAtTop: "it belongs at the top of the file, without indentation"
        case .passwordsStandElsewhere: "a playbook holds no passwords; they come from .pgpass, PGPASSWORD or a prompt"
        case .known(let keys): "known here: " + keys.joined(separator: ", ")
        }
    }
}
