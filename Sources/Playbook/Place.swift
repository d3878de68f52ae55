/// A place in a playbook: where a value stands, or where it is missing.
public struct Place: Sendable, Hashable, CustomStringConvertible {
    public let file: String
    /// Counted from 1.
    public let line: Int
    /// Counted from 1, in characters as Unicode scalars.
    public let column: Int
    /// The keys that lead there, with dots between: `cluster.nodes.n1.port`. Empty for the whole file.
    public let path: String

    /// `spock-add-node.yaml:12:5`
    public var description: String { "\(file):\(line):\(column)" }
}

/// A value of a playbook that remembers its place.
///
/// ```swift
/// node.port           // 5432
/// node.$port.place    // spock-add-node.yaml:12:11
/// ```
/// The place of a value that the playbook does not give is the section it would stand in.
@propertyWrapper
public struct Located<Value: Sendable>: Sendable {
    public let wrappedValue: Value
    public let place: Place

    public var projectedValue: Located { self }

    init(_ value: Value, at place: Place) {
        wrappedValue = value
        self.place = place
    }
}
