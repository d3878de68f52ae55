import Foundation

/// The files of this checkout.
enum Checkout {
    static let root = String(#filePath.dropLast("/Tests/DocumentationTests/Checkout.swift".count))

    static func read(_ path: String) throws -> String { try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8) }

    /// Every document, by its path.
    static func documents() throws -> [String] {
        let directories = ["", "docs/", "fixtures/"]
        return try directories.flatMap { directory in
            try FileManager.default.contentsOfDirectory(atPath: "\(root)/\(directory)").filter { $0.hasSuffix(".md") }.map { directory + $0 }
        }.sorted()
    }

    /// The lines of the tables of `document`, cell by cell, without heads.
    static func rows(of document: String) throws -> [[String]] {
        try read(document).split(separator: "\n").filter { $0.hasPrefix("|") && !$0.hasPrefix("|---") }
            .map { $0.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map { $0.trimmingCharacters(in: .whitespaces) } }
    }
}

extension StringProtocol {
    /// What stands between backticks.
    var quoted: [String] { String(self).matches(of: #/`([^`]+)`/#).map { String($0.1) } }
}
