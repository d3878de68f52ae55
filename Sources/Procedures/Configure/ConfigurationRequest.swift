/// What an operator wants of the configuration of one node.
public struct ConfigurationRequest: Sendable, Hashable, Codable {
    /// A change of one setting.
    public struct Assignment: Sendable, Hashable, Codable, CustomStringConvertible {
        public enum Operation: String, Sendable, Hashable, Codable {
            case set
            /// An element of a list.
            case add, remove
            /// No file shall set it any more.
            case reset
        }

        public let name: String
        public let operation: Operation
        /// Of ``Operation/reset``, nothing.
        public let value: String

        public init(_ name: String, _ operation: Operation, _ value: String = "") {
            (self.name, self.operation, self.value) = (name, operation, value)
        }

        /// Reads `NAME=VALUE`, `NAME+=ELEMENT`, `NAME-=ELEMENT`; `nil` for anything else.
        public init?(_ text: String) {
            guard let equals = text.firstIndex(of: "=") else { return nil }
            var name = text[..<equals]
            let operation: Operation =
                switch name.last {
                case "+": .add
                case "-": .remove
                default: .set
                }
            if operation != .set { name = name.dropLast() }
            guard !name.isEmpty, !name.contains(where: \.isWhitespace) else { return nil }
            self.init(String(name), operation, String(text[text.index(after: equals)...]))
        }

        public var description: String {
            switch operation {
            case .set: "\(name)=\(value)"
            case .add: "\(name)+=\(value)"
            case .remove: "\(name)-=\(value)"
            case .reset: name
            }
        }
    }

    public enum Change: Sendable, Hashable, Codable {
        case settings([Assignment])
        /// A line of `pg_hba.conf`, and the risks in it that the operator has named.
        case allow(rule: String, accepting: [String])
        /// Takes out the lines that a run has put into `pg_hba.conf`.
        case removeRules(ofRun: String)
        /// Takes out the lines of `pg_hba.conf` that say exactly what these say.
        case removeLines([String])
    }

    public var change: Change
    /// Restart the server where a new value waits for it.
    public var restarts: Bool

    public init(_ change: Change, restarts: Bool = false) {
        (self.change, self.restarts) = (change, restarts)
    }

    /// As the journal and the list of runs name it.
    public var procedure: String {
        switch change {
        case .settings: "conf-set"
        case .allow: "hba-allow"
        case .removeRules, .removeLines: "hba-remove"
        }
    }
}
