import Foundation
import PostgresConfig

/// A row of `pg_file_settings`, in bytes.
struct FileSettingsRow: Hashable, CustomStringConvertible {
    var file: [UInt8]?
    var line: Int?
    var name: [UInt8]?
    var setting: [UInt8]?
    var isApplied: Bool
    var error: [UInt8]?

    var description: String {
        func text(_ bytes: [UInt8]?) -> String { bytes.map { String(reflecting: String(decoding: $0, as: UTF8.self)) } ?? "-" }
        return "\(text(file)):\(line ?? -1) \(text(name)) = \(text(setting)) \(isApplied ? "applied" : "not applied") \(text(error))"
    }

    static let query = """
        SELECT encode(convert_to(sourcefile, 'SQL_ASCII'), 'hex'), sourceline, encode(convert_to(name, 'SQL_ASCII'), 'hex'),
               coalesce('=' || encode(convert_to(setting, 'SQL_ASCII'), 'hex'), ''), applied, encode(convert_to(error, 'SQL_ASCII'), 'hex')
        FROM pg_file_settings ORDER BY seqno
        """

    init(_ row: ArraySlice<UInt8>) {
        let fields = row.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        func bytes(_ field: ArraySlice<UInt8>) -> [UInt8] {
            var bytes: [UInt8] = [], high: UInt8?
            for digit in field {
                let value = digit < 0x40 ? digit - 0x30 : digit - 0x57
                if let first = high { bytes.append(first << 4 | value) }
                high = high == nil ? value : nil
            }
            return bytes
        }
        func optional(_ field: ArraySlice<UInt8>) -> [UInt8]? { field.isEmpty ? nil : bytes(field) }
        (file, name, error) = (optional(fields[0]), optional(fields[2]), optional(fields[5]))
        line = Int(String(decoding: fields[1], as: UTF8.self))
        setting = fields[3].isEmpty ? nil : bytes(fields[3].dropFirst())
        isApplied = fields[4] == [UInt8(ascii: "t")]
    }

    init(_ row: SettingsTree.Row) {
        switch row {
        case .setting(let entry):
            (file, line, name) = (Array(entry.file.utf8), entry.line, entry.setting.nameBytes)
            (setting, isApplied, error) = (entry.setting.valueBytes, entry.isApplied, nil)
        case .problem(let problem):
            (file, line) = (problem.file.map { Array($0.utf8) }, problem.file == nil ? nil : problem.line)
            (name, setting, isApplied, error) = (nil, nil, false, Array(problem.text.utf8))
        }
    }
}

/// Reads what a tree asks for from the disk.
enum Disk {
    static func snapshot(for configFile: String, data: String, version: MajorVersion, known: FileSnapshot = FileSnapshot()) -> (SettingsTree, FileSnapshot) {
        var snapshot = known
        while true {
            let tree = SettingsTree(configFile: configFile, dataDirectory: data, snapshot: snapshot, version: version)
            if tree.missing.isEmpty { return (tree, snapshot) }
            for request in tree.missing { snapshot[request] = answer(request) }
        }
    }

    static func answer(_ request: FileSnapshot.Request) -> FileSnapshot.Content {
        switch request {
        case .file(let path):
            guard let file = fopen(path, "r") else { return .unreadable(String(cString: strerror(errno))) }
            defer { fclose(file) }
            var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = fread(&buffer, 1, buffer.count, file)
                if ferror(file) != 0 { return .unreadable(String(cString: strerror(errno))) }
                if count == 0 { return .file(bytes) }
                bytes += buffer[..<count]
            }
        case .directory(let path):
            guard let directory = opendir(path) else { return .unreadable(String(cString: strerror(errno))) }
            defer { closedir(directory) }
            var names: [String: FileSnapshot.Kind] = [:]
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
                var status = stat()
                names[name] = stat("\(path)/\(name)", &status) != 0 ? .broken : status.st_mode & S_IFMT == S_IFDIR ? .directory : .file
            }
            return .directory(names)
        }
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "w") else { throw Programs.Failed(description: "\(path): \(String(cString: strerror(errno)))") }
        fchmod(fileno(file), 0o644)
        fwrite(bytes, 1, bytes.count, file)
        guard fclose(file) == 0 else { throw Programs.Failed(description: "\(path): \(String(cString: strerror(errno)))") }
    }

    static func makeDirectory(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    }
}
