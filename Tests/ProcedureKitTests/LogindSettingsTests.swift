import Testing

@testable import ProcedureKit

@Suite("What logind does with a watchdog")
struct LogindSettingsTests {
    static let cases: [(text: String, user: String, kills: Bool?)] = [
        ("", "dba", nil),
        ("systemd", "dba", false),
        ("systemd\nKillUserProcesses=no", "dba", false),
        ("systemd\n KillUserProcesses = yes", "dba", true),
        ("systemd\nKillUserProcesses=yes", "root", false),
        ("systemd\nKillUserProcesses=yes\nKillExcludeUsers=root dba", "dba", false),
        ("systemd\nKillUserProcesses=yes\nKillExcludeUsers=", "root", true),
        ("systemd\nKillUserProcesses=yes\nKillOnlyUsers=guest", "dba", false),
        ("systemd\nKillUserProcesses=yes\nKillUserProcesses=false", "dba", false),
    ]

    @Test(arguments: cases.indices)
    func `the last setting counts, and for whom it is meant`(_ index: Int) {
        let each = Self.cases[index]
        #expect(LogindSettings(each.text).kills(each.user) == each.kills)
    }
}
