internal import CLibSSH2
internal import EventLoop
import Glibc

/// The key exchange and the keys offered.
extension SSHSession {
    /// The key exchange. `hostKeyTypes` says which host keys we would like to see, the best first.
    /// - Returns: the host key's blob and its SHA-256 hash.
    func greet(hostKeyTypes: [String], deadline: Deadline) async throws -> (key: [UInt8], hash: [UInt8]) {
        try await interruptible(until: deadline) {
            guard let handle = engine.handle else { throw HostError.closed(host: host) }
            register()
            libssh2_session_method_pref(handle, Int32(LIBSSH2_METHOD_HOSTKEY), hostKeyTypes.joined(separator: ","))
            let socket = engine.socket.raw
            let result = try await drive("the SSH greeting of \(host)", until: deadline) {
                defer { watchForWritable() }
                return Int(libssh2_session_handshake(handle, socket))
            }
            guard result == 0 else {
                let failure = engine.failure(result)
                let negotiation = [
                    LIBSSH2_ERROR_KEX_FAILURE, LIBSSH2_ERROR_METHOD_NONE, LIBSSH2_ERROR_METHOD_NOT_SUPPORTED,
                    LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE, LIBSSH2_ERROR_HOSTKEY_INIT,
                ]
                if negotiation.contains(failure.code) {
                    throw HostError.noCommonAlgorithm(host: host, detail: failure.message)
                }
                throw HostError.connectionLost(host: host, detail: failure.message, during: "the SSH greeting")
            }
            var length = 0
            var type: Int32 = 0
            guard let key = libssh2_session_hostkey(handle, &length, &type),
                let hash = libssh2_hostkey_hash(handle, Int32(LIBSSH2_HOSTKEY_HASH_SHA256))
            else { throw HostError.noCommonAlgorithm(host: host, detail: "the server showed no host key") }
            return (Array(UnsafeRawBufferPointer(start: key, count: length)), Array(UnsafeRawBufferPointer(start: hash, count: 32)))
        }
    }

    // MARK: Authentication

    /// What the server would let `user` in with; `nil` when it already has, without asking for anything.
    func authenticationMethods(user: String, deadline: Deadline) async throws -> [String]? {
        try await interruptible(until: deadline) {
            guard let handle = engine.handle else { throw HostError.closed(host: host) }
            var methods = ""
            let result = try await drive("the authentication methods of \(host)", until: deadline) {
                defer { watchForWritable() }
                if let list = libssh2_userauth_list(handle, user, UInt32(user.utf8.count)) {
                    methods = String(cString: list)
                    return 0
                }
                return libssh2_userauth_authenticated(handle) == 1 ? 1 : Int(libssh2_session_last_errno(handle))
            }
            return result == 1 ? nil : methods.split(separator: ",").map(String.init)
        }
    }

    enum KeyAnswer: Sendable {
        case loggedIn
        /// The server would take the key; nothing was signed.
        case acceptable
        case refused
        case signatureRefused
        case disconnected(String)
    }

    /// Offers the public key `blob`; when the server takes it, `sign` is asked to sign for it.
    /// - Parameter sign: `nil` only asks the server whether it would take the key.
    func offer(
        _ blob: [UInt8], user: String, deadline: Deadline, sign: (@Sendable ([UInt8]) async throws -> [UInt8])?
    ) async throws -> KeyAnswer {
        try await interruptible(until: deadline) {
            engine.signature = .idle
            while true {
                try requireTime("the login at \(host)", deadline)
                guard let handle = engine.handle else { throw HostError.closed(host: host) }
                let result = libssh2_userauth_publickey(
                    handle, user, blob, blob.count,
                    { _, signature, length, data, count, owner in
                        signForAgent(signature, length, data, count, owner)
                    }, libssh2_session_abstract(handle))
                watchForWritable()
                if result == 0 { return .loggedIn }
                if result == LIBSSH2_ERROR_EAGAIN {
                    guard case .asked(let data) = engine.signature else {
                        if let end = engine.endOfInput { return .disconnected(engine.farewell ?? end) }
                        await park()
                        continue
                    }
                    guard let sign else {
                        engine.signature = .declined
                        continue
                    }
                    do {
                        engine.signature = .answered(try await sign(data))
                    } catch {
                        // libssh2 must come out of its half-done call before the next key.
                        engine.signature = .declined
                        _ = libssh2_userauth_publickey(
                            handle, user, blob, blob.count,
                            { _, signature, length, data, count, owner in
                                signForAgent(signature, length, data, count, owner)
                            }, libssh2_session_abstract(handle))
                        throw error
                    }
                    continue
                }
                if case .declined = engine.signature { return .acceptable }
                if let farewell = engine.farewell ?? engine.endOfInput { return .disconnected(farewell) }
                if isSocketError(Int(result)) { return .disconnected(engine.failure(Int(result)).message) }
                if case .answered = engine.signature { return .signatureRefused }
                return .refused
            }
        }
    }

    enum KeyFileAnswer: Sendable {
        case loggedIn
        case refused
        /// The file could not be read with this passphrase.
        case unreadable(String)
        case disconnected(String)
    }

    /// - Parameter certificateFile: what is offered in place of the key file's public key.
    func authenticate(user: String, keyFile: String, certificateFile: String? = nil, passphrase: String?, deadline: Deadline) async throws -> KeyFileAnswer {
        try await interruptible(until: deadline) {
            guard let handle = engine.handle else { throw HostError.closed(host: host) }
            while true {
                try requireTime("the login at \(host)", deadline)
                let result = libssh2_userauth_publickey_fromfile_ex(
                    handle, user, UInt32(user.utf8.count), certificateFile, keyFile, passphrase ?? "")
                watchForWritable()
                switch result {
                case 0: return .loggedIn
                case LIBSSH2_ERROR_EAGAIN:
                    if let end = engine.endOfInput { return .disconnected(engine.farewell ?? end) }
                    await park()
                default:
                    if let farewell = engine.farewell ?? engine.endOfInput { return .disconnected(farewell) }
                    if isSocketError(Int(result)) { return .disconnected(engine.failure(Int(result)).message) }
                    let answers = [LIBSSH2_ERROR_AUTHENTICATION_FAILED, LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED]
                    let message = engine.failure(Int(result)).message
                    // libssh2 uses one code for a refused signature and for one that it could not make.
                    return answers.contains(result) && !message.hasPrefix("Callback") ? .refused : .unreadable(message)
                }
            }
        }
    }
}

/// Hands the agent's signature to libssh2, or tells it to come back when there is one.
private func signForAgent(
    _ signature: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?, _ length: UnsafeMutablePointer<Int>?,
    _ data: UnsafePointer<UInt8>?, _ count: Int, _ owner: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> Int32 {
    guard let engine = SSHEngine.of(owner) else { return -1 }
    switch engine.signature {
    case .idle:
        engine.signature = .asked(Array(UnsafeRawBufferPointer(start: data, count: count)))
        return LIBSSH2_ERROR_EAGAIN
    case .asked: return LIBSSH2_ERROR_EAGAIN
    case .declined: return -1
    case .answered(let bytes):
        // libssh2 frees it.
        guard let copy = malloc(bytes.count) else { return -1 }
        bytes.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(copy), byteCount: bytes.count) }
        signature?.pointee = copy.assumingMemoryBound(to: UInt8.self)
        length?.pointee = bytes.count
        return 0
    }
}
