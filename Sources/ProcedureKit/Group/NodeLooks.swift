public import EventLoop
public import Instance
import PostgresClient
import RemoteHost
public import Report

/// What a look at a node found, whatever its server was asked.
public enum NodeState<Answer: Sendable>: Sendable {
    case serving(Answer)
    /// No process of a server is there.
    case down(ControlData)
    /// Processes of a server are there, and it lets nobody in.
    case deaf([DataDirectoryProcess], Problem)
    /// The host gives no answer, or there is no data directory to be found on it.
    case unreachable(Problem)

    /// What the server said; `nil` where none could be asked.
    public var answer: Answer? { if case .serving(let answer) = self { answer } else { nil } }
}

/// Looks at nodes: the server of each is asked, and where that gives no answer its host.
///
/// One that is silent is waited for once, and not for long after that: those that are there may have clients that wait.
public struct NodeLooks: Sendable {
    private let access: ClusterAccess
    private let silent = SilentNodes()

    public init(_ access: ClusterAccess) { self.access = access }

    /// Whether one that was looked at gave no answer: it is not waited for as long again.
    public func gaveNoAnswer(_ name: String) -> Bool { silent.contains(name) }

    /// One that has answered somebody else meanwhile.
    public func answered(_ name: String) { silent.remove(name) }

    /// What `name` is at this moment.
    /// - Parameter ask: what its server is asked.
    /// - Throws: `CancellationError`.
    public func state<Answer: Sendable>(of name: String, deadline: Deadline, _ ask: (Deadline) async throws -> Answer) async throws -> NodeState<Answer> {
        let wasSilent = silent.contains(name), first = Deadline.after(wasSilent ? .seconds(2) : .seconds(15)).orAfter(deadline.remaining)
        var refusal: any Error
        do {
            return .serving(heard(name, try await ask(first)))
        } catch let error where !(error is CancellationError) {
            refusal = error
        }
        await access.forgetServer(name)
        // The connection may have been that of a server that was restarted since, or of a host that was.
        if !first.hasPassed {
            do {
                return .serving(heard(name, try await ask(deadline)))
            } catch let error where !(error is CancellationError) {
                refusal = error
            }
        }
        // A server that is deaf may have a host that is not: that is waited for a little, whatever is left.
        let last = Deadline.after(min(wasSilent ? .seconds(2) : .seconds(5), max(.seconds(2), deadline.remaining)))
        do {
            let instance = try await access.instance(name, deadline: last), processes = try await instance.processes(deadline: last)
            guard processes.isEmpty else { return .deaf(processes, Problem(explaining: refusal)) }
            return .down(try await instance.controlData(deadline: last))
        } catch let error where !(error is CancellationError) {
            silent.add(name)
            return .unreachable(Problem(explaining: (error as? PostgresError) == nil ? error : refusal))
        }
    }

    private func heard<Answer: Sendable>(_ name: String, _ answer: Answer) -> Answer {
        silent.remove(name)
        return answer
    }
}
