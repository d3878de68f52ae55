/// Asks the operator for the passphrase of a private key file; `nil` is "skip this key". `attempt` counts from 1.
public typealias PassphrasePrompt = @Sendable (_ keyFile: String, _ attempt: Int) async -> String?

/// The passphrases given so far: hosts that share these and connect at once with one key ask once, and one at a time.
public actor Passphrases {
    private let prompt: PassphrasePrompt?
    private var given: [String: String] = [:]
    private var lastTurn: Task<Void, Never>?

    /// Without a prompt, encrypted keys are skipped.
    public init(_ prompt: PassphrasePrompt? = nil) { self.prompt = prompt }

    func passphrase(for keyFile: String, attempt: Int) async -> String? {
        guard let prompt else { return nil }
        let turn = Task { [lastTurn] () -> String? in
            await lastTurn?.value
            if attempt == 1, let known = given[keyFile] { return known }
            let answer = await prompt(keyFile, attempt)
            given[keyFile] = answer
            return answer
        }
        lastTurn = Task { _ = await turn.value }
        return await turn.value
    }
}
