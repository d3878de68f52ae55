import Report

/// Why a connection could not be made, and what the operator can do about it. Pure: libpq's answers in, an error out.
struct ConnectFailure {
    /// Where libpq had the password from that it sent.
    enum PasswordSource: Equatable {
        case connectionString, environment, service, file
    }

    /// The state of the password file libpq looked into.
    enum Passfile: Equatable {
        case missing, readable, other(mode: UInt32)
    }

    /// libpq's message with verbose errors, so that it holds SQLSTATE.
    var text: String
    var host: String
    var port: String
    var database: String
    var user: String
    /// The server asked for a password, and there was none.
    var lacksPassword = false
    var source: PasswordSource?
    var passfile = "~/.pgpass"
    var passfileState = Passfile.missing

    func error(node: String) -> PostgresError {
        let code = lacksPassword ? "28P01" : self.code
        return .cannotConnect(node: node, message: message, code: code, hint: hint(code))
    }

    /// SQLSTATE of the last attempt: libpq writes `FATAL:  28P01: password authentication failed …`.
    var code: String? { text.matches(of: #/:  ([0-9A-Z]{5}): /#).last.map { String($0.1) } }

    /// libpq's message without its code and its place in the server's source.
    private var message: String {
        text.trimmed.split(separator: "\n").filter { !$0.hasPrefix("LOCATION:") }
            .map { $0.replacing(#/:  ([0-9A-Z]{5}): /#, with: ": ") }.joined(separator: "\n")
    }

    /// The line that `.pgpass` needs for exactly this connection. <https://www.postgresql.org/docs/current/libpq-pgpass.html>
    var passfileLine: String {
        ([host, port, database, user].map { field in
            field.unicodeScalars.map { $0 == ":" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined()
        } + ["PASSWORD"]).joined(separator: ":")
    }

    private func hint(_ code: String?) -> String? {
        switch code {
        case "28P01": passwordHint
        case "28000":
            text.contains("pg_hba.conf")
                ? "allow database \(database), user \(user) and this machine's address in the server's pg_hba.conf, and reload it"
                : "see the method that the server's pg_hba.conf names for user \(user); for a password, \(addLine)"
        case "3D000": "name an existing database with dbname=…"
        case "57P03": "the server is starting, stopping or in recovery: wait, and look into its log if that lasts"
        case "53300": "end unused sessions, or raise max_connections on the server"
        default: nil
        }
    }

    private var addLine: String { "put the line \(passfileLine) into \(passfile) (mode 0600)" }

    private var passwordHint: String {
        let used: String? =
            switch source {
            case .connectionString: "the connection string's password was sent, and wins over \(passfile)"
            case .environment: "PGPASSWORD was sent, and wins over \(passfile)"
            case .service: "the service file's password was sent, and wins over \(passfile)"
            case .file: "the password was read from \(passfile): correct its line \(passfileLine)"
            case nil: nil
            }
        if source == .file, let used { return used }
        if let used { return "\(used); correct it, or remove it and \(addLine)" }
        switch passfileState {
        case .missing: return "\(addLine); the file does not exist yet"
        case .readable: return "\(addLine); no line there is for this connection"
        case .other(let mode):
            let octal = String(mode, radix: 8)
            return "\(passfile) is ignored because its mode is 0\(octal): chmod 0600 it, and let it hold the line \(passfileLine)"
        }
    }
}
