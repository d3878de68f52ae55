import Bed

/// Everything on the hosts that a look must not change: catalogs, settings, slots, origins, roles of every server, and that no
/// file was written anywhere since it was taken.
struct Fingerprint: Sendable {
    static let hosts = Bed.meshNodes + ["n4", "repo"]
    private let servers: [String: String]
    private let bed: Bed

    init(_ bed: Bed) async throws {
        self.bed = bed
        servers = try await Self.servers(bed)
        // The next change must be newer than this by what the file system can tell apart.
        _ = try await Bed.execute(["sh", "-c", "touch \(Self.mark); until touch \(Self.mark).next; [ \(Self.mark).next -nt \(Self.mark) ]; do :; done"])
    }

    /// What is different now, a line each; none where nothing is.
    func changes() async throws -> [String] {
        var changes: [String] = []
        for (node, now) in try await Self.servers(bed) where now != servers[node] {
            let before = Set((servers[node] ?? "").split(separator: "\n"))
            changes.append("\(node): \(now.split(separator: "\n").filter { !before.contains($0) }.joined(separator: "; "))")
        }
        for host in Self.hosts {
            let found = try await Bed.execute(["sh", "-c", Self.changedFiles, "sh", "/run/pggraft-bed/disk/\(host)"])
            guard found.status == 0 else { throw BedError.commandFailed("find on \(host)", status: found.status, output: found.standardError) }
            let files = found.standardOutput
            if !files.isEmpty { changes.append("\(host): \(files.split(separator: "\n").joined(separator: " "))") }
        }
        return changes
    }

    /// On the host's own disk: files by the time of the last change of the inode, which a change of owner or mode moves as
    /// well; directories, which tell what came and went, by that of their content, because overlayfs touches the inode when
    /// it reads one. Left out is what servers, sshd and sudo write by themselves.
    private static let changedFiles = """
        cd "$1" && find upper/etc upper/root upper/home upper/usr upper/opt upper/srv upper/mnt upper/var tmp \\
          \\( -path '*/main/base' -o -path '*/main/pg_*' -o -path '*/main/global' -o -path upper/var/log -o -path upper/var/lib/sudo \\) -prune \\
          -o ! -path tmp ! -name postmaster.pid \\( -type d -newer \(mark) -o ! -type d -cnewer \(mark) \\) -print 2>&1 | grep -v 'No such file' || true
        """
    private static let mark = "/run/pggraft-bed/looked"

    private static func servers(_ bed: Bed) async throws -> [String: String] {
        var texts: [String: String] = [:]
        for node in Bed.meshNodes {
            let answer = try await bed.host(node).execute(
                asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -d app",
                input: """
                    SELECT 'role', oid, rolname, rolconfig, rolcanlogin, rolsuper FROM pg_roles ORDER BY 2;
                    SELECT 'class', oid, relname, relfilenode FROM pg_class ORDER BY 2;
                    SELECT 'namespace', oid, nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%temp%' ORDER BY 2;
                    SELECT 'database', datname, datacl FROM pg_database ORDER BY 2;
                    SELECT 'slot', slot_name, plugin FROM pg_replication_slots ORDER BY 2;
                    SELECT 'origin', roident, roname FROM pg_replication_origin ORDER BY 2;
                    SELECT 'setting', name, setting, applied FROM pg_file_settings ORDER BY sourcefile, sourceline;
                    SELECT 'rule', line_number, database, user_name, address, auth_method FROM pg_hba_file_rules ORDER BY 2;
                    SELECT 'node', * FROM spock.node ORDER BY 2;
                    SELECT 'subscription', sub_id, sub_name, sub_enabled FROM spock.subscription ORDER BY 2;
                    SELECT 'set', * FROM spock.replication_set ORDER BY 2;
                    SELECT 'exceptions', count(*) FROM spock.exception_log;
                    SELECT 'prepared', gid FROM pg_prepared_xacts ORDER BY 2;
                    SELECT 'rows', count(*) FROM app.ledger;
                    """)
            texts[node] = answer.status == 0 ? answer.standardOutput : "down"
        }
        return texts
    }
}
