import Foundation

/// A directory that goes away with its owner.
final class TemporaryDirectory: Sendable {
    let path: String

    init(mode: Int = 0o700) throws {
        path = NSTemporaryDirectory() + "pggraft-test-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
