public import EventLoop

/// Where a host of the playbook is.
public enum HostPlace: Sendable, Hashable {
    case ssh(SSHTarget)
    /// The machine this process runs on.
    case local
}

/// The hosts of one run, connected at once.
public struct HostPool: Sendable {
    /// By their names in the playbook.
    public let hosts: [String: any Host]

    /// Connects to all of them in parallel. Either all are connected, or none.
    /// - Parameter places: by the hosts' names in the playbook.
    /// - Throws: ``HostsNotConnected`` with an error for every host that could not be, `CancellationError`.
    public static func connect(
        _ places: [String: HostPlace], passphrase: PassphrasePrompt? = nil, deadline: Deadline
    ) async throws -> HostPool {
        let passphrases = Passphrases(passphrase)
        var hosts: [String: any Host] = [:]
        var failures: [HostsNotConnected.Failure] = []
        await withTaskGroup(of: (String, Result<any Host, any Error>).self) { group in
            for (name, place) in places {
                group.addTask {
                    do {
                        switch place {
                        case .local: return (name, .success(LocalHost(name: name)))
                        case .ssh(let target):
                            return (name, .success(try await SSHHost.connect(target, name: name, passphrases: passphrases, deadline: deadline)))
                        }
                    } catch {
                        return (name, .failure(error))
                    }
                }
            }
            for await (name, result) in group {
                switch result {
                case .success(let host): hosts[name] = host
                case .failure(let error): failures.append(.init(host: name, error: error))
                }
            }
        }
        let pool = HostPool(hosts: hosts)
        guard failures.isEmpty else {
            await pool.close()
            if Task.isCancelled { throw CancellationError() }
            throw HostsNotConnected(failures: failures.sorted { $0.host < $1.host })
        }
        return pool
    }

    public subscript(name: String) -> (any Host)? { hosts[name] }

    /// Closes all connections; call it before the process exits.
    public func close() async {
        await withTaskGroup(of: Void.self) { group in
            for host in hosts.values { group.addTask { await host.close() } }
        }
    }
}

/// Every host that could not be reached, with its own reason.
public struct HostsNotConnected: Error, Sendable, CustomStringConvertible {
    public struct Failure: Sendable {
        public let host: String
        public let error: any Error
    }
    /// In the order of the hosts' names.
    public let failures: [Failure]

    public var description: String {
        failures.map { failure in
            let text = "\(failure.error)"
            return text.hasPrefix("\(failure.host)") ? text : "\(failure.host): \(text)"
        }.joined(separator: "\n")
    }
}
