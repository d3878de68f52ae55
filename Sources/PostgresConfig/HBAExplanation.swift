/// Which line decides over a connection, and why those before it do not.
public struct HBAExplanation: Sendable, Hashable {
    public enum Verdict: Sendable, Hashable {
        case decides
        case doesNotMatch(HBAMismatch)
        /// It depends on the answers to these.
        case open([HBAQuestion])
    }

    public struct Step: Sendable, Hashable, CustomStringConvertible {
        public let entry: HBARules.Entry
        public let verdict: Verdict

        public var description: String {
            switch verdict {
            case .decides: "\(entry): decides"
            case .doesNotMatch(let mismatch): "\(entry): \(mismatch)"
            case .open(let questions): "\(entry): \(questions.map(\.description).joined(separator: " "))"
            }
        }
    }

    public enum Decision: Sendable, Hashable, CustomStringConvertible {
        /// The method of the rule is what the client has to pass: `reject`, `scram-sha-256`.
        case rule(HBARules.Entry, HBARule)
        /// No line matches: the connection is refused.
        case noLine
        /// The server refuses the files because of these lines, and goes on with the rules it has; it does not start with them.
        case filesRefused([HBARules.Entry])
        /// One line or another, depending on the answers.
        case undecided([HBAQuestion])

        /// The lines because of which the server refuses the files.
        public var refused: [HBARules.Entry] { if case .filesRefused(let entries) = self { entries } else { [] } }

        /// Whether a line is for the connection and does not refuse it.
        public var letsIn: Bool { if case .rule(_, let rule) = self { rule.method != "reject" } else { false } }

        public var description: String {
            switch self {
            case .rule(let entry, let rule): "\(entry.location) decides: \(rule.method)"
            case .noLine: "no line matches: the connection is refused"
            case .filesRefused(let entries):
                entries.isEmpty
                    ? "there is no rule in the file: a running server keeps the rules it has, and none starts"
                    : "the server does not take the file over because of \(entries.map(\.location).joined(separator: ", ")): "
                        + "a running one keeps the rules it has, and none starts"
            case .undecided(let questions): "it depends: " + questions.map(\.description).joined(separator: " ")
            }
        }
    }

    /// The lines that are tried, until the one that decides.
    public let steps: [Step]
    public let decision: Decision

    /// One of files that the server does not take over for these lines.
    public static func refused(_ entries: [HBARules.Entry]) -> HBAExplanation { HBAExplanation(steps: [], decision: .filesRefused(entries)) }
}

extension HBARules {
    /// Tries the rules on `connection` as the server does.
    ///
    /// - Parameter answers: to what the files do not say. With the answers to all questions of an undecided explanation the
    ///   next one is decided.
    public func explain(_ connection: HBAConnection, answers: [HBAQuestion: Bool] = [:]) -> HBAExplanation {
        guard areAccepted else { return HBAExplanation(steps: [], decision: .filesRefused(refusals)) }
        var steps: [HBAExplanation.Step] = [], open: [HBAQuestion] = []
        steps.reserveCapacity(entries.count)
        let trial = HBATrial(connection: connection, answers: answers, server: server)
        for entry in entries {
            guard case .rule(let rule, _) = entry.reading else { continue }
            let verdict = trial.verdict(on: rule)
            steps.append(HBAExplanation.Step(entry: entry, verdict: verdict))
            switch verdict {
            case .doesNotMatch: continue
            case .open(let questions): for question in questions where !open.contains(question) { open.append(question) }
            case .decides: return HBAExplanation(steps: steps, decision: open.isEmpty ? .rule(entry, rule) : .undecided(open))
            }
        }
        return HBAExplanation(steps: steps, decision: open.isEmpty ? .noLine : .undecided(open))
    }
}

/// One connection against one rule after the other.
struct HBATrial {
    /// Whether something is so, or what would tell.
    enum Finding {
        case yes, no
        case open([HBAQuestion])
    }

    let connection: HBAConnection
    let answers: [HBAQuestion: Bool]
    let server: HBAServer

    func verdict(on rule: HBARule) -> HBAExplanation.Verdict {
        if let mismatch = transport(rule.type) { return .doesNotMatch(mismatch) }
        var questions: [HBAQuestion] = []
        if case .address(let client) = connection.origin, let address = rule.address {
            switch matches(address, client) {
            case .yes: break
            case .no: return .doesNotMatch(.address(client, of: address))
            case .open(let open): questions += open
            }
        }
        switch any(rule.databases, matches) {
        case .yes: break
        case .no:
            return .doesNotMatch(
                connection.isPhysicalReplication
                    ? .physicalReplication(of: rule.databases)
                    : .database(connection.database, of: rule.databases, user: connection.user))
        case .open(let open): questions += open
        }
        switch any(rule.users, matches) {
        case .yes: break
        case .no: return .doesNotMatch(.user(connection.user, of: rule.users))
        case .open(let open): questions += open
        }
        return questions.isEmpty ? .decides : .open(questions)
    }

    private func transport(_ type: HBARule.ConnectionType) -> HBAMismatch? {
        switch (connection.origin, type) {
        case (.socket, .local): nil
        case (.socket, _): .needsNetwork
        case (.address(let client), .local): .needsSocket(client)
        case (.address, .hostssl) where !connection.usesSSL: .needsSSL
        case (.address, .hostnossl) where connection.usesSSL: .needsNoSSL
        case (.address, .hostgssenc): .needsGSSEncryption
        case (.address, _): nil
        }
    }

    private func matches(_ address: HBARule.Address, _ client: IPAddress) -> Finding {
        switch address {
        case .all: .yes
        case .network(let network): network.contains(client) ? .yes : .no
        case .sameHost: answer(.clientIsServerAddress)
        case .sameNet: answer(.clientIsInServerNetwork)
        case .hostName(let name): answer(.clientIsHost(name))
        }
    }

    private func matches(_ database: HBARule.Database) -> Finding {
        if connection.isPhysicalReplication { return database == .replication ? .yes : .no }
        switch database {
        case .all: return .yes
        case .replication, .file: return .no
        case .sameUser: return isSameName(connection.database, connection.user) ? .yes : .no
        case .sameRole: return answer(.isMember(of: connection.database))
        case .named(let name): return isSameName(name, connection.database) ? .yes : .no
        case .regex(let regex): return answer(.matches(regex: regex, text: connection.database))
        }
    }

    private func matches(_ user: HBARule.User) -> Finding {
        switch user {
        case .all: .yes
        case .file: .no
        case .named(let name): isSameName(name, connection.user) ? .yes : .no
        case .memberOf(let role): answer(.isMember(of: role))
        case .regex(let regex): answer(.matches(regex: regex, text: connection.user))
        }
    }

    private func any<Word>(_ words: [Word], _ matches: (Word) -> Finding) -> Finding {
        var open: [HBAQuestion] = []
        for word in words {
            switch matches(word) {
            case .yes: return .yes
            case .no: continue
            case .open(let questions): open += questions
            }
        }
        return open.isEmpty ? .no : .open(open)
    }

    private func answer(_ question: HBAQuestion) -> Finding {
        answers[question].map { $0 ? .yes : .no } ?? .open([question])
    }
}
