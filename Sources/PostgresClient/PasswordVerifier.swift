internal import CLibPQ

extension PostgresConnection {
    /// What the server keeps of a password: `CREATE ROLE … PASSWORD` takes it in place of the password, which so never leaves this machine.
    ///
    /// - Parameters:
    ///   - role: whose password it is.
    ///   - isSCRAM: whether it is a SCRAM-SHA-256 verifier (from 10); else MD5's.
    /// - Throws: ``PostgresError/cannotSend(node:message:)``.
    public func verifier(of password: Secret, role: String, isSCRAM: Bool = true) throws -> Secret {
        guard let handle else { throw lost }
        let text = password.reveal()
        guard !holdsNul(text), !holdsNul(role) else { throw PostgresError.cannotSend(node: node, message: "a password or role holds a NUL byte, which PostgreSQL does not take") }
        guard let verifier = PQencryptPasswordConn(handle.pointer, text, role, isSCRAM ? "scram-sha-256" : "md5") else {
            throw PostgresError.cannotSend(node: node, message: handle.message)
        }
        defer { PQfreemem(verifier) }
        return Secret(String(cString: verifier))
    }
}
