extension Playbook {
    /// An instance under its name in the cluster, and how to reach it.
    public struct Node: Sendable {
        @Located public var name: String
        /// What `ssh` would be given: a `Host` of ~/.ssh/config, or `[user@]host[:port]`.
        @Located public var ssh: String
        /// How the other nodes reach its PostgreSQL: a host name or an IP address.
        @Located public var address: String
        @Located public var port: UInt16
        /// Absolute; `nil` when the running server is to say it.
        @Located public var dataDirectory: String?
        /// Where `pg_ctl` is: absolute; `nil` when it is to be found.
        @Located public var binDirectory: String?
        /// `nil` when it is to be found.
        @Located public var service: ServiceManager?

        /// - Parameter portExample: of a node that has no usual port, and has to say it.
        init?(_ name: Located<String>?, _ section: Section, _ roster: inout Roster, needsDataDirectory: Bool = false, portExample: String? = nil) {
            let ssh = Node.ssh(section, name: name)
            let address = section.required("address", .address, example: "10.77.0.11")
            let port = if let portExample { section.required("port", .port, example: portExample) } else { section.optional("port", .port, default: 5432) }
            let dataDirectory =
                needsDataDirectory
                ? section.required("data_directory", .path, example: "/var/lib/postgresql/15/main").map { Located(Optional($0.wrappedValue), at: $0.place) }
                : section.optional("data_directory", .path)
            let binDirectory = section.optional("bin_directory", .path)
            let service = section.optional("service", .service)
            if let name {
                roster.enter(section, name: name, ssh: ssh, address: address, port: port, dataDirectory: dataDirectory)
            }
            guard let name, let ssh, let address, let port, let dataDirectory, let binDirectory, let service else { return nil }
            (_name, _ssh, _address, _port) = (name, ssh, address, port)
            (_dataDirectory, _binDirectory, _service) = (dataDirectory, binDirectory, service)
        }

        /// The node's own name, unless `ssh` says otherwise.
        private static func ssh(_ section: Section, name: Located<String>?) -> Located<String>? {
            guard let given = section.optional("ssh", .ssh) else { return nil }
            if let destination = given.wrappedValue { return Located(destination, at: given.place) }
            guard let name else { return nil }
            guard case .value(let destination) = Scalar.ssh.reading(of: name.wrappedValue) else {
                section.report(
                    "\"\(name.wrappedValue)\" cannot be the name of an SSH host", hint: "say how to reach it: `ssh: user@host`",
                    at: given.place)
                return nil
            }
            return Located(destination, at: name.place)
        }
    }

    /// What starts and stops an instance.
    public enum ServiceManager: Sendable, Hashable, CustomStringConvertible {
        case pgCtl
        /// Debian's wrapper.
        case pgCtlCluster
        case systemd(unit: String)

        /// As a playbook writes it.
        public var description: String {
            switch self {
            case .pgCtl: "pg_ctl"
            case .pgCtlCluster: "pg_ctlcluster"
            case .systemd(let unit): "systemd:\(unit)"
            }
        }
    }
}
