import PgBackRest
import Report
import Run

/// What a run wrote into a configuration file of pgBackRest.
struct WrittenConfiguration: Sendable, Codable {
    static let all = Fact<[WrittenConfiguration]>("pgBackRest's configuration")

    var host: String
    var user: String
    var path: String
    /// The options that were added, as `key=value`; of a secret the key alone.
    var added: [String]

    /// What takes them back.
    enum TakingBack: Equatable {
        case nothing, remove
        case write([UInt8])
        case left(Problem)

        var isChange: Bool {
            switch self {
            case .remove, .write: true
            case .nothing, .left: false
            }
        }
    }

    /// All or nothing: half of them would describe a repository that nobody meant.
    func takingBack(from file: IniFile, of stanza: StanzaName, isOwnFile: Bool) -> TakingBack {
        let options = added.map(WrittenOption.init)
        let changed = file.settings.filter { setting in
            setting.section == stanza.name && options.contains { $0.key == setting.key && $0.value != nil && $0.value != setting.value }
        }
        guard changed.isEmpty else {
            let lines = changed.map { "line \($0.line), \($0.key)" }.joined(separator: "; ")
            return .left(
                Problem(
                    "\(host): \(path) says something else in [\(stanza)] than this run wrote (\(lines)): left alone",
                    hint: "put that back, or take out of [\(stanza)] what this run wrote (\(list(options.map(\.key)))); then undo again"))
        }
        let rest = BackRestConfiguration(file).removing(options.map { ($0.key, $0.value) }, from: stanza).file
        guard isOwnFile else { return rest.bytes == file.bytes ? .nothing : .write(rest.bytes) }
        let more = String(decoding: rest.bytes, as: UTF8.self).split(separator: "\n").contains { !$0.hasPrefix("[") && !$0.allSatisfy(\.isWhitespace) }
        guard !more else {
            return .left(
                Problem(
                    "\(host): \(path), which this run made, holds more than this run wrote: left alone",
                    hint: "move what is needed to another file, or take it out; then undo again"))
        }
        return .remove
    }

    /// Whether one of the options does not stand in the section of `stanza` as it was written.
    func isMissing(in file: IniFile, of stanza: StanzaName) -> Bool {
        let there = file.settings.filter { $0.section == stanza.name }
        return !added.map(WrittenOption.init).allSatisfy { option in there.contains { $0.key == option.key && (option.value == nil || option.value == $0.value) } }
    }
}

extension BackRestOption {
    /// What the journal keeps of it.
    var kept: String { isSecret ? key : "\(key)=\(value)" }
}

/// An option as the journal has it.
private struct WrittenOption {
    let key: String
    /// `nil` for a secret, whatever it is.
    let value: String?

    init(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        (key, value) = (String(parts[0]), parts.count == 2 ? String(parts[1]) : nil)
    }
}
