import Glibc
public import Report

/// A system call that failed, by its `errno` value.
public struct SystemFailure: Explained, Hashable {
    public let code: Int32

    public init(code: Int32) { self.code = code }

    /// In the system's own words: `Connection refused`.
    public var fact: String { String(cString: strerror(code)) }
    public var hint: String? { nil }
}
