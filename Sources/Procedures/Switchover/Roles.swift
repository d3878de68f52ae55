import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Server

/// Who is what before a switchover, and what each of them is to be after it.
struct Roles: Sendable, Hashable, Codable {
    /// The primary that there is.
    let old: String
    /// The standby that takes its place.
    let new: String
    /// Those that stream from the new primary afterwards, and streamed from the old one: the old one itself first.
    let followers: [Follower]
    /// The slots on the old primary that nobody reads any more then.
    let slots: [SlotName]
    /// Which standbys a commit waits for: on the old primary, and on the new one once they follow.
    let names: Names
    /// The password file that the new primary streams with; `nil` for that of its OS user.
    let passfile: String?

    struct Names: Sendable, Hashable, Codable {
        let before: String
        let after: String
    }

    /// The other standbys that change their upstream.
    var others: [Follower] { followers.filter { $0.name != old } }
    var group: [String] { [new] + followers.map(\.name) }
    func follower(_ name: String) -> Follower? { followers.first { $0.name == name } }

    /// What follows from what was seen.
    /// - Parameter passfile: the password file of the old primary's OS user, which need not be there.
    /// - Throws: `Problem` where it cannot be said who is what.
    init(_ view: GroupView, to new: String, passfile oldPassfile: String?) throws {
        let primary = try view.primary()
        guard let standby = view[new] else { throw UnknownNode(name: new) }
        guard primary.name != new, let look = standby.look, let sent = look.conninfo else {
            throw Problem("\(new) is no standby that says how it streams", hint: "set its primary_conninfo")
        }
        var back = Follower.conninfo(like: sent, from: standby, as: primary.name)
        back["passfile"] = oldPassfile
        let others = view.standbys(of: primary).filter { $0.name != new }
        (old, self.new, passfile) = (primary.name, new, sent["passfile"])
        followers =
            [Follower(name: primary.name, upstream: new, conninfo: back, slot: SlotName(ofStandby: primary.name))]
            + others.map {
                Follower(name: $0.name, upstream: new, conninfo: Follower.conninfo(like: $0.look?.conninfo ?? sent, from: standby, as: $0.applicationName), slot: $0.slot)
            }
        slots = view.standbys(of: primary).compactMap(\.slot).filter { slot in primary.look?.slots.contains { $0.name == slot && $0.plugin == nil } ?? false }
        let value = primary.look?.settings["synchronous_standby_names"] ?? ""
        guard let version = look.settings["server_version_num"].flatMap({ Int($0) }).map(MajorVersion.init(serverVersionNumber:)), let names = StandbyNames(value, version: version)
        else {
            throw Problem("\(primary.name): synchronous_standby_names = '\(value)' cannot be read", hint: "correct it")
        }
        self.names = Names(before: value, after: names.afterSwitchover(from: primary.name, to: standby.applicationName).description)
    }
}
