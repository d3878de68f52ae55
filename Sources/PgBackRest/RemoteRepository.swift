public import PostgresClient
public import RemoteHost

/// A bucket of S3, or of a store that speaks like it. <https://pgbackrest.org/configuration.html#section-repository>
public struct S3Store: Sendable, Hashable {
    public var bucket: String
    public var endpoint: String
    public var region: String
    public var port: UInt16
    /// Whether requests name the bucket in their path, and not in the name of the host.
    public var namesBucketInPath: Bool
    /// On the hosts; `nil` for the authorities that they trust anyway.
    public var caFile: HostPath?
    /// Whether the store has to show a certificate that is trusted.
    public var verifies: Bool
    /// How the hosts prove who they are.
    public var keyType: KeyType

    /// `repo-s3-key-type`.
    public enum KeyType: String, Sendable, Hashable {
        /// By a key, which their configuration has.
        case shared
        /// By their own role.
        case auto
        /// By the token of a web identity.
        case webIdentity = "web-id"
    }

    public init(
        bucket: String, endpoint: String, region: String, port: UInt16 = 443, namesBucketInPath: Bool = false, caFile: HostPath? = nil, verifies: Bool = true,
        keyType: KeyType = .shared
    ) {
        (self.bucket, self.endpoint, self.region, self.port) = (bucket, endpoint, region, port)
        (self.namesBucketInPath, self.caFile, self.verifies, self.keyType) = (namesBucketInPath, caFile, verifies, keyType)
    }

    var options: [BackRestOption] {
        var options = [
            BackRestOption("repo1-type", "s3"), BackRestOption("repo1-s3-bucket", bucket), BackRestOption("repo1-s3-endpoint", endpoint),
            BackRestOption("repo1-s3-region", region),
        ]
        if port != 443 { options.append(BackRestOption("repo1-storage-port", "\(port)")) }
        if namesBucketInPath { options.append(BackRestOption("repo1-s3-uri-style", "path")) }
        if let caFile { options.append(BackRestOption("repo1-storage-ca-file", caFile.path)) }
        if !verifies { options.append(BackRestOption("repo1-storage-verify-tls", "n")) }
        if keyType != .shared { options.append(BackRestOption("repo1-s3-key-type", keyType.rawValue)) }
        return options
    }
}

/// The key of a bucket.
public struct S3Key: Sendable, Hashable {
    public let identifier: Secret
    public let secret: Secret
    /// Of temporary credentials.
    public let token: Secret?

    public init(identifier: String, secret: String, token: String? = nil) {
        (self.identifier, self.secret, self.token) = (Secret(identifier), Secret(secret), token.map { Secret($0) })
    }

    /// The key that a configuration has for `stanza`; `nil` where it has none.
    public init?(in file: IniFile, of stanza: StanzaName) {
        let configuration = BackRestConfiguration(file)
        func value(_ name: String) -> String? { configuration.value("repo1-s3-\(name)", stanza: stanza) }
        guard let identifier = value("key"), let secret = value("key-secret") else { return nil }
        self.init(identifier: identifier, secret: secret, token: value("token"))
    }

    var options: [BackRestOption] {
        [BackRestOption("repo1-s3-key", identifier.reveal()), BackRestOption("repo1-s3-key-secret", secret.reveal())]
            + (token.map { [BackRestOption("repo1-s3-token", $0.reveal())] } ?? [])
    }
}

/// How pgBackRest's own servers are reached, and how who asks proves who he is. The files are on every host.
/// <https://pgbackrest.org/configuration.html#section-server>
public struct TLSAccess: Sendable, Hashable {
    public var port: UInt16
    public var caFile: HostPath
    public var certFile: HostPath
    public var keyFile: HostPath

    public init(port: UInt16 = 8432, caFile: HostPath, certFile: HostPath, keyFile: HostPath) {
        (self.port, self.caFile, self.certFile, self.keyFile) = (port, caFile, certFile, keyFile)
    }

    /// - Parameter key: `repo1-host` or `pg1-host`.
    func options(_ key: String, at address: String, configuration: HostPath?) -> [BackRestOption] {
        [
            BackRestOption(key, address), BackRestOption("\(key)-type", "tls"), BackRestOption("\(key)-port", "\(port)"),
            BackRestOption("\(key)-ca-file", caFile.path), BackRestOption("\(key)-cert-file", certFile.path), BackRestOption("\(key)-key-file", keyFile.path),
        ] + (configuration.map { [BackRestOption("\(key)-config", $0.path)] } ?? [])
    }
}

/// Why a repository cannot be looked into, as pgBackRest says it, with what to do about it.
public struct RepositoryRefusal: Sendable, Hashable {
    public let message: String
    public let hint: String

    /// - Parameter text: of `info`'s status, or of an error.
    init(_ text: String) {
        let first = text.split(separator: "\n").first.map(String.init) ?? text
        let code = text.firstRange(of: "<Code>").map { text[$0.upperBound...].prefix { $0 != "<" } }
        message = first + (code.map { " \($0)" } ?? "")
        let said = text
        func says(_ words: String...) -> Bool { words.contains { said.contains($0) } }
        hint =
            if says("NoSuchBucket") {
                "make the bucket, which pgBackRest does not, or correct its name, the endpoint or uri_style."
            } else if says("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "with 403", "ExpiredToken", "InvalidToken") {
                "correct the key (credentials, profile), or let it list, read, write and delete in the bucket."
            } else if says("169.254.169.254") {
                "give the host a role that may use the bucket, or say where a key is: credentials."
            } else if says("unable to verify certificate") {
                "name the authority that signed the certificate: ca_file."
            } else if says("unable to find hostname") {
                "the certificate of that host must name it as the playbook does; pgBackRest looks for an address among the names (DNS), too."
            } else if says("CA certificate location") {
                "ca_file is not there, or pgBackRest's OS user may not read it."
            } else if says("unable to load cert file", "unable to load key file", "has group or other permissions") {
                "cert_file and key_file are the host's own, and the key is readable by pgBackRest's OS user alone (0600)."
            } else if says("TLS error"), says(" alert ") {
                "the host that was asked does not accept this host's certificate (cert_file): have it signed by the authority that tls-server-ca-file names there."
            } else if says("tls protocol"), says("access denied") {
                "let the certificate's name in, on the host that was asked: tls-server-auth=NAME=STANZA; then reload pgbackrest server there."
            } else if says("unable to get address") {
                "correct the name, or let the host resolve it."
            } else if says("unable to connect") {
                "is it running there, on this port, and does no firewall stand between?"
            } else {
                "check path and owner of the repository, and the way to it from this host."
            }
    }
}
