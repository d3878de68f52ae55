public import EventLoop
public import RemoteHost

/// How a session reaches hosts and servers, whatever the procedure.
public struct Ways: Sendable {
    /// Makes a connection to a host: destination, the name that errors begin with, deadline.
    public typealias Connector = @Sendable (_ ssh: String, _ name: String, _ deadline: Deadline) async throws -> any Host
    /// Asks the operator for the password of a role, where no other source has it; `nil` when nobody is there.
    public typealias PasswordPrompt = @Sendable (_ user: String) -> String?

    /// Asks the operator for another secret, by the words that it is asked with; `nil` when nobody is there.
    public typealias SecretPrompt = @Sendable (_ what: String) -> String?

    public var connect: Connector
    public var askPassword: PasswordPrompt?
    public var askSecret: SecretPrompt?
    /// The name under which servers list the sessions.
    public var applicationName: String

    public init(applicationName: String = ClusterAccess.applicationName, askPassword: PasswordPrompt? = nil, askSecret: SecretPrompt? = nil, connect: @escaping Connector) {
        (self.applicationName, self.askPassword, self.askSecret, self.connect) = (applicationName, askPassword, askSecret, connect)
    }
}
