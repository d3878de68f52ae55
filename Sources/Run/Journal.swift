import Foundation
import Glibc
public import Report
import Synchronization

/// An append-only file of JSON Lines: what a run did, and what it needs to know again.
///
/// ``append(_:)`` returns after the line is on disk. A torn last line, from a machine that lost power, is cut off when
/// the journal is opened again. The journal never holds a secret.
public final class Journal: Sendable {
    public let path: String
    private struct State { var descriptor: Int32, entries: [JournalEntry] }
    private let state: Mutex<State>

    private init(path: String, descriptor: Int32, entries: [JournalEntry]) {
        self.path = path
        state = Mutex(State(descriptor: descriptor, entries: entries))
    }

    deinit { state.withLock { _ = Glibc.close($0.descriptor) } }

    /// A new journal, whose first entry is `header`. The file must not exist.
    /// - Throws: ``JournalError``.
    public static func create(at path: String, header: RunHeader) throws -> Journal {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw JournalError.io(path: path, doing: "create", errno) }
        let journal = Journal(path: path, descriptor: descriptor, entries: [])
        try journal.append(JournalEntry(.began, value: try JSON(of: header)))
        // The name of the file must survive a power cut too.
        let directory = Glibc.open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw JournalError.io(path: path, doing: "flush the directory of", errno) }
        defer { _ = Glibc.close(directory) }
        guard fsync(directory) == 0 else { throw JournalError.io(path: path, doing: "flush the directory of", errno) }
        return journal
    }

    /// The journal at `path`, to go on with.
    public static func open(at path: String) throws -> Journal {
        let descriptor = Glibc.open(path, O_RDWR | O_APPEND | O_CLOEXEC)
        guard descriptor >= 0 else { throw JournalError.io(path: path, doing: "open", errno) }
        do {
            let (entries, sound) = try parse(contents(of: path), path: path)
            guard ftruncate(descriptor, off_t(sound)) == 0 else { throw JournalError.io(path: path, doing: "cut the torn line off", errno) }
            return Journal(path: path, descriptor: descriptor, entries: entries)
        } catch {
            _ = Glibc.close(descriptor)
            throw error
        }
    }

    /// The entries at `path`, without touching the file.
    public static func read(at path: String) throws -> [JournalEntry] {
        try parse(contents(of: path), path: path).entries
    }

    /// Adds `entry` and returns once it is on disk.
    public func append(_ entry: JournalEntry) throws {
        var line = try Journal.encoder().encode(entry)
        line.append(UInt8(ascii: "\n"))
        try state.withLock { state in
            let length = lseek(state.descriptor, 0, SEEK_END)
            guard length >= 0 else { throw JournalError.io(path: path, doing: "write", errno) }
            do {
                try write(line, to: state.descriptor)
            } catch {
                // Half a line would spoil the next one. What cannot be cut off is found out when the journal is opened again.
                _ = ftruncate(state.descriptor, length)
                throw error
            }
            state.entries.append(entry)
        }
    }

    /// Writes `line` and waits until it is on disk.
    private func write(_ line: Data, to descriptor: Int32) throws {
        try line.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw JournalError.io(path: path, doing: "write", errno) }
                written += count
            }
        }
        guard fdatasync(descriptor) == 0 else { throw JournalError.io(path: path, doing: "flush", errno) }
    }

    public var entries: [JournalEntry] { state.withLock { $0.entries } }

    // MARK: The file

    private static func contents(of path: String) throws -> Data {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw JournalError.io(path: path, doing: "read", errno) }
        defer { _ = Glibc.close(descriptor) }
        var data = Data(), buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw JournalError.io(path: path, doing: "read", errno) }
            guard count > 0 else { return data }
            data.append(contentsOf: buffer[..<count])
        }
    }

    /// The entries of `data`, and how many bytes of it are whole lines.
    static func parse(_ data: Data, path: String) throws -> (entries: [JournalEntry], sound: Int) {
        var entries: [JournalEntry] = [], start = data.startIndex, number = 0
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let text = try decoder.singleValueContainer().decode(String.self)
            return try timestamps.parse(text)
        }
        while let end = data[start...].firstIndex(of: UInt8(ascii: "\n")) {
            number += 1
            // A newer form may have what this one cannot read.
            if let form = try? decoder.decode(Form.self, from: data[start..<end]), form.v > JournalEntry.version {
                throw JournalError.newer(path: path, version: form.v)
            }
            do {
                entries.append(try decoder.decode(JournalEntry.self, from: data[start..<end]))
            } catch {
                // Only a line without an end can be torn; another bad one means that the file was changed.
                throw JournalError.damaged(path: path, line: number)
            }
            start = end + 1
        }
        // A first line that is torn begins like one.
        if entries.isEmpty, let first = data.first, first != UInt8(ascii: "{") { throw JournalError.damaged(path: path, line: 1) }
        return (entries, start - data.startIndex)
    }

    private struct Form: Decodable { let v: Int }

    private static let timestamps = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    private static func encoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(date.formatted(timestamps))
        }
        return encoder
    }
}

public enum JournalError: Explained {
    case io(path: String, doing: String, Int32)
    case damaged(path: String, line: Int)
    /// There is no whole line in it.
    case empty(path: String)
    case newer(path: String, version: Int)
    /// A step asked for a fact that was never written.
    case noFact(step: String, key: String)

    public var fact: String {
        switch self {
        case .io(let path, let doing, let code): "cannot \(doing) the journal \(path): \(String(cString: strerror(code)))"
        case .damaged(let path, let line): "line \(line) of the journal \(path) is not readable"
        case .empty(let path): "the journal \(path) is empty: the run that it is of changed nothing"
        case .newer(let path, let version): "the journal \(path) is of form \(version), this pggraft reads \(JournalEntry.version)"
        case .noFact(let step, let key): "the journal does not hold \(key) of step \(step)"
        }
    }

    public var hint: String? {
        switch self {
        case .io(_, "read", _): "Mend its permissions, or its disk."
        case .io: "Nothing is changed without a journal. Make room or mend the permissions, then resume."
        case .damaged: "The file was changed by something else than pggraft. Take it back from a copy; undo by hand what it names otherwise."
        case .empty: "Remove it: nothing can be gone on with or undone."
        case .newer: "Use the pggraft that began the run, or a newer one."
        case .noFact: "The run cannot go on from here; `pggraft undo` takes it back."
        }
    }
}
