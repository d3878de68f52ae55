public import EventLoop
public import PostgresClient
public import PostgresConfig
import RemoteHost
public import Report

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

    /// - Parameter known: what was read of them already.
    func settings(in configFile: HostPath, known: FileSnapshot = FileSnapshot(), deadline: Deadline) async throws -> (tree: SettingsTree, snapshot: FileSnapshot) {
        try await parse(known, deadline: deadline) { snapshot in
            SettingsTree(configFile: configFile.path, dataDirectory: dataDirectory.path, snapshot: snapshot, version: version)
        } missing: {
            $0.missing
        }
    }

    /// Parses again and again, reading on the host what the parse says is missing, until it has everything.
    func parse<Tree>(
        _ known: FileSnapshot = FileSnapshot(), deadline: Deadline, _ parse: (FileSnapshot) -> Tree, missing: (Tree) -> [FileSnapshot.Request]
    ) async throws -> (tree: Tree, snapshot: FileSnapshot) {
        var snapshot = known, tree = parse(snapshot)
        while case let requests = missing(tree).filter({ snapshot[$0] == nil }), !requests.isEmpty {
            for (request, content) in try await looks(at: requests, deadline: deadline) { snapshot[request] = content }
            tree = parse(snapshot)
        }
        return (tree, snapshot)
    }

    /// Reads all of them at once: files in one go.
    func looks(at requests: [FileSnapshot.Request], deadline: Deadline) async throws -> [(FileSnapshot.Request, FileSnapshot.Content)] {
        async let files = host.contents(of: requests.compactMap(\.file), as: user, deadline: deadline)
        let directories = try await onEach(requests.compactMap(\.directory)) { try await entries(of: $0, deadline: deadline) }
        let contents = try await files
        return requests.map { request in
            let found = request.file.flatMap { contents[$0] }.map { $0.map { $0.map(FileSnapshot.Content.file) } } ?? request.directory.flatMap { directories[$0] }
            switch found {
            case .success(let content?)?: return (request, content)
            case .success(nil)?, nil: return (request, FileSnapshot.absent)
            case .failure(.permissionDenied)?: return (request, .unreadable("Permission denied"))
            case .failure(.fileFailed(_, _, _, let detail))?:
                return (request, .unreadable(detail.split(separator: ":").last.map { String($0.drop(while: \.isWhitespace)) } ?? detail))
            case .failure(let other)?: return (request, .unreadable(Problem(explaining: other).fact))
            }
        }
    }

    private func entries(of directory: HostPath, deadline: Deadline) async throws -> Result<FileSnapshot.Content?, HostError> {
        do {
            return .success(
                try await host.directoryEntries(directory, as: user, deadline: deadline).map { entries in
                    .directory(entries.mapValues { $0 == .file ? .file : $0 == .directory ? .directory : .broken })
                })
        } catch let error as HostError {
            switch error {
            case .permissionDenied, .fileFailed: return .failure(error)
            default: throw error
            }
        }
    }

    /// What the running server was started with; where none runs, what the last one was (`postmaster.opts`).
    /// - Returns: `nil` where neither is known.
    func arguments(deadline: Deadline) async throws -> (isRunning: Bool, arguments: ServerArguments?) {
        let output = try await host.require(.script(Self.argumentsScript, dataDirectory.path).as(user), deadline: deadline).output
        let line = output.firstIndex(of: UInt8(ascii: "\n")) ?? output.endIndex, rest = Array(output[line...].dropFirst())
        return output[..<line].elementsEqual("running".utf8)
            ? (true, ServerArguments(processCommandLine: rest)) : (false, ServerArguments(optsFile: String(decoding: rest, as: UTF8.self)))
    }

    /// The process must live, and in this directory: see ``InstanceStatus``.
    private static let argumentsScript = """
        cd -- "$1" 2>/dev/null || { echo stopped; exit 0; }
        if [ -f PG_VERSION ] && [ -f postmaster.pid ]; then
          pid=$(head -n 1 postmaster.pid)
          if [ "$(readlink "/proc/$pid/cwd")" = "$(pwd -P)" ] && [ -r "/proc/$pid/cmdline" ]; then echo running; exec cat "/proc/$pid/cmdline"; fi
        fi
        echo stopped
        [ ! -f postmaster.opts ] || exec cat postmaster.opts
        """

    /// What the files say, what the server was started with, and what is in force.
    ///
    /// - Parameter connection: to this instance; `nil` where it does not run or nobody can connect.
    public func configuration(through connection: PostgresConnection?, deadline: Deadline) async throws -> InstanceConfiguration {
        let files: ConfigurationFiles
        if let connection {
            files = try await configurationFiles(through: connection, deadline: deadline)
        } else {
            files = try await configurationFiles(deadline: deadline)
        }
        async let starting = arguments(deadline: deadline), force = inForce(through: connection, deadline: deadline)
        let (tree, snapshot) = try await settings(in: files.configFile, deadline: deadline), started = try await starting
        return InstanceConfiguration(
            files: files, tree: tree, snapshot: snapshot, arguments: started.isRunning ? started.arguments : nil, inForce: try await force)
    }

    private func inForce(through connection: PostgresConnection?, deadline: Deadline) async throws -> ServerSettings? {
        guard let connection else { return nil }
        async let rows = connection.look(ServerSettings.query(features), deadline: deadline)
        let overrides = try await connection.look(ServerSettings.overridesQuery, deadline: deadline).map(ServerSettings.Override.init)
        return ServerSettings(rows: try await rows.map(ServerSettings.Row.init), overrides: overrides)
    }

    /// The value that `name` has for a server that is started now, in its own words; `nil` where it cannot say.
    public func valueAtStart(of name: String, deadline: Deadline) async throws -> String? {
        guard features.canCheckFiles else { return nil }
        let result = try await value(name, deadline: deadline)
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

        /// Without a secret.
        public var description: String {
            let whose = [database.map { "database \($0)" }, role.map { "role \($0)" }].compactMap { $0 }.joined(separator: ", ")
            return "\(whose): \(name) = \(Redaction.redacted(value, of: name))"
        }
    }

    public let rows: [Row]
    public let overrides: [Override]

    public func row(_ name: String) -> Row? { rows.first { isSameSetting($0.name, name) } }

    /// That the server of `node` has no such setting, and which was probably meant.
    public func unknown(_ name: String, on node: String) -> Problem {
        let meant = Spelling.nearest(to: name, among: rows.map(\.name))
        return Problem("\(node): the server knows no setting \(name)", hint: meant.map { "did you mean \($0)?" } ?? "`pggraft conf show` lists those that are set")
    }
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
        let result = try await value("config_file", deadline: deadline)
        if !result.succeeded { throw refused(result) }
    }

    /// How much of a start with the files as they are was tried.
    public enum StartProof: Sendable, Hashable {
        /// All that comes before the server's memory: its libraries were loaded, too.
        case begun
        /// The values, and what of them does not go together.
        case values
        /// Its program is too old to say.
        case none
    }

    /// Asks the server's program what would become of a start with the files as they are, and with what the server was started with.
    /// - Parameter connection: to this instance, where it runs: what it holds may need more than the files give.
    /// - Throws: ``InstanceError/configurationRefused(node:problems:)`` with the program's own words.
    public func checkStart(through connection: PostgresConnection? = nil, deadline: Deadline) async throws -> StartProof {
        guard features.canCheckFiles else { return .none }
        try await checkFiles(deadline: deadline)
        if let connection, features.slots.exist {
            let held = try await connection.look(StartConflict.Held.query(features), deadline: deadline).one()
            try refuse(
                StartConflict.all(
                    of: StartConflict.Held(slots: try held.get("slots"), logicalSlots: try held.get("logical"), preparedTransactions: try held.get("prepared")),
                    try await valuesAtStart(of: StartConflict.Held.names, deadline: deadline)))
        }
        if let connection, features.hasBuildView {
            try refuse(try await missingLibraries(through: connection, deadline: deadline).map { StartConflict("could not access file \"\($0)\": No such file or directory") })
        }
        if features.canBeginStart {
            let result = try await value("shared_memory_size", deadline: deadline)
            if result.succeeded { return .begun }
            // A server runs: what does not go together is looked at before that.
            guard result.errorText.contains("lock file \"postmaster.pid\" already exists") else { throw refused(result) }
            return .values
        }
        try refuse(StartConflict.all(in: version, try await valuesAtStart(of: StartConflict.names(in: version), deadline: deadline)))
        return .values
    }

    /// The libraries that the server would load as it starts and would not find.
    private func missingLibraries(through connection: PostgresConnection, deadline: Deadline) async throws -> [String] {
        let values = try await valuesAtStart(of: ["shared_preload_libraries", "dynamic_library_path"], deadline: deadline)
        let own: String = try await connection.look("SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'", deadline: deadline).one().get("setting")
        func expanded(_ path: String) -> String { path.hasPrefix("$libdir") ? own + path.dropFirst("$libdir".count) : path }
        let directories = (values["dynamic_library_path"] ?? "$libdir").split(separator: ":").map { expanded(String($0)) }
        let names = values["shared_preload_libraries"].flatMap { LibraryList($0)?.names } ?? []
        let places = names.map { name in (name.contains("/") ? [expanded(name)] : directories.map { "\($0)/\(name)" }).flatMap { [$0, $0 + ".so"] } }
        let missing = Set(try await unreadable(places.flatMap(\.self), deadline: deadline))
        return zip(names, places).filter { $1.allSatisfy(missing.contains) }.map(\.0)
    }

    private func refuse(_ conflicts: [StartConflict]) throws {
        guard !conflicts.isEmpty else { return }
        throw InstanceError.configurationRefused(node: node, problems: conflicts.map { ConfigurationProblem(file: "postgres", line: nil, error: "\($0)", name: nil) })
    }

    private func valuesAtStart(of names: [String], deadline: Deadline) async throws -> [String: String] {
        try await onEach(names) { try await value($0, deadline: deadline) }.filter { $0.value.succeeded }.mapValues(\.text)
    }

    /// What `postgres -C` says of a setting, with the options that the server was started with last.
    private func value(_ name: String, deadline: Deadline) async throws -> CommandResult {
        let files = try await configurationFiles(deadline: deadline), arguments = try await arguments(deadline: deadline).arguments
        // In English, whatever the files say.
        let language = isSameSetting(name, "lc_messages") ? [] : ["-c", "lc_messages=C"]
        let told = (arguments?.settings ?? []).filter { !isSameSetting($0.name, "data_directory") && !isSameSetting($0.name, "config_file") }
        return try await host.run(
            program("postgres", ["-C", name, "-D", dataDirectory.path, "-c", "config_file=\(files.configFile)"] + language + told.flatMap { ["-c", "\($0.name)=\($0.value)"] }),
            deadline: deadline)
    }

    private func refused(_ result: CommandResult) -> InstanceError {
        let words = lines(of: result.errorText).compactMap { line -> String? in
            // Without the time and the process in front; that the file has errors is known.
            let message = line.firstRange(of: ":  ").map { String(line[$0.upperBound...]) } ?? line
            return message.isEmpty || message.hasSuffix("contains errors") ? nil : message
        }
        return .configurationRefused(node: node, problems: words.map { ConfigurationProblem(file: "postgres", line: nil, error: $0, name: nil) })
    }
}

extension StartConflict.Held {
    static func query(_ features: ServerFeatures) -> SQL {
        features.slots.areTemporary
            ? """
            SELECT count(*)::integer AS slots, (count(*) FILTER (WHERE slot_type = 'logical'))::integer AS logical,
                   (SELECT count(*)::integer FROM pg_prepared_xacts) AS prepared FROM pg_replication_slots WHERE NOT temporary
            """
            : """
            SELECT count(*)::integer AS slots, (count(*) FILTER (WHERE slot_type = 'logical'))::integer AS logical,
                   (SELECT count(*)::integer FROM pg_prepared_xacts) AS prepared FROM pg_replication_slots
            """
    }
}

extension FileSnapshot.Request {
    fileprivate var file: HostPath? { if case .file(let path) = self { HostPath(path) } else { nil } }
    fileprivate var directory: HostPath? { if case .directory(let path) = self { HostPath(path) } else { nil } }
}
