import EventLoop
import Instance
import PostgresClient
import RemoteHost
import Report
public import Run

/// The host of the copy may stream from the source.
public struct StreamingIsAllowed: Requirement {
    public let name = "streaming"
    private let standby: Standby
    private let ground: TargetGround

    public init(_ standby: Standby, _ ground: TargetGround) { (self.standby, self.ground) = (standby, ground) }
    public var place: String? { standby.name }

    public func look(_ memory: Memory) async throws -> [Finding] {
        let instance = try await ground.instance(), entry = try standby.access.roster.entry(standby.name)
        let conninfo = try await standby.primaryConninfo().asReceiver
        let role = conninfo["user"] ?? ""
        let answer = try await instance.psql(conninfo, "IDENTIFY_SYSTEM", deadline: .after(.seconds(30)))
        return [
            answer.succeeded
                ? Finding(name, on: standby.name, "may stream from \(standby.source) as \(role)")
                : Finding(
                    name, on: standby.name, "may not stream from \(standby.source): \(answer.errorText)",
                    .notMet(
                        hint:
                            "a line `host replication \(role) \(entry.address)/32 scram-sha-256` in pg_hba.conf of \(standby.source), and the password in ~/.pgpass of \(entry.osUser) on \(standby.name)"
                    ))
        ]
    }
}
