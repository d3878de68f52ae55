/// A moment on one server's clock, in microseconds since 1970.
public struct ServerMoment: Sendable, Hashable, Codable {
    public let microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }
}
