import Run

/// What the requirements of a procedure have found so far, for those that rest on it.
public actor Survey {
    private var clocks: [String: Double] = [:]

    public init() {}

    /// Says that a host was reached, and how far its clock is ahead of this machine's, in seconds.
    func reached(_ host: String, clockOffset: Double) { clocks[host] = clockOffset }

    /// The clocks of the hosts that were reached.
    var offsets: [String: Double] { clocks }

    /// - Throws: ``NotLooked`` unless every one of `hosts` was reached.
    public func require(_ hosts: [String]) throws {
        guard hosts.allSatisfy({ clocks[$0] != nil }) else { throw NotLooked() }
    }
}
