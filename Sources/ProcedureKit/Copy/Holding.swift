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
    init(_ directory: RestoredDirectory, files: [String], system: String?, copied: (system: String?, backup: String?)) {
        switch directory {
        case .absent, .empty: self = .nothing
        // A restore begins with directories, and emptying a copy ends with them.
        case _ where files.isEmpty: self = .copy
        case _ where system != nil && system == copied.system: self = .copy
        case .incomplete(let set?) where set == copied.backup: self = .copy
        case .incomplete(let set?): self = .other("part of the backup \(set)")
        case _ where system != nil: self = .other("the cluster with the system identifier \(system ?? "")")
        case .incomplete, .complete, .foreign: self = .other("files that this run did not restore (\(files.joined(separator: ", ")))")
        }
    }
}
