public import EventLoop
import PostgresConfig
import RemoteHost

extension TimelineHistory {
    /// The timelines of `own` behind `timeline` that the upstream does not have, or has as other ones: a standby that finds the history of one
    /// takes it to be the newest, and does not start.
    static func strays(of own: [UInt32: TimelineHistory], behind timeline: UInt32, upstream: [UInt32: TimelineHistory]) -> [UInt32] {
        own.keys.filter { $0 > timeline && own[$0]?.switches != upstream[$0]?.switches }.sorted()
    }
}

extension Instance {
    /// The histories that are in its WAL directory, by their timelines.
    private func histories(behind timeline: UInt32 = 0, deadline: Deadline) async throws -> [UInt32: TimelineHistory] {
        let directory = dataDirectory / features.walDirectory
        let names = try await host.require(.script(StrayTimelines.listing, directory.path).as(user), deadline: deadline).text
        let paths = names.split(whereSeparator: \.isNewline).map(String.init).reduce(into: [UInt32: HostPath]()) { paths, name in
            if let number = TimelineHistory.timeline(ofFile: name), number > timeline { paths[number] = directory / name }
        }
        guard !paths.isEmpty else { return [:] }
        let content = try await host.read(Array(paths.values), as: user, deadline: deadline)
        return paths.compactMapValues { path in content[path].flatMap { TimelineHistory(String(decoding: $0, as: UTF8.self)) } }
    }

    /// Gives the history and the WAL of timelines that neither this stopped server nor `upstream` is on other names (`*.stray`), where there are any.
    ///
    /// A server that loses power in its promotion may have written the history of a timeline and come back on the one before.
    /// - Returns: those timelines.
    public func putStrayTimelinesAside(following upstream: Instance, deadline: Deadline) async throws -> [UInt32] {
        let timeline = try await controlData(deadline: deadline).timeline, own = try await histories(behind: timeline, deadline: deadline)
        guard !own.isEmpty else { return [] }
        let strays = TimelineHistory.strays(of: own, behind: timeline, upstream: try await upstream.histories(behind: timeline, deadline: deadline))
        for stray in strays {
            let directory = dataDirectory / features.walDirectory, name = TimelineHistory.fileName(of: stray)
            try await host.require(.script(StrayTimelines.puttingAside, directory.path, String(name.prefix(8))).as(user), deadline: deadline)
        }
        return strays
    }
}

private enum StrayTimelines {
    static let listing = #"cd "$1" && ls | grep -E '^[0-9A-F]{8}\.history$' || :"#

    // $1 WAL directory, $2 timeline. The history last: while it is there, the rest is found again.
    static let puttingAside = #"""
        cd "$1" || exit 1
        for file in "$2"????????????????; do [ ! -f "$file" ] || mv -f "$file" "$file.stray" || exit 1; done
        mv -f "$2.history" "$2.history.stray"
        """#
}
