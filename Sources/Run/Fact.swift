/// Something that a step keeps in the journal because it cannot be seen again: its name there, and its type.
///
/// ```swift
/// extension CreateSlots {
///     /// The LSN at which the new node's slot on each node begins.
///     static let positions = Fact<[String: LSN]>("slot positions")
/// }
/// try run.remember(CreateSlots.positions, positions)
/// ```
public struct Fact<Value: Codable & Sendable>: Sendable {
    public let key: String

    public init(_ key: String) { self.key = key }
}
