/// Who is who in a playbook: finds two nodes that claim to be one. It also knows nodes of which another value could not be read.
struct Roster {
    private(set) var names: [Located<String>] = []
    private var endpoints: [Endpoint: String] = [:]
    private var directories: [Directory: String] = [:]

    private struct Endpoint: Hashable {
        var address: String
        var port: UInt16
    }

    private struct Directory: Hashable {
        var host: String
        var path: String
    }

    func knows(_ name: String) -> Bool { names.contains { $0.wrappedValue == name } }

    /// Reports `name` where it is none of these.
    func require(_ name: Located<String>, _ section: Section) {
        guard !names.isEmpty, !knows(name.wrappedValue) else { return }
        section.report(
            "\"\(name.wrappedValue)\" is none of cluster.nodes", hint: "cluster.nodes has " + names.map(\.wrappedValue).joined(separator: ", "), at: name.place)
    }

    /// Reports the node that `all` has besides these where it bears a name of theirs.
    func refuseSecond(_ all: Roster, _ section: Section) {
        guard let name = all.names.dropFirst(names.count).first, knows(name.wrappedValue) else { return }
        section.report(
            "\"\(name.wrappedValue)\" is already one of cluster.nodes", hint: "cluster.nodes are the nodes there are; give the new one a name of its own", at: name.place)
    }

    mutating func enter(
        _ section: Section, name: Located<String>, ssh: Located<String>?, address: Located<String>?, port: Located<UInt16>?,
        dataDirectory: Located<String?>?
    ) {
        if let address, let port {
            let endpoint = Endpoint(address: address.wrappedValue.lowercased(), port: port.wrappedValue)
            if let other = endpoints[endpoint] {
                section.report(
                    "\(address.wrappedValue) port \(port.wrappedValue) is already node \"\(other)\"",
                    hint: "every node has an address and port of its own", at: address.place)
            } else {
                endpoints[endpoint] = name.wrappedValue
            }
        }
        if let ssh, let path = dataDirectory?.wrappedValue, let place = dataDirectory?.place {
            let directory = Directory(host: ssh.wrappedValue, path: path)
            if let other = directories[directory] {
                section.report(
                    "\(path) on \(ssh.wrappedValue) is already the data directory of node \"\(other)\"",
                    hint: "every node has a data directory of its own", at: place)
            } else {
                directories[directory] = name.wrappedValue
            }
        }
        names.append(name)
    }
}
