public import EventLoop
public import PostgresClient
public import PostgresConfig
import RemoteHost

extension Instance {
    /// All settings files as the server reads them, read on the host: it need not run.
    public func settingsTree(deadline: Deadline) async throws -> SettingsTree {
        let files = try await configurationFiles(deadline: deadline)
        return try await settingsTree(files, deadline: deadline)
    }

    /// - Parameter files: where they are, such as the running server has said.
    public func settingsTree(_ files: ConfigurationFiles, deadline: Deadline) async throws -> SettingsTree {
        try await settings(in: files.configFile, deadline: deadline).tree
    }

    func settings(in configFile: HostPath, deadline: Deadline) async throws -> (tree: SettingsTree, snapshot: FileSnapshot) {
        try await parse(deadline: deadline) { snapshot in
            SettingsTree(configFile: configFile.path, dataDirectory: dataDirectory.path, snapshot: snapshot, version: version)
        } missing: {
            $0.missing
        }
    }

    /// Parses again and again, reading on the host what the parse says is missing, until it has everything.
    func parse<Tree>(
        deadline: Deadline, _ parse: (FileSnapshot) -> Tree, missing: (Tree) -> [FileSnapshot.Request]
    ) async throws -> (tree: Tree, snapshot: FileSnapshot) {
        var snapshot = FileSnapshot(), tree = parse(snapshot)
        while case let requests = missing(tree).filter({ snapshot[$0] == nil }), !requests.isEmpty {
            for (request, content) in try await looks(at: requests, deadline: deadline) { snapshot[request] = content }
            tree = parse(snapshot)
        }
        return (tree, snapshot)
    }

    /// Reads all of them at once.
    func looks(at requests: [FileSnapshot.Request], deadline: Deadline) async throws -> [(FileSnapshot.Request, FileSnapshot.Content)] {
        try await withThrowingTaskGroup(of: (FileSnapshot.Request, FileSnapshot.Content).self) { group in
            for request in requests { group.addTask { (request, try await look(at: request, deadline: deadline)) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    func look(at request: FileSnapshot.Request, deadline: Deadline) async throws -> FileSnapshot.Content {
        guard let path = HostPath(request.path) else { return FileSnapshot.absent }
        do {
            switch request {
            case .file: return try await host.read(path, as: user, deadline: deadline).map(FileSnapshot.Content.file) ?? FileSnapshot.absent
            case .directory:
                guard let entries = try await host.directoryEntries(path, as: user, deadline: deadline) else { return FileSnapshot.absent }
                return .directory(entries.mapValues { $0 == .file ? .file : $0 == .directory ? .directory : .broken })
            }
        } catch HostError.permissionDenied {
            return .unreadable("Permission denied")
        } catch HostError.fileFailed(_, _, _, let detail) {
            return .unreadable(detail.split(separator: ":").last.map { String($0.drop(while: \.isWhitespace)) } ?? detail)
        }
    }

    /// What the running server was started with; `nil` where it does not run.
    func arguments(deadline: Deadline) async throws -> ServerArguments? {
        guard case .running(let postmaster) = try await status(deadline: deadline) else { return nil }
        let result = try await host.run(.script("exec cat \"/proc/$1/cmdline\"", "\(postmaster.pid)").as(user), deadline: deadline)
        return result.succeeded ? ServerArguments(processCommandLine: result.output) : nil
    }

    /// What the files say, what the server was started with, and what is in force.
    ///
    /// - Parameter connection: to this instance; `nil` where it does not run or nobody can connect.
    public func configuration(through connection: PostgresConnection?, deadline: Deadline) async throws -> InstanceConfiguration {
        var files = try await configurationFiles(deadline: deadline)
        if let connection { files = try await configurationFiles(through: connection, deadline: deadline) }
        let (tree, snapshot) = try await settings(in: files.configFile, deadline: deadline)
        return InstanceConfiguration(
            files: files, tree: tree, snapshot: snapshot, arguments: try await arguments(deadline: deadline),
            inForce: try await inForce(through: connection, deadline: deadline))
    }

    private func inForce(through connection: PostgresConnection?, deadline: Deadline) async throws -> ServerSettings? {
        guard let connection else { return nil }
        let rows = try await connection.look(ServerSettings.query(features), deadline: deadline).map(ServerSettings.Row.init)
        let overrides = try await connection.look(ServerSettings.overridesQuery, deadline: deadline).map(ServerSettings.Override.init)
        return ServerSettings(rows: rows, overrides: overrides)
    }

    /// The value that `name` has for a server that is started now, in its own words; `nil` where it cannot say.
    public func valueAtStart(of name: String, deadline: Deadline) async throws -> String? {
        guard features.canCheckFiles else { return nil }
        let files = try await configurationFiles(deadline: deadline)
        let result = try await host.run(
            program("postgres", ["-C", name, "-D", dataDirectory.path, "-c", "config_file=\(files.configFile)"]), deadline: deadline)
        return result.succeeded ? result.text : nil
    }
}

/// The settings of a running server as they are in force for a session that sets nothing itself.
public struct ServerSettings: Sendable, Hashable {
    /// A row of `pg_settings`. <https://www.postgresql.org/docs/current/view-pg-settings.html>
    public struct Row: Sendable, Hashable {
        public var name: String
        /// In the base unit.
        public var value: String
        /// What it is where nothing sets it.
        public var defaultValue: String?
        /// As `SHOW` says it.
        public var shown: String
        public var unit: String?
        /// `bool`, `integer`, `real`, `string`, `enum`.
        public var type: String
        /// Of an enum.
        public var choices: [String]?
        /// `postmaster`, `sighup`, `user` …
        public var context: String
        /// `default`, `configuration file`, `command line` …
        public var source: String
        public var file: String?
        public var line: Int?
        public var isPendingRestart: Bool
    }

    /// A value of a setting for sessions of a role, in a database, or both, by ALTER ROLE or ALTER DATABASE.
    public struct Override: Sendable, Hashable, CustomStringConvertible {
        public var name: String
        public var value: String
        public var database: String?
        public var role: String?

        public var description: String {
            let whose = [database.map { "database \($0)" }, role.map { "role \($0)" }].compactMap { $0 }.joined(separator: ", ")
            return "\(whose): \(name) = \(value)"
        }
    }

    public let rows: [Row]
    public let overrides: [Override]

    public func row(_ name: String) -> Row? { rows.first { isSameSetting($0.name, name) } }
}

extension ServerSettings {
    static func query(_ features: ServerFeatures) -> SQL {
        features.hasFileSettingsView
            ? """
            SELECT name, setting, boot_val, current_setting(name) AS shown, unit, vartype, enumvals, context, source, sourcefile, sourceline, pending_restart
            FROM pg_settings ORDER BY lower(name)
            """
            : """
            SELECT name, setting, boot_val, current_setting(name) AS shown, unit, vartype, enumvals, context, source, sourcefile, sourceline, false AS pending_restart
            FROM pg_settings ORDER BY lower(name)
            """
    }

    static let overridesQuery: SQL = """
        SELECT substr(config, 1, strpos(config, '=') - 1) AS name, substr(config, strpos(config, '=') + 1) AS value, datname, rolname
        FROM (SELECT setdatabase, setrole, unnest(setconfig) AS config FROM pg_db_role_setting) AS each
        LEFT JOIN pg_database ON pg_database.oid = setdatabase LEFT JOIN pg_roles ON pg_roles.oid = setrole
        ORDER BY name, datname, rolname
        """
}

extension ServerSettings.Row {
    init(_ row: PostgresClient.Row) throws {
        self.init(
            name: try row.get("name"), value: try row.optional("setting") ?? "", defaultValue: try row.optional("boot_val"), shown: try row.optional("shown") ?? "",
            unit: try row.optional("unit"),
            type: try row.get("vartype"), choices: try row.optional("enumvals"), context: try row.get("context"), source: try row.get("source"),
            file: try row.optional("sourcefile"),
            line: try row.optional("sourceline"), isPendingRestart: try row.get("pending_restart"))
    }
}

extension ServerSettings.Override {
    init(_ row: Row) throws {
        self.init(name: try row.get("name"), value: try row.get("value"), database: try row.optional("datname"), role: try row.optional("rolname"))
    }
}

extension Instance {
    /// Has the server's programs read the configuration files, where no server runs to do it.
    ///
    /// `pg_hba.conf` is read by no program but the server: of it only what this tool itself says is known.
    /// - Throws: ``InstanceError/configurationRefused(node:problems:)`` with the program's own words.
    public func checkFiles(deadline: Deadline) async throws {
        guard features.canCheckFiles else { return }
        let files = try await configurationFiles(deadline: deadline)
        let result = try await host.run(
            program("postgres", ["-C", "config_file", "-D", dataDirectory.path, "-c", "config_file=\(files.configFile)"]), deadline: deadline)
        guard !result.succeeded else { return }
        let words = lines(of: result.errorText).compactMap { line -> String? in
            // Without the time and the process in front; that the file has errors is known.
            let message = line.firstRange(of: ":  ").map { String(line[$0.upperBound...]) } ?? line
            return message.isEmpty || message.hasSuffix("contains errors") ? nil : message
        }
        throw InstanceError.configurationRefused(
            node: node,
            problems: words.map {
                ConfigurationProblem(file: "postgres", line: nil, error: $0, name: nil)
            })
    }
}
