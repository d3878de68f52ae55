public import Report

/// All settings files of an instance as its server reads them: `postgresql.conf`, what it includes, then
/// `postgresql.auto.conf` of the data directory.
///
/// ```swift
/// var snapshot = FileSnapshot()
/// var tree = SettingsTree(configFile: "/etc/postgresql/15/main/postgresql.conf", dataDirectory: data, snapshot: snapshot, version: version)
/// while !tree.missing.isEmpty {
///     for request in tree.missing { snapshot[request] = read(request) }
///     tree = SettingsTree(configFile: …, snapshot: snapshot, …)
/// }
/// tree.deciding("max_connections")   // postgresql.auto.conf:3: max_connections = 200
/// let edit = try tree.setting("max_connections", to: "300")
/// ```
///
/// <https://www.postgresql.org/docs/current/config-setting.html>
public struct SettingsTree: Sendable, Hashable {
    /// A setting where it stands.
    public struct Entry: Sendable, Hashable, CustomStringConvertible {
        /// As the server names the file.
        public let file: String
        public let setting: SettingsFile.Setting
        /// Whether the server takes it, as far as files can say: nothing further down is spelled the same, and no file has an error.
        ///
        /// Of two spellings that differ in case the server takes both, one after the other; see ``SettingsTree/deciding(_:)``.
        public internal(set) var isApplied = false

        /// Counted from 1.
        public var line: Int { setting.line }
        public var name: String { setting.name }
        public var value: String { setting.value }
        /// Without a secret.
        public var description: String { "\(file):\(line): \(name) = \(Redaction.redacted(value, of: name))" }
    }

    /// Why the server refuses the files. With one of these it starts with none of them, and takes nothing on reload.
    public struct Problem: Explained, Hashable {
        /// The file it stands in: for a file that cannot be read, the one that includes it; `nil` where nothing does.
        public let file: String?
        /// Counted from 1; 0 where no file stands for it.
        public let line: Int
        /// As the server says it in `pg_file_settings.error`: `syntax error`.
        public let text: String

        public var fact: String { file.map { "\($0):\(line): \(text)" } ?? text }
        public var hint: String? { nil }
    }

    /// A row of `pg_file_settings`.
    public enum Row: Sendable, Hashable {
        case setting(Entry), problem(Problem)
    }

    public let configFile: String
    public let autoConfFile: String
    public let version: MajorVersion

    /// What has to be read before this tree is whole. Until then it says nothing of what is in there.
    public let missing: [FileSnapshot.Request]
    /// Each file that was read, by the path the server opens it with.
    public let files: [String: SettingsFile]
    /// Every setting in the order read: of two with the same name the later one wins. Files are read on behind an error,
    /// as the server does once that is put right.
    public let entries: [Entry]
    /// Everything that has to be put right, in the order read.
    public let errors: [Problem]
    /// What `pg_file_settings` shows, but for what needs the server's table of settings: names and values it does not accept.
    ///
    /// The server reads less for it than there is: no file behind its first syntax error, nothing behind a file with an
    /// error in the same `include_dir`, no `postgresql.auto.conf` where the main file has an error.
    public let rows: [Row]

    /// - Parameters:
    ///   - configFile: the absolute path of `postgresql.conf`, as `config_file` says.
    ///   - dataDirectory: the absolute path, as `data_directory` says.
    public init(configFile: String, dataDirectory: String, snapshot: FileSnapshot, version: MajorVersion) {
        (self.configFile, self.version) = (configFile, version)
        autoConfFile = resolvedPath("postgresql.auto.conf", in: dataDirectory)
        let readsAutoConf = ServerFeatures(version).readsAutoConf
        var all = SettingsReading(snapshot: snapshot, stopsAtErrors: false)
        all.read(configFile, mustExist: true)
        if readsAutoConf { all.read(autoConfFile, mustExist: false) }
        var shown = SettingsReading(snapshot: snapshot, stopsAtErrors: true, files: all.files)
        if shown.read(configFile, mustExist: true), readsAutoConf { shown.read(autoConfFile, mustExist: false) }

        (missing, files) = (all.missing, all.files)
        let isRefused = !all.errors.isEmpty
        entries = isRefused ? all.entries : Self.applied(all.entries)
        errors = all.errors
        var taken = (isRefused ? shown.entries : Self.applied(shown.entries))[...]
        rows = shown.rows.map { row in
            if case .setting = row, let entry = taken.popFirst() { .setting(entry) } else { row }
        }
    }

    private static func applied(_ entries: [Entry]) -> [Entry] {
        var seen: Set<[UInt8]> = []
        return entries.reversed().map { entry in
            var entry = entry
            entry.isApplied = seen.insert(entry.setting.nameBytes).inserted
            return entry
        }.reversed()
    }

    // MARK: Which line decides

    /// The entry that gives `name` its value; `nil` where no file does.
    ///
    /// The server looks for its `data_directory` before it knows where `postgresql.auto.conf` is, and finds none there.
    public func deciding(_ name: String) -> Entry? { entries(of: name).last }

    /// The entries that ``deciding(_:)`` stands behind, in the order read.
    public func overridden(_ name: String) -> [Entry] { entries(of: name).dropLast() }

    private func entries(of name: String) -> [Entry] {
        let isAutoConfRead = !isSameSetting(name, "data_directory")
        return lines(of: name).filter { isAutoConfRead || $0.file != autoConfFile }
    }

    /// Every line that sets `name`, by this or an older name of it.
    private func lines(of name: String) -> [Entry] {
        let names = SettingAlias.names(of: name, in: version)
        return entries.filter { entry in names.contains { isSameName(entry.setting.nameBytes, $0.utf8) } }
    }

    // MARK: Changing

    /// A change of one file.
    public struct Edit: Sendable, Hashable {
        public let path: String
        public let before: SettingsFile
        public let after: SettingsFile
    }

    /// Why a setting cannot be written.
    public enum Unwritable: Explained, Hashable {
        /// A setting of this name cannot stand in a file.
        case name(String)
        /// No file can hold a zero byte.
        case zeroByte(name: String)
        /// There is no main file, or it was not read.
        case noFile(String)

        public var fact: String {
            switch self {
            case .name(let name): "\(name) cannot be set in a file"
            case .zeroByte(let name): "the value of \(name) has a zero byte"
            case .noFile(let path): "\(path) was not read"
            }
        }

        public var hint: String? { nil }
    }

    /// The change of one file with which `name` has `value`: of the line that decides, wherever it is; where nothing sets it
    /// yet, the main file gets a line, before the commented-out default if it has one, else at the end.
    ///
    /// - Throws: ``Unwritable``
    public func setting(_ name: String, to value: String) throws(Unwritable) -> Edit {
        guard SettingsScanner.isName(name), !isSameSetting(name, "config_file"),
            !SettingsFile.Include.Kind.allCases.contains(where: { isSameSetting(name, $0.rawValue) })
        else { throw .name(name) }
        guard !value.utf8.contains(0) else { throw .zeroByte(name: name) }
        let entry = deciding(name), path = entry?.file ?? configFile
        guard let before = files[path] else { throw .noFile(path) }
        var after = before
        if let entry { after.set(line: entry.line, to: Array(value.utf8)) } else { after.set(name, to: value) }
        return Edit(path: path, before: before, after: after)
    }

    /// The changes with which no file sets `name`, in the order the files are read.
    public func removing(_ name: String) -> [Edit] {
        var edits: [Edit] = []
        for entry in lines(of: name) where !edits.contains(where: { $0.path == entry.file }) {
            guard let before = files[entry.file] else { continue }
            var after = before
            for name in SettingAlias.names(of: name, in: version) { after.remove(name) }
            edits.append(Edit(path: entry.file, before: before, after: after))
        }
        return edits
    }
}
