/// Files as they were read, by absolute path: what a configuration refers to is looked up here, never on a disk.
///
/// Parsers that follow references say in `missing` what they looked for and did not find in the snapshot; whoever reads
/// files fills it in and parses again, until nothing is missing.
public struct FileSnapshot: Sendable, Hashable {
    public enum Kind: Sendable, Hashable { case file, directory, broken }

    public enum Content: Sendable, Hashable {
        case file([UInt8])
        /// The names in a directory, with what is behind each (links are followed).
        case directory([String: Kind])
        /// It could not be read, in the system's words: `No such file or directory`.
        case unreadable(String)
    }

    /// What is to be looked at, and as what.
    public enum Request: Sendable, Hashable {
        case file(String), directory(String)

        public var path: String {
            switch self {
            case .file(let path), .directory(let path): path
            }
        }
    }

    public static let absent = Content.unreadable("No such file or directory")

    private var contents: [Request: Content]

    public init(_ contents: [Request: Content] = [:]) { self.contents = contents }

    public init(files: [String: [UInt8]]) {
        contents = Dictionary(uniqueKeysWithValues: files.map { (.file($0.key), .file($0.value)) })
    }

    public subscript(request: Request) -> Content? {
        get { contents[request] }
        set { contents[request] = newValue }
    }

    /// What could not be read because nobody lets the reader, by path.
    public var forbidden: [String] {
        contents.compactMap { request, content in
            if case .unreadable(let why) = content, why.contains("Permission denied") { request.path } else { nil }
        }.sorted()
    }

    /// The bytes of a file that was read; `nil` where there are none, or nobody looked.
    public func bytes(of path: String) -> [UInt8]? {
        if case .file(let bytes)? = contents[.file(path)] { bytes } else { nil }
    }
}

/// `path` as the server resolves it: a relative one from the directory that the file it stands in is in, `.` and `..`
/// taken out as `canonicalize_path` does.
func resolvedPath(_ path: String, in directory: String) -> String {
    let whole = path.hasPrefix("/") ? path : directory + "/" + path
    var parts: [Substring] = []
    for part in whole.split(separator: "/") where part != "." {
        if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
}
