import EventLoop
import Instance
import RemoteHost
import Report
public import Run
import Server

/// The source's tablespaces are of a kind that pgBackRest copies, and each goes to a directory of its own.
public struct TablespacesHavePlace: Requirement {
    public let name = "tablespace"
    private let ground: TargetGround

    public init(_ ground: TargetGround) { self.ground = ground }
    public var place: String? { ground.copy.source }

    public func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        let data = try await ground.instance().dataDirectory, copy = ground.copy, source = copy.source
        let spaces = try await copy.placedTablespaces()
        var findings: [Finding] = []
        for (space, target) in spaces {
            let others = spaces.filter { $0.target == target && $0.space != space }.map(\.space.name)
            let (found, verdict): (String, Finding.Verdict) =
                switch target {
                case nil:
                    (
                        "\(space.name) (\(space.location)) is inside of the data directory, and is not copied from there",
                        .notMet(hint: "move what is in it: ALTER TABLE … SET TABLESPACE, ALTER DATABASE … SET TABLESPACE; then DROP TABLESPACE \(space.name)")
                    )
                case let target? where (target.path + "/").hasPrefix(data.path + "/"):
                    (
                        "\(space.name) would go to \(target), which is inside of the data directory of \(ground.node)",
                        .notMet(hint: "name another directory under \(copy.section).tablespaces")
                    )
                case let target? where !others.isEmpty:
                    ("\(space.name) would go to \(target), as \(list(others)) would", .notMet(hint: "give each a directory of its own under \(copy.section).tablespaces"))
                case let target?: ("\(space.name) (\(space.location)) goes to \(target) on \(ground.node)", .met)
                }
            findings.append(Finding(name, on: source, found, verdict))
        }
        for key in copy.tablespaces.keys.sorted() where !spaces.contains(where: { $0.space.name == key || $0.space.location == key }) {
            findings.append(
                Finding(
                    name, on: source, "there is none that is called \(key) or is in it",
                    .notMet(hint: "\(copy.section).tablespaces: \(spaces.isEmpty ? "\(source) has no tablespace" : "\(source) has \(list(spaces.map(\.space.name)))")")))
        }
        return findings
    }
}

/// The directories that the copy needs beside its data directory are there, or can be made.
public struct DirectoriesAreThere: Requirement {
    public let name = "directory"
    private let standby: Standby
    private let ground: TargetGround

    public init(_ standby: Standby, _ ground: TargetGround) { (self.standby, self.ground) = (standby, ground) }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        let user = try await ground.instance().user, copy = ground.copy
        let states = try await copy.states(of: try await copy.neededDirectories(of: standby))
        return states.map { directory, state in
            let what = "\(directory.path) (\(directory.purpose))"
            let make = "as root on \(ground.node): install -d -o \(user) -m \(directory.mode) \(directory.path)"
            let elsewhere = directory.isOfTablespace ? "; or name another directory under \(copy.section).tablespaces" : ""
            let (found, verdict): (String, Finding.Verdict) =
                switch state.kind {
                case .usable: ("\(what) is there", .met)
                case .absent: ("\(what) will be made", .met)
                case .unreachable(let nearest): ("\(what) is not there, and \(user) may not make it in \(nearest)", .notMet(hint: make + elsewhere))
                case .notWritable: ("\(what): \(user) may not write there", .notMet(hint: make + elsewhere))
                case .notADirectory: ("\(what) is no directory", .notMet(hint: "move away what is there" + elsewhere))
                case .occupied where copy.existing == .overwritten: ("\(what) is there, and what differs in it is overwritten", .met)
                case .occupied where copy.existing == .removed: ("\(what) is there, and what is in it is removed", .met)
                case .occupied(let entries):
                    ("\(what) holds a tablespace of another cluster (\(list(entries)))", .notMet(hint: "move away what is there" + elsewhere))
                }
            return Finding(name, on: ground.node, found, verdict)
        }
    }
}
