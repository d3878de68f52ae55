import Report

/// What systemd's logind does with what outlives a session; logind.conf(5).
struct LogindSettings: Sendable {
    private let isThere: Bool
    private var settings: [String: String] = [:]

    /// - Parameter text: `systemd` on the first line where it is there, then the lines `Kill…=…` in the order in which they are read.
    init(_ text: String) {
        let lines = text.split(separator: "\n")
        isThere = lines.first == "systemd"
        for line in lines.dropFirst() {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { settings[parts[0].trimmed] = parts[1].trimmed }
        }
    }

    /// Prints them, in the order in which logind reads them: the last one counts.
    static let reading = #"""
        [ -d /run/systemd/system ] || exit 0
        echo systemd
        cat /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null |
            grep -E '^[[:space:]]*Kill[A-Za-z]*[[:space:]]*='
        exit 0
        """#

    /// Whether what `user` leaves behind is killed; `nil` without logind.
    func kills(_ user: String) -> Bool? {
        guard isThere else { return nil }
        func words(_ name: String) -> [String] { (settings[name] ?? "").split(separator: " ").map(String.init) }
        let only = words("KillOnlyUsers")
        let excluded = settings["KillExcludeUsers"] == nil ? ["root"] : words("KillExcludeUsers")
        let isOn = ["yes", "true", "on", "1", "y", "t"].contains((settings["KillUserProcesses"] ?? "no").lowercased())
        return isOn && !excluded.contains(user) && (only.isEmpty || only.contains(user))
    }
}
