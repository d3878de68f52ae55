public import EventLoop
public import RemoteHost

extension BackRest {
    /// pgBackRest's configuration file on a host: `nil` for the system's own where it knows the stanza already, else a file in the
    /// OS user's home, so that nothing of the system's is changed and no root is needed.
    public func findConfiguration(on host: any Host, deadline: Deadline) async throws -> HostPath? {
        let text = try await host.require(.script(Self.findingConfiguration, user, stanza.name).as(user), deadline: deadline).text
        guard text != "default" else { return nil }
        guard let path = HostPath(text) else { throw BackRestError.unreadable(host: host.name, command: "getent passwd \(user)", why: "'\(text)' is no path") }
        return path
    }

    static let findingConfiguration = """
        for file in /etc/pgbackrest/pgbackrest.conf /etc/pgbackrest.conf /etc/pgbackrest/conf.d/*.conf; do
          [ -r "$file" ] && grep -q "^\\[$2\\]" "$file" && { echo default; exit 0; }
        done
        home=$(getent passwd "$1" | cut -d: -f6)
        printf '%s/.pgbackrest/%s.conf\\n' "$home" "$2"
        """
}
