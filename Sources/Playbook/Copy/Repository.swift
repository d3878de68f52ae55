import Report

extension Playbook {
    /// A machine of its own that keeps the repository.
    public struct RepositoryHost: Sendable {
        /// What `ssh` would be given.
        @Located public var ssh: String
        /// How the database hosts reach it: a host name or an IP address; `nil` to go by what the source's pgBackRest has.
        @Located public var address: String?
        /// Absolute; the repository's directory. `nil` to go by what the source's pgBackRest has.
        @Located public var path: String?
        /// The OS user that owns the repository.
        @Located public var user: String

        init?(_ section: Section, osUser: Located<String>?) {
            let ssh = section.required("host", .ssh, example: "repo")
            let address = section.optional("address", .address)
            let path = section.optional("path", .path)
            let user = section.optional("user", .osUser)
            guard let ssh, let address, let path, let user,
                let owner = user.wrappedValue.map({ Located($0, at: user.place) }) ?? osUser
            else { return nil }
            (_ssh, _address, _path, _user) = (ssh, address, path, owner)
        }
    }

    /// A bucket of S3, or of what speaks like it. <https://pgbackrest.org/configuration.html#section-repository>
    public struct S3Repository: Sendable {
        @Located public var bucket: String
        /// `s3.eu-central-1.amazonaws.com`
        @Located public var endpoint: String
        @Located public var region: String
        /// Of the repository in the bucket.
        @Located public var path: String
        @Located public var port: UInt16
        @Located public var uriStyle: URIStyle
        /// On the hosts; `nil` for what they trust anyway.
        @Located public var caFile: String?
        /// Whether the store has to show a certificate that is trusted.
        @Located public var verifies: Bool
        @Located public var credentials: S3Credentials
        /// Of the credentials' file.
        @Located public var profile: String

        public enum URIStyle: String, Sendable, Hashable { case host, path }

        init?(_ section: Section) {
            let bucket = section.required("bucket", .bucket, example: "backups")
            let endpoint = section.required("endpoint", .endpoint, example: "s3.eu-central-1.amazonaws.com")
            let region = section.required("region", .word("a region"), example: "eu-central-1")
            let path = section.optional("path", .path, default: "/pgbackrest")
            let port = section.optional("port", .port, default: 443)
            let uriStyle = section.optional("uri_style", .choice([("host", .host), ("path", .path)]), default: URIStyle.host)
            let caFile = section.optional("ca_file", .path)
            let verifies = section.optional("verify", .choice([("yes", true), ("no", false)]), default: true)
            let credentials = section.optional("credentials", .s3Credentials, default: .file("~/.aws/credentials"))
            let profile = section.optional("profile", .word("the name of a profile"))
            if let credentials, let profile, profile.wrappedValue != nil {
                if case .file = credentials.wrappedValue {
                } else {
                    section.report("a profile is one of a file", hint: "take `profile` out, or name the file: `credentials: ~/.aws/credentials`", at: profile.place)
                    return nil
                }
            }
            guard let bucket, let endpoint, let region, let path, let port, let uriStyle, let caFile, let verifies, let credentials, let profile else { return nil }
            (_bucket, _endpoint, _region, _path, _port) = (bucket, endpoint, region, path, port)
            (_uriStyle, _caFile, _verifies, _credentials) = (uriStyle, caFile, verifies, credentials)
            _profile = Located(profile.wrappedValue ?? "default", at: profile.place)
        }
    }

    /// Where the key of a bucket comes from. A playbook holds none.
    public enum S3Credentials: Sendable, Hashable {
        /// A file of the operator's machine in the form of `~/.aws/credentials`.
        case file(String)
        /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if there is one, `AWS_SESSION_TOKEN`.
        case environment
        /// The operator is asked.
        case prompt
        /// The hosts have a role of their own, and no key: `repo-s3-key-type=auto`.
        case role
        /// The hosts have a token of their own: `repo-s3-key-type=web-id`.
        case webIdentity
    }

    /// A repository on a host that pgBackRest reaches by TLS: its server runs there and on the source.
    /// <https://pgbackrest.org/user-guide.html#repo-host/config>
    public struct TLSRepository: Sendable {
        /// The host, as one that is reached by SSH: for pggraft itself.
        public let host: RepositoryHost
        /// Of pgBackRest's servers.
        @Located public var port: UInt16
        /// On every host: the authority that both sides trust.
        @Located public var caFile: String
        /// On every host: its certificate.
        @Located public var certFile: String
        /// On every host: the certificate's key.
        @Located public var keyFile: String

        init?(_ section: Section, osUser: Located<String>?) {
            let host = RepositoryHost(section, osUser: osUser)
            let address = section.required("address", .address, example: "10.77.0.20")
            let port = section.optional("port", .port, default: 8432)
            let caFile = section.required("ca_file", .path, example: "/etc/pgbackrest/cert/ca.crt")
            let certFile = section.required("cert_file", .path, example: "/etc/pgbackrest/cert/client.crt")
            let keyFile = section.required("key_file", .path, example: "/etc/pgbackrest/cert/client.key")
            guard let host, address != nil, let port, let caFile, let certFile, let keyFile else { return nil }
            self.host = host
            (_port, _caFile, _certFile, _keyFile) = (port, caFile, certFile, keyFile)
        }
    }
}

extension Scalar<Playbook.BackRestCopy.Repository> {
    static let existing = Scalar("existing, or the keys of a repository below it") { text in
        if text == "existing" { return .value(.existing) }
        return .malformed(hint: Spelling.nearest(to: text, among: ["existing"]).map { "did you mean \"\($0)\"?" })
    }
}

extension Playbook.BackRestCopy.Repository {
    private static let kinds = ["host", "shared", "s3", "tls"]

    /// One of the kinds; the user of a repository host is `osUser` unless it says otherwise.
    init?(_ section: Section, osUser: Located<String>?) {
        let given = Self.kinds.compactMap { kind in section.given(kind).map { (kind, $0) } }
        let ofHost = ["address", "path", "user"].map { ($0, section.given($0)) }
        guard let (kind, _) = given.first else {
            section.report(
                "none of \"host\", \"shared\", \"s3\" and \"tls\" is given",
                hint: "add `host: repo` with its `address`, `shared: /mnt/backup`, or a section `s3:` or `tls:`; or write `repository: existing`", at: section.place)
            return nil
        }
        guard given.count == 1 else {
            section.report("a repository is in one place, and \"\(given[0].0)\" is given already", hint: "keep one of `\(given[0].0)` and `\(given[1].0)`", at: given[1].1)
            return nil
        }
        if kind != "host" {
            for case (let key, let place?) in ofHost {
                section.report(
                    "\"\(key)\" is for a repository on a host",
                    hint: kind == "shared" ? "take it out: `shared` is the repository's directory" : "write it below `\(kind)`, indented, if it is the repository's", at: place)
            }
        }
        switch kind {
        case "shared":
            guard let directory = section.required("shared", .path, example: "/mnt/backup") else { return nil }
            self = .shared(directory)
        case "s3":
            guard let store = section.required("s3", { Playbook.S3Repository($0) }) else { return nil }
            self = .s3(store)
        case "tls":
            guard let host = section.required("tls", { Playbook.TLSRepository($0, osUser: osUser) }) else { return nil }
            self = .tls(host)
        default:
            guard let host = Playbook.RepositoryHost(section, osUser: osUser) else { return nil }
            self = .host(host)
        }
    }
}
