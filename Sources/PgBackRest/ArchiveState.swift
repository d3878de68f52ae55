/// What a server does with its WAL segments, by its settings.
public enum ArchiveState: Sendable, Hashable, CustomStringConvertible {
    /// Pushes to the stanza asked about.
    case ready
    /// `archive_mode` is off; turning it on needs a restart.
    case off
    /// Archiving is on and does nothing: `archive_command` is empty or always succeeds.
    case emptyOrTrue
    /// Pushes to another stanza.
    case pushes(to: String)
    /// Something else than pgBackRest.
    case other(command: String)
    /// A module does it (PostgreSQL 15 and newer).
    case library(String)

    /// - Parameters: what `SHOW` says for `archive_mode`, `archive_command` and `archive_library`.
    public init(mode: String, command: String, library: String = "", stanza: StanzaName) {
        let command = command.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        self =
            if mode == "off" { .off } else if !library.isEmpty { .library(library) } else if ArchiveState.commandsThatDoNothing.contains(command) {
                .emptyOrTrue
            } else if let pushed = ArchiveState.stanza(pushedToBy: command) { pushed == stanza.name ? .ready : .pushes(to: pushed) } else { .other(command: command) }
    }

    /// Whether pgBackRest can be put in without a restart.
    public var needsRestart: Bool { self == .off }

    public var description: String {
        switch self {
        case .ready: "archives into the stanza"
        case .off: "archive_mode is off"
        case .emptyOrTrue: "archive_command does nothing"
        case .pushes(let stanza): "archives into stanza '\(stanza)'"
        case .other(let command): "archive_command is '\(command)'"
        case .library(let name): "archive_library is '\(name)'"
        }
    }

    private static let commandsThatDoNothing: Set<String> = ["", "(disabled)", "true", "/bin/true", "/usr/bin/true", ":", "exit 0", "cd ."]

    /// The stanza that an `archive_command` pushes to; `nil` when it does not call pgBackRest, or does not say the stanza.
    public static func stanza(pushedToBy command: String) -> String? {
        guard let called = BackRestInvocation(command), called.command == "archive-push" else { return nil }
        return called.stanza
    }
}
