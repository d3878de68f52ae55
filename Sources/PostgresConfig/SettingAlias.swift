/// A name that the server takes for another one: a line with either sets the same.
///
/// Not to be mixed up with ``SettingHistory``, which says what a setting is called where the server knows one name only.
struct SettingAlias: Sendable, Hashable {
    let old: String
    let name: String
    /// The first version that takes the old name for the new one.
    let since: MajorVersion

    static let all = [
        SettingAlias(old: "sort_mem", name: "work_mem", since: .postgres(0)),
        SettingAlias(old: "vacuum_mem", name: "maintenance_work_mem", since: .postgres(0)),
        SettingAlias(old: "ssl_ecdh_curve", name: "ssl_groups", since: .postgres(18)),
    ]

    /// Every name under which a server of `version` knows the setting `name`, that one first.
    static func names(of name: String, in version: MajorVersion) -> [String] {
        let known = all.filter { $0.since <= version }
        let proper = known.first { isSameSetting($0.old, name) }?.name ?? name
        return [name] + ([proper] + known.filter { isSameSetting($0.name, proper) }.map(\.old)).filter { !isSameSetting($0, name) }
    }
}
