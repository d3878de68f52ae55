/// Whoever reads a `pg_hba.conf`: which words and options it knows depends on the server's version and on how it was built.
///
/// ```swift
/// let server = HBAServer(.postgres(16))   // as Debian and the PGDG build it, with ssl = on
/// ```
public struct HBAServer: Sendable, Hashable {
    /// What a server was built with, as far as `pg_hba.conf` shows it.
    public struct Build: OptionSet, Sendable, Hashable {
        public let rawValue: Int

        public init(rawValue: Int) { self.rawValue = rawValue }

        public static let ssl = Build(rawValue: 1 << 0)
        public static let gss = Build(rawValue: 1 << 1)
        public static let sspi = Build(rawValue: 1 << 2)
        public static let pam = Build(rawValue: 1 << 3)
        public static let bsd = Build(rawValue: 1 << 4)
        /// With OpenLDAP, whose URLs it can read.
        public static let ldap = Build(rawValue: 1 << 5)

        /// Debian's and the PGDG's packages.
        public static let packaged: Build = [.ssl, .gss, .pam, .ldap]
        /// `./configure` without arguments.
        public static let plain: Build = []
    }

    public var version: MajorVersion
    public var build: Build
    /// The setting `ssl`. Where it is off, `hostssl` lines are read and never match.
    public var sslIsOn: Bool
    /// The setting `oauth_validator_libraries` (from 18).
    public var oauthValidators: [String]

    public init(_ version: MajorVersion, build: Build = .packaged, sslIsOn: Bool = true, oauthValidators: [String] = []) {
        (self.version, self.build, self.sslIsOn, self.oauthValidators) = (version, build, sslIsOn, oauthValidators)
    }

    // MARK: What differs between versions

    /// A backslash at the end of a line continues it (from 14).
    var continuesLines: Bool { version >= .postgres(14) }
    /// `/regex` for databases and users, `include`, `include_if_exists`, `include_dir` (from 16).
    var knowsRegexAndIncludes: Bool { version >= .postgres(16) }
    /// Bytes of a word from which on it is too long; `nil` for no limit (from 16).
    var tokenLimit: Int? { version >= .postgres(16) ? nil : 10_240 }
    /// How deep files may refer to files (from 16; before, until the server has no more files to open).
    var nestingLimit: Int { knowsRegexAndIncludes ? 10 : 64 }
    var knowsGSSEncryption: Bool { version >= .postgres(12) }
}
