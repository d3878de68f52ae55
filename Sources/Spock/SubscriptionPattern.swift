/// How a mesh names its subscriptions: `sub_{provider}_{subscriber}`.
public struct SubscriptionPattern: Sendable, Hashable, CustomStringConvertible {
    enum Part: Sendable, Hashable {
        case text(String), provider, subscriber
    }

    let parts: [Part]

    /// For a mesh that has no subscription yet.
    public static let usual = SubscriptionPattern(parts: [.text("sub_"), .provider, .text("_"), .subscriber])

    init(parts: [Part]) { self.parts = parts }

    /// The pattern that gives every one of `subscriptions` its name, or `nil` where there is none (or no subscription at all).
    public init?(of subscriptions: [Subscription]) {
        guard let first = subscriptions.first else { return nil }
        let candidates = SubscriptionPattern.candidates(for: first)
        guard
            let pattern = candidates.first(where: { pattern in
                subscriptions.allSatisfy { pattern.name(provider: $0.provider, subscriber: $0.subscriber) == $0.name }
            })
        else { return nil }
        self = pattern
    }

    /// The name for a pair of nodes; `nil` where it would not be a subscription's name.
    ///
    /// What a subscription's name cannot hold is made lower case, or `_`.
    public func name(provider: NodeName, subscriber: NodeName) -> SubscriptionName? {
        SubscriptionName(
            rawValue: parts.map { part in
                switch part {
                case .text(let text): text
                case .provider: word(provider)
                case .subscriber: word(subscriber)
                }
            }.joined())
    }

    public var description: String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .provider: "{provider}"
            case .subscriber: "{subscriber}"
            }
        }.joined()
    }

    /// Every way to see both node names in the name of one subscription.
    private static func candidates(for subscription: Subscription) -> [SubscriptionPattern] {
        let name = Array(subscription.name.rawValue)
        let provider = Array(word(subscription.provider)), subscriber = Array(word(subscription.subscriber))
        return places(of: provider, in: name).flatMap { providerPlace in
            places(of: subscriber, in: name).filter { !$0.overlaps(providerPlace) }.map { subscriberPlace in
                let providerFirst = providerPlace.lowerBound < subscriberPlace.lowerBound
                let (first, second) = providerFirst ? (providerPlace, subscriberPlace) : (subscriberPlace, providerPlace)
                let parts: [Part] = [
                    .text(String(name[..<first.lowerBound])), providerFirst ? .provider : .subscriber,
                    .text(String(name[first.upperBound..<second.lowerBound])), providerFirst ? .subscriber : .provider,
                    .text(String(name[second.upperBound...])),
                ]
                return SubscriptionPattern(parts: parts.filter { $0 != .text("") })
            }
        }
    }

    private static func places(of word: [Character], in name: [Character]) -> [Range<Int>] {
        guard !word.isEmpty, word.count <= name.count else { return [] }
        return (0...name.count - word.count).map { $0..<$0 + word.count }.filter { Array(name[$0]) == word }
    }
}

extension SubscriptionName {
    /// `pggraft_copy_n4`: the name of a subscription that is `node`'s alone. What no such name can hold is made lower case, or `_`, and what is too long is cut off.
    public init?(_ beginning: String, of node: NodeName) { self.init(rawValue: String((beginning + word(node)).prefix(63))) }
}

/// A node's name as it can stand in a subscription's.
private func word(_ node: NodeName) -> String {
    String(node.rawValue.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
}
