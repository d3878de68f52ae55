extension Playbook.AddSpockNode {
    /// The subscriptions between the new node and the others.
    public struct Subscriptions: Sendable {
        /// `nil` to name them as the existing ones are named.
        @Located public var name: SubscriptionNames?

        init?(_ section: Section, _ roster: Roster) {
            guard let name = section.optional("name", .subscriptionNames) else { return nil }
            if let names = name.wrappedValue, let long = Subscriptions.tooLong(names, roster) {
                section.report(
                    "the subscription name \"\(long)\" would be longer than 63 bytes", hint: "shorten the pattern", at: name.place)
                return nil
            }
            _name = name
        }

        private static func tooLong(_ names: SubscriptionNames, _ roster: Roster) -> String? {
            let nodes = roster.names.map(\.wrappedValue)
            return nodes.lazy.flatMap { provider in nodes.map { names.name(provider: provider, subscriber: $0) } }
                .first { $0.utf8.count > 63 }
        }
    }

    /// How subscriptions are named: `sub_{provider}_{subscriber}`.
    public struct SubscriptionNames: Sendable, Hashable, CustomStringConvertible {
        private let pattern: String

        /// `nil` for a pattern that does not hold `{provider}` and `{subscriber}` once each, or holds other braces.
        public init?(_ pattern: String) {
            let parts = pattern.split(separator: "{provider}", omittingEmptySubsequences: false)
            let rest = parts.flatMap { $0.split(separator: "{subscriber}", omittingEmptySubsequences: false) }
            guard parts.count == 2, rest.count == 3, !rest.joined().contains(where: { "{}".contains($0) }) else { return nil }
            self.pattern = pattern
        }

        /// The name of the subscription of `subscriber` to `provider`.
        public func name(provider: String, subscriber: String) -> String {
            pattern.split(separator: "{provider}", omittingEmptySubsequences: false)
                .map { $0.split(separator: "{subscriber}", omittingEmptySubsequences: false).joined(separator: subscriber) }
                .joined(separator: provider)
        }

        public var description: String { pattern }
    }
}

extension Scalar<Playbook.AddSpockNode.SubscriptionNames> {
    fileprivate static let subscriptionNames = Scalar("a pattern that holds {provider} and {subscriber} once each") {
        Playbook.AddSpockNode.SubscriptionNames($0)
    }
}
