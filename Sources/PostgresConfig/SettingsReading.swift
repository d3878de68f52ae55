/// One pass over settings files and what they include, in the server's order.
struct SettingsReading {
    /// How deep files may include each other: the eleventh level is refused.
    static let deepest = 10

    let snapshot: FileSnapshot
    /// Whether a file is given up at its first error, and a directory at its first file with one, as for `pg_file_settings`.
    let stopsAtErrors: Bool

    private(set) var rows: [SettingsTree.Row] = []
    private(set) var files: [String: SettingsFile] = [:]
    private(set) var missing: [FileSnapshot.Request] = []

    /// - Parameter files: those that are parsed already, from the same snapshot.
    init(snapshot: FileSnapshot, stopsAtErrors: Bool, files: [String: SettingsFile] = [:]) {
        (self.snapshot, self.stopsAtErrors, self.files) = (snapshot, stopsAtErrors, files)
    }

    var entries: [SettingsTree.Entry] { rows.compactMap { if case .setting(let entry) = $0 { entry } else { nil } } }
    var errors: [SettingsTree.Problem] { rows.compactMap { if case .problem(let problem) = $0 { problem } else { nil } } }

    /// Where a file is referred to.
    private struct Place {
        var file: String
        var line: Int
        /// How many files include each other down to there.
        var depth: Int
    }

    /// - Returns: whether it was read without an error.
    @discardableResult
    mutating func read(_ path: String, mustExist: Bool) -> Bool { read(path, mustExist: mustExist, from: nil) }

    private mutating func read(_ path: String, mustExist: Bool, from place: Place?) -> Bool {
        if isBlank(path) { return refuse("empty configuration file name", at: place) }
        if let place, place.depth > Self.deepest { return refuse("nesting depth exceeded", at: place) }
        let path = location(path, from: place)
        if path == place?.file { return refuse("configuration file recursion", at: place) }
        switch snapshot[.file(path)] {
        case nil:
            ask(.file(path))
            return true
        case .file(let bytes)?:
            let file = files[path] ?? SettingsFile(bytes)
            files[path] = file
            return read(file, path: path, depth: place?.depth ?? 0)
        // A directory can be opened; reading from it fails.
        case .directory?, .unreadable("Is a directory")?:
            return refuse("input in flex scanner failed", at: Place(file: path, line: 1, depth: 0))
        case .unreadable?:
            return mustExist ? refuse("could not open file \"\(path)\"", at: place) : true
        }
    }

    private mutating func read(_ file: SettingsFile, path: String, depth: Int) -> Bool {
        var isGood = true
        for statement in file.statements {
            switch statement {
            case .setting(let setting): rows.append(.setting(SettingsTree.Entry(file: path, setting: setting)))
            case .include(let include):
                let place = Place(file: path, line: include.line, depth: depth + 1)
                let wasGood =
                    switch include.kind {
                    case .file: read(include.path, mustExist: true, from: place)
                    case .fileIfExists: read(include.path, mustExist: false, from: place)
                    case .directory: readDirectory(include.path, from: place)
                    }
                isGood = wasGood && isGood
            case .syntaxError(let error):
                isGood = refuse("syntax error", at: Place(file: path, line: error.reportedLine, depth: depth))
                if stopsAtErrors { return isGood }
            }
        }
        return isGood
    }

    private mutating func readDirectory(_ path: String, from place: Place) -> Bool {
        if isBlank(path) { return refuse("empty configuration directory name", at: place) }
        let directory = location(path, from: place)
        guard let content = snapshot[.directory(directory)] else {
            ask(.directory(directory))
            return true
        }
        guard case .directory(let names) = content else { return refuse("could not open directory \"\(directory)\"", at: place) }
        // In the order of bytes, whatever the locale.
        let read = names.filter { isRead($0.key) }.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        if let broken = read.first(where: { $0.value == .broken }) {
            return refuse("could not stat file \"\(resolvedPath(broken.key, in: directory))\"", at: place)
        }
        var isGood = true
        for (name, kind) in read where kind == .file {
            isGood = self.read(resolvedPath(name, in: directory), mustExist: true, from: place) && isGood
            if !isGood, stopsAtErrors { return false }
        }
        return isGood
    }

    /// Whether a file of this name is read of a directory.
    private func isRead(_ name: String) -> Bool {
        let end = ".conf".utf8
        return !name.hasPrefix(".") && name.utf8.count > end.count && name.utf8.suffix(end.count).elementsEqual(end)
    }

    /// An absolute path stays as it is written, a relative one starts at the file it stands in.
    private func location(_ path: String, from place: Place?) -> String {
        guard let place, !path.hasPrefix("/") else { return path }
        return resolvedPath(path, in: place.file + "/..")
    }

    private func isBlank(_ path: String) -> Bool { path.utf8.allSatisfy { " \t\r\n".utf8.contains($0) } }

    private mutating func ask(_ request: FileSnapshot.Request) {
        if !missing.contains(request) { missing.append(request) }
    }

    private mutating func refuse(_ text: String, at place: Place?) -> Bool {
        rows.append(.problem(SettingsTree.Problem(file: place?.file, line: place?.line ?? 0, text: text)))
        return false
    }
}
