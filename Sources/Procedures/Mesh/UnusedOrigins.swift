import Server
import Spock

extension SpockNodeState {
    /// The other databases of the instance that nobody could look into: whose an origin or an id is cannot be told for sure there.
    var unseenDatabases: [String] {
        otherDatabases.compactMap { database in
            switch database.spock {
            case .closed, .unknown: database.name
            case .absent, .nodes: nil
            }
        }
    }

    /// Origins that no subscription uses, in any database that could be looked into.
    /// - Parameter others: as `SpockSession.otherOrigins` gives them.
    func unusedOrigins(besides others: [OriginName]) -> [OriginName] {
        let used = Set(subscriptions.map(\.origin) + others + otherDatabases.flatMap(\.origins))
        return origins.compactMap(\.name).filter { !used.contains($0) }
    }
}
