public import EventLoop
import PostgresClient
import PostgresConfig

enum Sessions {
    static func setApplicationName(_ name: String) -> SQL { "SELECT set_config('application_name', \(name), false)" }

    static func applicationName(of pid: Int, _ features: ServerFeatures) -> SQL {
        "SELECT coalesce(a.application_name, '') AS name FROM pg_stat_activity a WHERE \(Activity(features: features).pid) = \(pid)"
    }

    static func terminate(_ pid: Int) -> SQL { "SELECT pg_terminate_backend(\(pid)) AS terminated" }

    static func terminateEarlier(named application: String, _ features: ServerFeatures) -> SQL {
        let pid = Activity(features: features).pid
        return """
            SELECT pg_terminate_backend(\(pid)) AS terminated FROM pg_stat_activity a WHERE a.application_name = \(application) \
            AND a.usename = current_user AND a.datname = current_database() \
            AND a.backend_start < (SELECT a.backend_start FROM pg_stat_activity a WHERE \(pid) = pg_backend_pid())
            """
    }

    static func clients(_ features: ServerFeatures) -> SQL {
        let activity = Activity(features: features)
        return """
            SELECT count(*)::integer AS sessions FROM pg_stat_activity a WHERE \(activity.isClient) AND \(activity.pid) <> pg_backend_pid() \
            AND a.application_name NOT LIKE 'pggraft%'
            """
    }

    static func clientNames(_ features: ServerFeatures) -> SQL {
        let activity = Activity(features: features)
        return """
            SELECT concat_ws(' ', a.usename, nullif(a.application_name, ''), host(a.client_addr)) || CASE WHEN count(*) > 1 THEN ' (' || count(*) || ')' ELSE '' END AS client \
            FROM pg_stat_activity a WHERE \(activity.isClient) AND a.datname = current_database() AND \(activity.pid) <> pg_backend_pid() \
            AND a.application_name NOT LIKE 'pggraft%' GROUP BY a.usename, a.application_name, a.client_addr ORDER BY 1
            """
    }

    static func terminateClients(except roles: [String], _ features: ServerFeatures) -> SQL {
        let activity = Activity(features: features)
        return """
            SELECT pg_terminate_backend(\(activity.pid)) AS terminated FROM pg_stat_activity a \
            WHERE \(activity.isClient) AND a.datname = current_database() AND \(activity.pid) <> pg_backend_pid() AND a.usename <> ALL (\(roles)::text[])
            """
    }
}

extension ServerSession {
    /// What others see of this session in `pg_stat_activity`; the server cuts it at 63 bytes.
    public func setApplicationName(_ name: String, deadline: Deadline) async throws { try await query(Sessions.setApplicationName(name), deadline) }

    /// The `application_name` of a process; `nil` where there is no such process.
    public func applicationName(of pid: Int, deadline: Deadline) async throws -> String? {
        try await look(Sessions.applicationName(of: pid, features), deadline).first?.get("name")
    }

    /// Whether the server still answers this session.
    public func isAlive(deadline: Deadline) async -> Bool {
        do {
            try await look("SELECT 1", deadline)
            return true
        } catch {
            return false
        }
    }

    /// Ends a process; one that is not there is no error.
    /// - Returns: whether there was such a process.
    @discardableResult
    public func terminate(_ pid: Int, deadline: Deadline) async throws -> Bool {
        try await query(Sessions.terminate(pid), deadline).one().get("terminated")
    }

    /// Ends the sessions of this role in this database that are called `application` and are older than this one, and waits until they are gone: what they
    /// were doing may still have come to its end.
    public func terminateEarlierSessions(named application: String, deadline: Deadline) async throws {
        try await wait(for: "earlier sessions of \(application) on \(name) to end", until: deadline, every: .milliseconds(20)) {
            let rows = try await query(Sessions.terminateEarlier(named: application, features), deadline.forLook)
            return rows.isEmpty ? .found(()) : .notYet("\(rows.count) are there")
        }
    }

    /// How many sessions clients have, our own left out.
    public func clientSessions(deadline: Deadline) async throws -> Int { try await look(Sessions.clients(features), deadline).one().get("sessions") }

    /// Who is connected to this database, as `role application address`, each once with their number; our own left out.
    public func clientNames(deadline: Deadline) async throws -> [String] { try await look(Sessions.clientNames(features), deadline).map { try $0.get("client") } }

    /// Ends the sessions of clients in this database, but for those of `roles`.
    public func terminateClients(except roles: [String], deadline: Deadline) async throws {
        try await query(Sessions.terminateClients(except: roles, features), deadline)
    }
}
