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
