public import EventLoop
public import PostgresClient
import PostgresConfig
import RemoteHost

/// A line of a configuration file that the server refuses.
public struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    public let file: String
    public let line: Int?
    public let error: String
    /// The setting's name, where the line has one.
    public let name: String?

    public var description: String {
        file + (line.map { ":\($0)" } ?? "") + ": " + (name.map { "\($0): " } ?? "") + error
    }
}

/// A setting that was written and is not what the server uses.
public struct SettingNotInForce: Sendable, Hashable, CustomStringConvertible {
    public let name: String
    public let expected: String
    /// What decides in its place: a file and line, `command line`, `database` …
    public let decidedBy: String

    public var description: String { "\(name): expected '\(expected)', but \(decidedBy) decides" }
}

/// What a reload has left to do.
public struct ReloadReport: Sendable, Hashable {
    /// Settings whose new value waits for a restart.
    public let pendingRestart: [String]
}

extension Instance {
    /// Has the server read its configuration files again, and reads back what came of it.
    ///
    /// `pg_ctl reload` succeeds whatever the files say, so the files are checked first: with an error in them nothing is
    /// reloaded, because a server would take half of it.
    /// - Parameters:
    ///   - expecting: settings that the files give now, with the text of their values; each must come into force, or wait for a restart. Before 9.5, where the server does not show its files, they are not looked at.
    ///   - connection: to this instance, as a superuser.
    /// - Throws: ``InstanceError/configurationRefused(node:problems:)``, ``InstanceError/notInForce(node:settings:)``,
    ///   ``InstanceError/cannotReload(node:host:output:)``.
    @discardableResult
    public func reload(
        expecting: [String: String] = [:], through connection: PostgresConnection, deadline: Deadline
    ) async throws -> ReloadReport {
        let looks = try await connection.query(together: [loadTime] + problemLooks, deadline: deadline)
        let problems = try self.problems(Array(looks.dropFirst())), before: Int64 = try looks[0].one().get("at")
        guard problems.isEmpty else { throw InstanceError.configurationRefused(node: node, problems: problems) }

        let result = try await host.run(program("pg_ctl", ["reload", "-D", dataDirectory.path]), deadline: deadline)
        guard result.succeeded else {
            throw InstanceError.cannotReload(node: node, host: host.name, output: result.errorText.isEmpty ? result.text : result.errorText)
        }
        // A server process reads the files after the postmaster did, and only files without errors move the time.
        var statements = SQL.pauses(until: "pg_conf_load_time() > to_timestamp(0) + \(before) * interval '1 microsecond'") + [loadTime]
        if features.hasFileSettingsView { statements += [SettingInForce.query(Array(expecting.keys)), waiting] }
        let count = features.hasFileSettingsView ? 3 : 1
        let answers: [Rows]
        do {
            answers = try await wait(for: "\(node) to reload its configuration", until: deadline, every: .milliseconds(20)) {
                let answers = Array(try await connection.query(together: statements, deadline: deadline).suffix(count))
                return try answers[0].one().get("at", as: Int64.self) > before ? .found(answers) : .notYet("not yet")
            }
        } catch is DeadlineExceeded {
            throw InstanceError.cannotReload(node: node, host: host.name, output: "it runs with what it loaded before")
        }
        guard features.hasFileSettingsView else { return ReloadReport(pendingRestart: []) }
        let wrong = try answers[1].map(SettingInForce.init).compactMap { $0.complaint(expecting: expecting) }
        guard wrong.isEmpty else { throw InstanceError.notInForce(node: node, settings: wrong) }
        return ReloadReport(pendingRestart: try answers[2].map { try $0.get("name") })
    }

    /// When this session has read the files, in microseconds: a form that no setting changes.
    private var loadTime: SQL { "SELECT (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint AS at" }

    private var pending: SQL { "SELECT name FROM pg_settings WHERE pending_restart ORDER BY name" }

    /// The server goes on saying so of a line that is gone and was never in force.
    private var waiting: SQL {
        """
        SELECT name FROM pg_settings s WHERE pending_restart
        AND (source = 'configuration file' OR EXISTS (SELECT FROM pg_file_settings f WHERE lower(f.name) = lower(s.name))) ORDER BY name
        """
    }

    /// The lines of the configuration files that the server would refuse now. Changes that need a restart are none.
    ///
    /// Before 9.5 nothing is seen in the settings, before 10 nothing in `pg_hba.conf`: the server has no views for it there.
    public func configurationProblems(through connection: PostgresConnection, deadline: Deadline) async throws -> [ConfigurationProblem] {
        try problems(try await connection.query(together: problemLooks, deadline: deadline))
    }

    /// Those of `pg_hba.conf` alone.
    func rulesProblems(through connection: PostgresConnection?, deadline: Deadline) async throws -> [ConfigurationProblem] {
        guard let connection, let look = rulesLook else { return [] }
        return try await connection.look(look, deadline: deadline).map(ConfigurationProblem.init)
    }

    private var rulesLook: SQL? {
        guard features.hasHBARulesView else { return nil }
        return features.hasHBAIncludes ? ConfigurationProblem.inHBAFiles : ConfigurationProblem.inHBA
    }

    /// What shows them. Looking into the files marks, in the same session, what differs and needs a restart.
    private var problemLooks: [SQL] {
        (features.hasFileSettingsView ? [ConfigurationProblem.inSettings, pending] : [])
            + [rulesLook].compactMap(\.self)
    }

    private func problems(_ answers: [Rows]) throws -> [ConfigurationProblem] {
        var answers = answers[...], problems: [ConfigurationProblem] = []
        if features.hasFileSettingsView, let rows = answers.popFirst(), let pending = answers.popFirst() {
            let waiting = Set(try pending.map { try $0.get("name", as: String.self) })
            problems += try rows.map(ConfigurationProblem.init).filter { problem in
                guard let name = problem.name else { return !problem.error.hasSuffix("cannot be changed without restarting the server") }
                return !waiting.contains { isSameSetting($0, name) }
            }
        }
        if let rows = answers.popFirst() { problems += try rows.map(ConfigurationProblem.init) }
        return problems
    }
}

extension ConfigurationProblem {
    static let inSettings: SQL = """
        SELECT coalesce(sourcefile, 'the configuration files') AS file, sourceline AS line, error, name
        FROM pg_file_settings WHERE error IS NOT NULL ORDER BY seqno
        """
    // A `hostssl` line of a server without TLS is shown with an error, and the file is taken all the same.
    static let inHBA: SQL = """
        SELECT current_setting('hba_file') AS file, line_number AS line, error, NULL AS name
        FROM pg_hba_file_rules WHERE error NOT LIKE '% record cannot match because %' ORDER BY line_number
        """

    /// From 16, where one file includes others.
    static let inHBAFiles: SQL = """
        SELECT file_name AS file, line_number AS line, error, NULL AS name
        FROM pg_hba_file_rules WHERE error NOT LIKE '% record cannot match because %' ORDER BY rule_number, file_name, line_number
        """

    init(_ row: Row) throws {
        self.init(
            file: try row.get("file"), line: try row.optional("line"), error: try row.get("error"), name: try row.optional("name"))
    }
}

/// What decides over a setting: the last line of the files, and whether the server uses it.
struct SettingInForce: Sendable, Hashable {
    var name: String
    var fileValue: String?
    var place: String?
    var source: String?
    var pendingRestart: Bool

    /// The last line of the files for each name, and where the server says that its value comes from.
    static func query(_ names: [String]) -> SQL {
        """
        SELECT wanted.name, file.setting AS file_value, file.sourcefile || ':' || file.sourceline AS place,
               s.source, coalesce(s.pending_restart, false) AS pending_restart
        FROM unnest(\(names.sorted())::text[]) AS wanted(name)
        LEFT JOIN LATERAL (SELECT * FROM pg_file_settings f WHERE lower(f.name) = lower(wanted.name) ORDER BY seqno DESC LIMIT 1) AS file ON true
        LEFT JOIN pg_settings s ON lower(s.name) = lower(wanted.name)
        """
    }

    init(_ row: Row) throws {
        name = try row.get("name")
        fileValue = try row.optional("file_value")
        place = try row.optional("place")
        source = try row.optional("source")
        pendingRestart = try row.get("pending_restart")
    }

    func complaint(expecting: [String: String]) -> SettingNotInForce? {
        guard let expected = expecting[name] else { return nil }
        if fileValue != expected {
            return SettingNotInForce(name: name, expected: expected, decidedBy: place.map { "\($0) with '\(fileValue ?? "")'" } ?? "no file")
        }
        if pendingRestart || source == nil || source == "configuration file" { return nil }
        // A value that the server had by default already; and one that the asking role or its database has for its own sessions.
        if ["default", "user", "database", "database user", "client", "session"].contains(source) { return nil }
        return SettingNotInForce(name: name, expected: expected, decidedBy: source ?? "")
    }
}
