import Foundation
public import PgBackRest
import Report

/// Where the key of a bucket comes from. <https://docs.aws.amazon.com/cli/latest/topic/config-vars.html>
public enum S3KeySource: Sendable, Hashable {
    /// A profile of a file in the form of `~/.aws/credentials`, on the operator's machine.
    case file(path: String, profile: String)
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    case environment
    /// The operator is asked.
    case prompt
    /// The hosts have a role: no key.
    case role
    /// The hosts have a token of a web identity: no key.
    case webIdentity

    /// The key, from where it is.
    /// - Parameters:
    ///   - bucket: as errors and the question name it.
    ///   - ask: asks the operator for a secret; `nil` when nobody is there.
    /// - Returns: `nil` where the hosts need none.
    /// - Throws: `Problem` where it is not there.
    public func key(of bucket: String, ask: (_ what: String) -> String?) throws -> S3Key? {
        switch self {
        case .role, .webIdentity: return nil
        case .file(let path, let profile): return try Self.key(inFile: path, profile: profile)
        case .environment:
            let variables = ProcessInfo.processInfo.environment
            func variable(_ name: String) throws -> String {
                guard let value = variables[name], !value.isEmpty else {
                    throw Problem("the environment has no \(name), and the key of bucket \(bucket) is to come from there", hint: "export it, or say credentials: with a file")
                }
                return value
            }
            return S3Key(
                identifier: try variable("AWS_ACCESS_KEY_ID"), secret: try variable("AWS_SECRET_ACCESS_KEY"),
                token: variables["AWS_SESSION_TOKEN"].flatMap { $0.isEmpty ? nil : $0 })
        case .prompt:
            guard let identifier = ask("Access key ID of bucket \(bucket)"), let secret = ask("Secret access key of bucket \(bucket)"), !identifier.isEmpty, !secret.isEmpty
            else {
                throw Problem(
                    "nobody is here to be asked for the key of bucket \(bucket)", hint: "run pggraft in a terminal, or say credentials: environment, or with a file")
            }
            return S3Key(identifier: identifier, secret: secret)
        }
    }

    private static func key(inFile path: String, profile: String) throws -> S3Key {
        let file = path.hasPrefix("~/") ? NSHomeDirectory() + path.dropFirst() : path
        let hint = "write it there as aws configure does, or say credentials: with another file, environment, prompt, role or web-id"
        guard let content = FileManager.default.contents(atPath: file) else {
            throw Problem("\(path) cannot be read, and the bucket's key is to come from there", hint: hint)
        }
        guard let key = key(in: String(decoding: content, as: UTF8.self), profile: profile) else {
            throw Problem("\(path) has no aws_access_key_id and aws_secret_access_key in the profile [\(profile)]", hint: hint)
        }
        return key
    }

    static func key(in text: String, profile: String) -> S3Key? {
        var section = "", values: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline).map(\.trimmed) where !line.hasPrefix("#") && !line.hasPrefix(";") {
            if line.hasPrefix("["), line.hasSuffix("]") {
                section = line.dropFirst().dropLast().split(whereSeparator: \.isWhitespace).joined(separator: " ")
            } else if section == profile || section == "profile \(profile)", let equals = line.firstIndex(of: "=") {
                values[line[..<equals].trimmed] = line[line.index(after: equals)...].trimmed
            }
        }
        guard let identifier = values["aws_access_key_id"], let secret = values["aws_secret_access_key"], !identifier.isEmpty, !secret.isEmpty else { return nil }
        return S3Key(identifier: identifier, secret: secret, token: values["aws_session_token"])
    }
}
