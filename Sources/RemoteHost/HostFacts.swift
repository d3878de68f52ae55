public import EventLoop
import Foundation

extension Host {
    /// How far the host's clock is ahead of this machine's, in seconds; exact to half of the time that the question took.
    /// - Parameter user: as whom it is asked.
    public func clockOffset(as user: String, deadline: Deadline) async throws -> Double {
        let began = Date().timeIntervalSince1970
        let text = try await require(.script(HostFacts.clock).as(user), deadline: deadline).text
        let middle = (began + Date().timeIntervalSince1970) / 2
        guard let time = Double(text) else { throw CommandFailed(host: name, words: ["date"], status: .code(0), errorText: "it says '\(text)'") }
        return time - middle
    }

    /// Whether commands may run there as `user`.
    public func lets(_ user: String, deadline: Deadline) async throws -> Bool {
        do {
            return try await run(Command("true").as(user), deadline: deadline).succeeded
        } catch HostError.sudoRefused {
            return false
        }
    }

    /// Whether something listens on a TCP port of the host, on whatever address.
    public func isListening(onPort port: UInt16, deadline: Deadline) async throws -> Bool {
        try await !require(.script(HostFacts.listening, String(port, radix: 16, uppercase: true)), deadline: deadline).text.isEmpty
    }

    /// Removes a directory, unless somebody's file is in it by now: then it stays.
    public func removeIfEmpty(_ directory: HostPath, as user: String, deadline: Deadline) async throws {
        _ = try await run(Command("rmdir", directory.path).as(user), deadline: deadline)
    }
}

enum HostFacts {
    static let clock = "date +%s.%N"

    /// Prints a line where something listens on the port, given in hexadecimal.
    static let listening =
        #"cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$(printf '%04X' "0x$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { print "taken"; exit }'"#
}
