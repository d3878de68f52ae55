import Foundation
import PostgresConfig

/// The files of this machine, for snapshots.
enum Disk {
    static func write(_ bytes: [UInt8], to path: String) throws {
        let url = URL(fileURLWithPath: path)
        do {
            try Data(bytes).write(to: url)
        } catch {
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: url)
        }
    }

    static func read(_ request: FileSnapshot.Request) -> FileSnapshot.Content {
        let (path, flags) = switch request {
        case .file(let path): (path, O_RDONLY)
        case .directory(let path): (path, O_RDONLY | O_DIRECTORY)
        }
        let descriptor = open(path, flags)
        guard descriptor >= 0 else { return .unreadable(String(cString: strerror(errno))) }
        close(descriptor)
        var status = stat()
        guard stat(path, &status) == 0 else { return .unreadable(String(cString: strerror(errno))) }
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        switch request {
        case .file: return isDirectory ? .unreadable("Is a directory") : .file(FileManager.default.contents(atPath: path).map(Array.init) ?? [])
        case .directory:
            let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
            return .directory(Dictionary(uniqueKeysWithValues: names.map { name in
                var status = stat()
                guard stat("\(path)/\(name)", &status) == 0 else { return (name, FileSnapshot.Kind.broken) }
                return (name, status.st_mode & S_IFMT == S_IFDIR ? .directory : .file)
            }))
        }
    }
}
