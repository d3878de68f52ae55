import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

extension Seed {
    /// Source, repository and target as pgBackRest is told about them.
    func layout() async throws -> BackRestLayout {
        if let layout = knownLayout { return layout }
        let copy = playbook.copy, user = playbook.cluster.osUser
        let stanza = try stanza()
        let target = try path(playbook.newNode.dataDirectory)
        let source = try await instance(self.source)
        let repository: Repository
        switch copy.repository {
        case .shared(let directory): repository = .sharedDirectory(try path(directory.wrappedValue))
        case .host(let host):
            let place = try path(host.path)
            repository =
                host.address == playbook.source.address
                ? .sourceDirectory(place) : .sshHost(SSHEndpoint(address: host.address, user: host.user), path: place)
        }
        let setting = source.features.settingName("unix_socket_directories") ?? "unix_socket_directories"
        let sockets = try await spock(self.source).server.settings([setting], deadline: .after(.seconds(10)))[setting] ?? ""
        let compression: BackRestCompression =
            switch copy.compression {
            case .lz4: .lz4
            case .zst: .zst
            case .none: .none
            }
        var layout = BackRestLayout(
            stanza: stanza, repository: repository,
            source: BackRestInstance(
                ssh: SSHEndpoint(address: playbook.source.address, user: user), dataDirectory: source.dataDirectory, port: playbook.source.port,
                socketDirectory: sockets.split(separator: ",").first.flatMap { HostPath(String($0.trimmed)) }),
            target: BackRestInstance(
                ssh: SSHEndpoint(address: playbook.newNode.node.address, user: user), dataDirectory: target, port: playbook.newNode.node.port),
            compression: compression)
        for role in layout.roles {
            let configuration = try await configurationFile(for: role, of: layout)
            switch role {
            case .source: layout.source.configuration = configuration
            case .target: layout.target.configuration = configuration
            case .repository: layout.repositoryConfiguration = configuration
            }
        }
        knownLayout = layout
        return layout
    }

    nonisolated func stanza() throws -> StanzaName {
        guard let stanza = StanzaName(playbook.copy.stanza) else { throw Problem("\(playbook.copy.stanza) is no name for a stanza") }
        return stanza
    }

    nonisolated func path(_ text: String) throws -> HostPath {
        try HostPath(checking: text)
    }

    /// The name under which the host of `role` is reached.
    nonisolated func hostName(_ role: BackRestRole) -> String {
        switch role {
        case .source: source
        case .target: newNode
        case .repository: repositoryHost ?? source
        }
    }

    /// The name of the repository's host, where it is neither the source's nor a shared directory.
    nonisolated var repositoryHost: String? {
        guard case .host(let host) = playbook.copy.repository, host.address != playbook.source.address else { return nil }
        return host.ssh
    }

    func host(_ role: BackRestRole) async throws -> any Host { try await access.host(hostName(role)) }

    /// pgBackRest's configuration file on the host of `role`: the system's own where it knows the stanza already, a file
    /// of ours in the OS user's home otherwise, so that nothing of the system's is changed and no root is needed.
    private func configurationFile(for role: BackRestRole, of layout: BackRestLayout) async throws -> HostPath? {
        let user = layout.backRest(for: role).user
        let result = try await host(role).require(
            .script(Self.findConfiguration, user, layout.stanza.name).as(user), deadline: .after(.seconds(20)))
        return result.text == "default" ? nil : try path(result.text)
    }

    private static let findConfiguration = """
        for file in /etc/pgbackrest/pgbackrest.conf /etc/pgbackrest.conf /etc/pgbackrest/conf.d/*.conf; do
          [ -r "$file" ] && grep -q "^\\[$2\\]" "$file" && { echo default; exit 0; }
        done
        home=$(getent passwd "$1" | cut -d: -f6)
        printf '%s/.pgbackrest/%s.conf\\n' "$home" "$2"
        """
}
