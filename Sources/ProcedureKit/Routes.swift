public import EventLoop
public import PostgresConfig
public import RemoteHost

/// From which of its addresses a host comes to others, as it says itself.
public struct Routes: Sendable, Hashable {
    /// In the order of the targets that were asked about.
    public var addresses: [[IPAddress]]
    public var hasCertificate: Bool

    /// Asks `host` about its ways to `targets`.
    public static func look(to targets: [String], from host: any Host, as user: String, deadline: Deadline) async throws -> Routes {
        let command = Command(words: ["sh", "-c", script, "sh"] + targets, user: user)
        return Routes(try await host.require(command, deadline: deadline).text, targets: targets.count)
    }

    /// Prints the number of each target with every address from which this host would come to it.
    private static let script = #"""
        number=0
        for target; do
          getent ahosts "$target" | while read -r address rest; do echo "$address"; done | sort -u | while read -r address; do
            route=$(ip -o route get "$address" 2>/dev/null) || continue
            case $route in *" src "*) route=${route#* src }; echo "$number ${route%% *}" ;; esac
          done
          number=$((number + 1))
        done
        home=$(getent passwd "$(id -un)" | cut -d: -f6)
        [ ! -e "$home/.postgresql/postgresql.crt" ] || echo certificate
        """#

    /// Reads what the script has printed.
    public init(_ text: String, targets: Int) {
        let rows = text.split(separator: "\n").map { $0.split(separator: " ") }
        addresses = (0..<targets).map { number in
            rows.compactMap { $0.count == 2 && $0[0] == "\(number)" ? IPAddress($0[1]) : nil }
        }
        hasCertificate = rows.contains(["certificate"])
    }

    /// The addresses that the source may be asked about: the one that is given, else those the host comes from, to the source first.
    /// Its own loopback counts only where there is nothing else: there the source may let everybody in.
    public func known(as address: String) -> [IPAddress] {
        if let literal = IPAddress(address) { return [literal] }
        let all = addresses.dropFirst().flatMap { $0 } + (addresses.first ?? []), others = all.filter { !$0.isLoopback }
        return (others.isEmpty ? all : others).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// What stands in rules: the address that is given, and every other one that the host comes from to the first target.
    public func places(of address: String) -> [HBARule.Address] {
        let given: HBARule.Address = IPNetwork(address).map(HBARule.Address.network) ?? .hostName(address)
        return [given] + (addresses.first ?? []).map { .network(IPNetwork($0)) }.filter { $0 != given }
    }
}
