import EventLoop
import Foundation
import Report
import Synchronization
import Testing

@testable import RemoteHost

/// What every kind of host does with a command.
@Suite(.fewAtATime) struct HostContractTests {
    /// Over SSH a program has a channel of its own or runs in a shell that is kept.
    enum Kind: CaseIterable { case ssh, keptShell, local }

    private func withHost(_ kind: Kind, _ body: (any RemoteHost.Host) async throws -> Void) async throws {
        switch kind {
        case .local: try await body(LocalHost(name: "n1"))
        case .ssh: try await RemoteHostTests.withHost(try await TestSSHServer(), keepsShells: false) { try await body($0) }
        case .keptShell: try await RemoteHostTests.withHost(try await TestSSHServer()) { try await body(WarmHost(host: $0)) }
        }
    }

    /// Collects lines from whatever thread brings them.
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    @Test(arguments: Kind.allCases) func outputErrorsAndExitCodeAreKeptApart(kind: Kind) async throws {
        try await withHost(kind) { host in
            let result = try await host.run(.script("echo out; echo err >&2; exit 3"), deadline: .patient)
            #expect(result.status == .code(3))
            #expect(result.output == Array("out\n".utf8))
            #expect(result.errorOutput == Array("err\n".utf8))
            #expect(try await host.run(Command("true"), deadline: .patient).succeeded)
        }
    }

    @Test(arguments: Kind.allCases) func outputIsKeptToTheByte(kind: Kind) async throws {
        try await withHost(kind) { host in
            let scripts: [(String, [UInt8])] = [
                ("printf 'no newline'", Array("no newline".utf8)), ("printf '\\n'", [10]), ("printf '\\n\\n'", [10, 10]),
                ("printf '\\000\\001\\377'", [0, 1, 255]), (":", []),
            ]
            for (script, output) in scripts {
                let result = try await host.run(.script(script), deadline: .patient)
                #expect(result.output == output, "\(script)")
            }
        }
    }

    @Test(arguments: Kind.allCases, ["KILL", "TERM", "SEGV", "HUP"]) func aProgramKilledByASignalHasNoExitCode(kind: Kind, signal: String) async throws {
        try await withHost(kind) { host in
            let result = try await host.run(.script("echo before; kill -\(signal) $$"), deadline: .patient)
            #expect(result.status == .signal(signal))
            #expect(result.text == "before")
            #expect(result.errorOutput.isEmpty)
        }
    }

    @Test(arguments: Kind.allCases) func aMissingProgramIsAResult(kind: Kind) async throws {
        try await withHost(kind) { host in
            let result = try await host.run(Command("no-such-program-here"), deadline: .patient)
            #expect(result.status == .code(127))
            #expect(result.errorText.contains("no-such-program-here"))
        }
    }

    @Test(arguments: Kind.allCases) func requireThrowsWithWhatTheProgramSaid(kind: Kind) async throws {
        try await withHost(kind) { host in
            let error = await #expect(throws: CommandFailed.self) {
                try await host.require(.script("echo wrong >&2; exit 2"), deadline: .patient)
            }
            #expect(error?.description == "n1: sh -c 'echo wrong >&2; exit 2' sh: exit code 2: wrong")
        }
    }

    @Test(arguments: Kind.allCases) func aProgramReadsItsInputAndSeesItsEnd(kind: Kind) async throws {
        try await withHost(kind) { host in
            let result = try await host.run(Command("tr", "a-z", "A-Z").reading(Array("hello".utf8)), deadline: .patient)
            #expect(result.text == "HELLO")
            #expect(try await host.run(Command("cat"), deadline: .patient).output.isEmpty)
        }
    }

    @Test(arguments: Kind.allCases) func fiftyMegabytesGoThroughBothWaysAtOnce(kind: Kind) async throws {
        try await withHost(kind) { host in
            let random = try #require(FileHandle(forReadingAtPath: "/dev/urandom"))
            let input = [UInt8](try #require(try random.read(upToCount: 50 << 20)))
            #expect(input.count == 50 << 20)
            let result = try await host.run(Command("cat").reading(input), deadline: .after(.seconds(120)))
            #expect(result.succeeded)
            // By bytes: `==` on arrays takes seconds without optimisation.
            #expect(Data(result.output) == Data(input))
            let counted = try await host.run(Command("wc", "-c").reading(input), deadline: .after(.seconds(120)))
            #expect(counted.text == "\(input.count)")
        }
    }

    @Test(arguments: Kind.allCases) func inputThatNobodyReadsHoldsNothingUp(kind: Kind) async throws {
        try await withHost(kind) { host in
            let result = try await host.run(Command("true").reading([UInt8](repeating: 0x61, count: 20 << 20)), deadline: .patient)
            #expect(result.succeeded)
        }
    }

    @Test(arguments: Kind.allCases) func aLotOfStandardErrorHoldsNothingUp(kind: Kind) async throws {
        try await withHost(kind) { host in
            let result = try await host.run(
                .script("head -c 8000000 /dev/zero >&2; head -c 8000000 /dev/zero; echo done >&2"), deadline: .patient)
            #expect(result.output.count == 8_000_000)
            #expect(result.errorOutput.count == 8_000_005)
        }
    }

    @Test(arguments: Kind.allCases) func linesArriveWhileTheProgramRuns(kind: Kind) async throws {
        try await withHost(kind) { host in
            let directory = try TemporaryDirectory()
            let lines = Lines()
            // The program waits for a file that is made when its first line has been seen.
            async let result = host.run(
                .script("echo first; echo second >&2; while [ ! -e \"$1\" ]; do sleep 0.05; done; printf last", directory.path + "/go"),
                deadline: .patient
            ) { lines.add($0) }
            try await wait(for: "two lines", until: .patient) {
                lines.all.count == 2 ? .found(()) : .notYet("\(lines.all)")
            }
            _ = FileManager.default.createFile(atPath: directory.path + "/go", contents: nil)
            #expect(try await result.text == "first\nlast")
            #expect(Set(lines.all) == ["first", "second", "last"])
        }
    }

    @Test(arguments: Kind.allCases) func aDaemonThatKeepsTheOutputOpenHoldsNothingUp(kind: Kind) async throws {
        try await withHost(kind) { host in
            let result = try await host.run(.script("sleep 300 & echo $!"), deadline: .patient)
            #expect(result.succeeded)
            let daemon = try #require(Int32(result.text))
            #expect(kill(daemon, 0) == 0)
            kill(daemon, SIGKILL)
        }
    }

    @Test(arguments: Kind.allCases) func aProgramPastItsDeadlineIsEnded(kind: Kind) async throws {
        try await withHost(kind) { host in
            let directory = try TemporaryDirectory()
            let error = try await overrun(host, .script("sleep 300 & echo $! $$ > \"$1\"/new; mv \"$1\"/new \"$1\"/pids; wait", directory.path), making: directory.path + "/pids")
            #expect(error.waitedFor.hasPrefix("sh -c 'sleep 300"))
            #expect(error.waitedFor.hasSuffix("on n1"))
            #expect(error.lastSeen == "the program was told to end and has ended")
            let text = try String(contentsOfFile: directory.path + "/pids", encoding: .utf8)
            let pids = text.split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
            #expect(pids.count == 2)
            for pid in pids { try await expectGone(pid) }
        }
    }

    @Test(arguments: Kind.allCases) func aProgramOfACancelledTaskIsEnded(kind: Kind) async throws {
        try await withHost(kind) { host in
            let directory = try TemporaryDirectory()
            let task = Task {
                try await host.run(.script("echo $$ > \"$1\"/new; mv \"$1\"/new \"$1\"/pid; sleep 300", directory.path), deadline: .patient)
            }
            let pid = try await writtenPid(directory.path + "/pid")
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await expectGone(pid)
        }
    }

    @Test(arguments: Kind.allCases) func aProgramThatIgnoresTheRequestIsNamedInTheError(kind: Kind) async throws {
        try await withHost(kind) { host in
            let directory = try TemporaryDirectory()
            // SIGTERM is ignored by all that run below it, too.
            let error = try await overrun(
                host, .script("trap '' TERM; echo $$ > \"$1\"/new; mv \"$1\"/new \"$1\"/pid; while :; do sleep 1; done", directory.path),
                making: directory.path + "/pid")
            let pid = try #require(Int32(try String(contentsOfFile: directory.path + "/pid", encoding: .utf8).dropLast()))
            let seen = try #require(error.lastSeen)
            #expect(seen.hasPrefix("the program was told to end and has not: still running after SIGTERM:"))
            #expect(seen.contains("\(pid)"))
            #expect(kill(pid, 0) == 0)
            kill(pid, SIGKILL)
        }
    }

    @Test(.enabled(if: getuid() == 0), arguments: Kind.allCases) func anotherUsersProgramIsThatUsersAndIsEndedToo(kind: Kind) async throws {
        try await withHost(kind) { host in
            #expect(try await host.run(Command("id", "-un").as("nobody"), deadline: .patient).text == "nobody")
            let directory = try TemporaryDirectory(mode: 0o777)
            let task = Task {
                try await host.run(.script("echo $$ > \"$1\"/new; mv \"$1\"/new \"$1\"/pid; sleep 300", directory.path).as("nobody"), deadline: .patient)
            }
            let pid = try await writtenPid(directory.path + "/pid")
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await expectGone(pid)
        }
    }

    @Test(.enabled(if: getuid() == 0), arguments: Kind.allCases) func anUnknownUserIsNamed(kind: Kind) async throws {
        try await withHost(kind) { host in
            await #expect(throws: HostError.noSuchUser(host: "n1", user: "nobody-here")) {
                try await host.run(Command("true").as("nobody-here"), deadline: .patient)
            }
        }
    }

    @Test(arguments: Kind.allCases) func aKilledShellLeavesTheOutcomeUnknown(kind: Kind) async throws {
        try await withHost(kind) { host in
            let error = await #expect(throws: HostError.self) {
                // The parent of the program is the shell that would report its end.
                try await host.run(.script("kill -KILL $PPID; sleep 5"), deadline: .patient)
            }
            guard case .outcomeUnknown(let name, let words, _) = try #require(error) else { throw TestSSHServer.SetupFailed("\(String(describing: error))") }
            #expect(name == "n1")
            #expect(words.first == "sh")
        }
    }

    @Test func theEnvironmentHoldsNoSettingsOfLibpq() async throws {
        #expect(ChildProgram.isInherited("HOME=/root"))
        #expect(ChildProgram.isInherited("LANG=C"))
        #expect(!ChildProgram.isInherited("PGPORT=5433"))
        #expect(!ChildProgram.isInherited("PGPASSWORD=secret"))
        #expect(try await LocalHost().run(.script("printf %s \"$PATH\""), deadline: .patient).text == ProcessInfo.processInfo.environment["PATH"])
    }

    private func writtenPid(_ file: String) async throws -> Int32 {
        try await wait(for: "the program", until: .patient) {
            let text = try? String(contentsOfFile: file, encoding: .utf8)
            return text.flatMap { Int32($0.dropLast()) }.map { .found($0) } ?? .notYet("no pid")
        }
    }

    /// Runs a command that takes too long, with a longer deadline each time until it had come as far as making `file`.
    private func overrun(_ host: any RemoteHost.Host, _ command: Command, making file: String) async throws -> DeadlineExceeded {
        for seconds in [2, 8, 32] {
            let error = try #require(
                await #expect(throws: DeadlineExceeded.self) {
                    try await host.run(command, deadline: .after(.seconds(seconds)))
                })
            if FileManager.default.fileExists(atPath: file) { return error }
        }
        throw TestSSHServer.SetupFailed("the program never began")
    }

    private func expectGone(_ pid: Int32) async throws {
        try await wait(for: "the end of process \(pid)", until: .patient) {
            kill(pid, 0) != 0 && errno == ESRCH ? .found(()) : .notYet("it is there")
        }
    }
}
