import PostgresClient
import PostgresConfig
import Report

/// Who connects to the new node: a node of the mesh, the new one among them, or pggraft itself.
struct Caller: Sendable, Hashable {
    /// A node's, or `pggraft`.
    var name: String
    var user: String
    var database: String
    /// As libpq takes it; `nil` for its default.
    var sslmode: String?
    /// By which the source may know it; none where nobody could say.
    var addresses: [IPAddress]
    /// From where it will come to the new node.
    var places: [HBARule.Address]
    /// Whether it has a certificate of its own to show.
    var hasCertificate = false

    /// What the source is asked about it: each of its addresses, with TLS and without.
    var attempts: [HBAConnection] { addresses.flatMap { address in [true, false].map { attempt(from: address, usesTLS: $0) } } }

    func attempt(from address: IPAddress, usesTLS: Bool) -> HBAConnection {
        HBAConnection(user: user, database: database, from: .address(address), usesSSL: usesTLS)
    }

    /// How libpq would try a server, in order: with TLS and without.
    static func attempts(sslmode: String?, serverHasTLS: Bool) -> [Bool] {
        let wanted =
            switch sslmode ?? "prefer" {
            case "disable": [false]
            case "allow": [false, true]
            case "prefer": [true, false]
            default: [true]
            }
        return wanted.filter { serverHasTLS || !$0 }
    }
}

/// From which of its addresses a host comes to others, as it says itself.
struct Routes: Sendable, Hashable {
    /// In the order of the targets that were asked about.
    var addresses: [[IPAddress]]
    var hasCertificate: Bool

    /// Prints the number of each target with every address from which this host would come to it.
    static let script = #"""
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

    init(_ text: String, targets: Int) {
        let rows = text.split(separator: "\n").map { $0.split(separator: " ") }
        addresses = (0..<targets).map { number in
            rows.compactMap { $0.count == 2 && $0[0] == "\(number)" ? IPAddress($0[1]) : nil }
        }
        hasCertificate = rows.contains(["certificate"])
    }

    /// The addresses that the source may be asked about: the one that is given, else those the host comes from, to the source first.
    /// Its own loopback counts only where there is nothing else: there the source may let everybody in.
    func known(as address: String) -> [IPAddress] {
        if let literal = IPAddress(address) { return [literal] }
        let all = addresses.dropFirst().flatMap { $0 } + (addresses.first ?? []), others = all.filter { !$0.isLoopback }
        return (others.isEmpty ? all : others).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// What stands in rules: the address that is given, and every other one that the host comes from to the first target.
    func places(of address: String) -> [HBARule.Address] {
        let given: HBARule.Address = IPNetwork(address).map(HBARule.Address.network) ?? .hostName(address)
        return [given] + (addresses.first ?? []).map { .network(IPNetwork($0)) }.filter { $0 != given }
    }
}
