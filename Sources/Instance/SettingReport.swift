public import PostgresConfig
import RemoteHost

/// The configuration of an instance: what its files say, what it was started with, and what is in force.
public struct InstanceConfiguration: Sendable {
    public let files: ConfigurationFiles
    public let tree: SettingsTree
    let snapshot: FileSnapshot
    /// `nil` where the server does not run.
    public let arguments: ServerArguments?
    /// `nil` where the server does not run, or nobody could ask it.
    public let inForce: ServerSettings?

    init(files: ConfigurationFiles, tree: SettingsTree, snapshot: FileSnapshot, arguments: ServerArguments?, inForce: ServerSettings?) {
        (self.files, self.tree, self.snapshot, self.arguments, self.inForce) = (files, tree, snapshot, arguments, inForce)
    }

    /// The files and directories of settings that the server's OS user may not read.
    public var forbidden: [String] { snapshot.forbidden }

    /// The edits of the files with which each setting has its value; `nil` takes its lines out of all files.
    /// - Throws: ``SettingsTree/Unwritable``.
    public func edits(_ assignments: [(name: String, value: String?)]) throws -> [ConfigurationEdit] {
        var changed = snapshot, tree = tree
        for (name, value) in assignments {
            let edits = if let value { [try tree.setting(name, to: value)] } else { tree.removing(name) }
            for edit in edits { changed[.file(edit.path)] = .file(edit.after.render()) }
            tree = SettingsTree(configFile: files.configFile.path, dataDirectory: files.dataDirectory.path, snapshot: changed, version: tree.version)
        }
        return self.tree.files.keys.sorted().compactMap { path in
            guard let place = HostPath(path) else { return nil }
            let edit = ConfigurationEdit(path: place, before: snapshot.bytes(of: path), after: changed.bytes(of: path))
            return edit.isEmpty ? nil : edit
        }
    }

    /// The settings that something else than the server's own default decides, sorted.
    public var namesSet: [String] {
        var names: [String: String] = [:]
        for name in tree.entries.map(\.name) + (arguments?.settings.map(\.name) ?? []) { names[name.lowercased()] = name }
        for row in inForce?.rows ?? [] where names[row.name.lowercased()] != nil { names[row.name.lowercased()] = row.name }
        return names.values.sorted { $0.lowercased() < $1.lowercased() }
    }

    public func report(_ name: String) -> SettingReport {
        let row = inForce?.row(name), entry = tree.deciding(name)
        let argument = arguments?.value(of: name)
        var hidden = tree.overridden(name)
        let decider: SettingReport.Decider
        if let row, let source = SettingReport.Decider(source: row.source) {
            decider = source
            if let entry { hidden.append(entry) }
        } else if let argument {
            decider = .commandLine(argument)
            if let entry { hidden.append(entry) }
        } else if let entry {
            decider = .file(entry)
        } else {
            decider = .nobody
        }
        return SettingReport(
            name: row?.name ?? entry?.name ?? name, value: row?.shown ?? argument ?? entry?.value, decider: decider, hidden: hidden,
            overrides: inForce?.overrides.filter { isSameSetting($0.name, name) } ?? [],
            state: state(row, entry, decider), isKnown: inForce == nil || row != nil || name.contains("."))
    }

    private func state(_ row: ServerSettings.Row?, _ entry: SettingsTree.Entry?, _ decider: SettingReport.Decider) -> SettingReport.State {
        guard let row else { return .unknown }
        switch decider {
        case .file(let entry):
            if row.means(entry, in: tree.version) { return .inForce }
            return row.context == "postmaster" ? .waitsForRestart(entry.value) : .waitsForReload(entry.value)
        case .nobody:
            // A line that is gone from the files was read once.
            guard row.source == "configuration file" else { return .inForce }
            return row.context == "postmaster" ? .waitsForRestart(nil) : .waitsForReload(nil)
        case .commandLine, .environment, .session: return .inForce
        }
    }
}

/// Where the value of a setting comes from, and what else has to do with it.
public struct SettingReport: Sendable, Hashable {
    public enum Decider: Sendable, Hashable {
        case file(SettingsTree.Entry)
        /// With the value that was given; empty where only the server's word is known.
        case commandLine(String)
        case environment
        /// The asking session's own, by its client or by ALTER ROLE or ALTER DATABASE.
        case session
        /// The server's own default.
        case nobody

        /// What `pg_settings.source` says, where it is not the files or the default.
        init?(source: String) {
            switch source {
            case "command line": self = .commandLine("")
            case "environment variable": self = .environment
            case "client", "session", "database", "user", "database user", "global", "interactive": self = .session
            default: return nil
            }
        }
    }

    public enum State: Sendable, Hashable {
        case inForce
        /// The files say this (`nil`: nothing any more), and the server takes it when it starts again.
        case waitsForRestart(String?)
        /// The files say this (`nil`: nothing any more), and the server has not read it or does not accept it.
        case waitsForReload(String?)
        /// Nobody could ask the server.
        case unknown
    }

    public let name: String
    /// As `SHOW` says it, or, where nobody could ask, as it is written; `nil` for the server's default then.
    public private(set) var value: String?
    public let decider: Decider
    /// Lines that say something else and do not decide, in the order read.
    public let hidden: [SettingsTree.Entry]
    /// Sessions that have another value.
    public let overrides: [ServerSettings.Override]
    public let state: State
    /// Whether the server knows the setting.
    public let isKnown: Bool

    /// The same with a value that was found out in another way.
    public func valued(_ value: String?) -> SettingReport {
        var report = self
        report.value = value
        return report
    }
}

extension ServerSettings.Row {
    /// Whether the line of a file is the value in force.
    func means(_ entry: SettingsTree.Entry, in version: MajorVersion) -> Bool {
        if means(entry.value, in: version) { return true }
        if OwnSpelling.of(name)?(entry.value, value) ?? false { return true }
        // Some values the server shows in its own way: what it has worked out for -1, a command it does not use.
        guard !isPendingRestart, file == entry.file, line == entry.line else { return false }
        return ["-1", "0"].contains(entry.value) || value == "(disabled)"
    }

    /// Whether `text`, as a file has it, is the value in force.
    public func means(_ text: String, in version: MajorVersion) -> Bool {
        guard let kind = SettingKind(vartype: type, unit: unit, enumvals: choices, version: version), kind.type != .string else {
            return text == value || text == shown
        }
        return SettingValue(text, kind: kind)?.isShown(as: value, kind: kind) ?? false
    }
}
