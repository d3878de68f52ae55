import PgBackRest

/// What is in the data directory of a copy when a run is undone.
public enum Holding: Sendable, Equatable {
    case nothing
    /// What this run restored, in whole or in part.
    case copy
    /// Something else; the text says what.
    case other(String)

    /// - Parameters:
    ///   - files: up to a few of the files in it, directories left out.
    ///   - system: of what is there, where it can be read.
    ///   - copied: the system and the backup that this run restored.
    ///   - isPart: whether it is a part of what this run copied.
    init(_ directory: RestoredDirectory, files: [String], system: String?, copied: (system: String?, backup: String?), isPart: Bool = false) {
        switch directory {
        case .absent, .empty: self = .nothing
        // A restore begins with directories, and emptying a copy ends with them.
        case _ where files.isEmpty: self = .copy
        case _ where system != nil && system == copied.system: self = .copy
        case .incomplete(let set?) where set == copied.backup: self = .copy
        case _ where system == nil && isPart: self = .copy
        case .incomplete(let set?): self = .other("part of the backup \(set)")
        case _ where system != nil: self = .other("the cluster with the system identifier \(system ?? "")")
        case .directories, .incomplete, .complete, .foreign: self = .other("files that this run did not restore (\(files.joined(separator: ", ")))")
        }
    }

    /// Whether a directory without a control file is a part of a base backup of ours: it says so, or as yet it has nothing but log.
    static func isPart(label: String?, ours: String, files: [String]) -> Bool {
        label.map { $0 == ours } ?? files.allSatisfy { file in ["pg_wal/", "pg_xlog/", "pg_tblspc/"].contains(where: file.hasPrefix) }
    }
}
