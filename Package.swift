// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// A layer of the house. `below` names what it may know; nothing knows anything above it.
func layer(_ name: String, below: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: below, swiftSettings: settings)
}

/// The tests of a layer; they mirror its sources.
func tests(_ name: String, _ needed: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: [.byName(name: name), "Report"] + needed, resources: resources, swiftSettings: settings)
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
/// Logs into memory, for tests.
let inMemoryLogging = Target.Dependency.product(name: "InMemoryLogging", package: "swift-log")

let package = Package(
    name: "pggraft",
    products: [
        .executable(name: "pggraft", targets: ["pggraft"]),
        .library(name: "Procedures", targets: ["Procedures"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(name: "CLibSSH2", pkgConfig: "libssh2", providers: [.apt(["libssh2-1-dev"])]),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CEpoll"),

        layer("Report", below: [logging]),
        layer("Digest", below: ["CCrypto"]),
        layer("EventLoop", below: ["Report", "CEpoll"]),
        layer("RemoteHost", below: ["Report", "Digest", "EventLoop", "CLibSSH2", "CEpoll", logging]),
        layer("PostgresClient", below: ["Report", "EventLoop", "CLibPQ", logging]),
        layer("PostgresConfig", below: ["Report"]),
        layer("Run", below: ["Report", "Digest"]),
        layer("Playbook", below: ["Report", .product(name: "Yams", package: "Yams")]),
        layer("Instance", below: ["Report", "PostgresConfig", "RemoteHost", "PostgresClient", "EventLoop"]),
        layer("PgBackRest", below: ["Report", "RemoteHost", "PostgresClient", "EventLoop"]),
        layer("Server", below: ["Report", "PostgresConfig", "PostgresClient", "EventLoop"]),
        layer("Spock", below: ["Report", "Server", "PostgresClient", "EventLoop"]),
        layer("Datanode", below: ["Report", "Server", "Instance", "RemoteHost", "PostgresClient", "EventLoop"]),
        layer(
            "ProcedureKit",
            below: ["Server", "PgBackRest", "Instance", "PostgresConfig", "Playbook", "Run", "RemoteHost", "PostgresClient", "EventLoop", "Report"]),
        layer(
            "Procedures",
            below: [
                "ProcedureKit",
                "Spock", "Datanode", "Server", "PgBackRest", "Instance", "PostgresConfig", "Playbook", "Run", "RemoteHost", "PostgresClient", "EventLoop", "Report",
            ]),
        .executableTarget(
            name: "pggraft",
            dependencies: [
                "Procedures", "ProcedureKit", "Instance", "PostgresConfig", "Run", "Playbook", "RemoteHost", "PostgresClient", "EventLoop", "Report",
                .product(name: "ArgumentParser", package: "swift-argument-parser"), logging,
            ], swiftSettings: settings),

        .testTarget(name: "ReportTests", dependencies: ["Report", logging, inMemoryLogging], swiftSettings: settings),
        tests("Digest"),
        tests("EventLoop"),
        tests("RemoteHost", ["Scratch", "Bed", "ssh-reach", "EventLoop", logging, inMemoryLogging]),
        tests("PostgresClient", ["Scratch", "EventLoop", logging, inMemoryLogging], resources: [.copy("Support/tls-records.py")]),
        tests("PostgresConfig"),
        tests("Run", ["Rehearsal", "EventLoop"]),
        tests("Playbook"),
        tests("Instance", ["Scratch", "PostgresConfig", "RemoteHost", "PostgresClient", "EventLoop"]),
        tests("PgBackRest", ["Scratch", "PostgresClient", "RemoteHost", "EventLoop"]),
        tests("Server", ["Scratch", "Instance", "PostgresConfig", "PostgresClient", "RemoteHost", "EventLoop"]),
        tests("Spock", ["Scratch", "Server", "PostgresClient", "EventLoop"]),
        tests("Datanode", ["PostgresClient"]),
        tests(
            "ProcedureKit",
            ["Scratch", "Instance", "PgBackRest", "PostgresClient", "PostgresConfig", "RemoteHost", "EventLoop", "Run", "Server"]),
        tests(
            "Procedures",
            [
                "Scratch", "Rehearsal", "ProcedureKit", "Instance", "Playbook", "PgBackRest", "PostgresClient", "PostgresConfig", "RemoteHost", "EventLoop", "Run", "Server",
                "Spock", "Datanode",
            ]),

        .testTarget(
            name: "pggraftTests",
            dependencies: [
                "pggraft", "Procedures", "ProcedureKit", "Spock", "Datanode", "Instance", "Server", "PostgresClient", "PostgresConfig", "Run", "Report", "Scratch", logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            exclude: ["Snapshots"], swiftSettings: settings),
        .testTarget(name: "DocumentationTests", swiftSettings: settings),

        // What tests need from outside: procedures killed at every moment; servers of their own in a directory; several hosts on this machine, and an
        // oracle for lost and doubled rows.
        .target(name: "Rehearsal", dependencies: ["Run", "Report"], path: "fixtures/Rehearsal", swiftSettings: settings),
        .target(
            name: "Scratch", dependencies: ["Instance", "PostgresConfig", "RemoteHost", "PostgresClient", "EventLoop"], path: "fixtures/Scratch", swiftSettings: settings),
        .target(name: "CBedEnter", path: "fixtures/CBedEnter"),
        .target(name: "Bed", dependencies: ["CBedEnter"], path: "fixtures/Bed", swiftSettings: settings),
        .executableTarget(name: "ledger-writer", dependencies: ["CLibPQ"], path: "fixtures/LedgerWriter", swiftSettings: settings),
        .executableTarget(name: "ssh-reach", dependencies: ["RemoteHost", "EventLoop", "Report"], path: "fixtures/SSHReach", swiftSettings: settings),
        .executableTarget(name: "test-report", path: "fixtures/TestReport", swiftSettings: settings),
        .testTarget(name: "TestReportTests", dependencies: ["test-report"], swiftSettings: settings),
        .testTarget(name: "BedCommandTests", dependencies: ["pggraft-bed", "Bed", "Run"], swiftSettings: settings),
        .testTarget(name: "BedTests", dependencies: ["Bed", "ledger-writer"], swiftSettings: settings),
        .testTarget(
            name: "FaultTests", dependencies: ["Bed", "ledger-writer", "pggraft", "Procedures", "ProcedureKit", "Playbook", "Run", "Report"], swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "Bed", "Scratch", "Rehearsal", "ledger-writer", "pggraft", "pggraft-bed", "Procedures", "ProcedureKit", "Instance", "PgBackRest", "PostgresConfig", "RemoteHost",
                "EventLoop", "Run", "Report",
            ],
            exclude: ["Snapshots"], swiftSettings: settings),
        .executableTarget(
            name: "pggraft-bed",
            dependencies: ["Bed", "PostgresConfig", "RemoteHost", "EventLoop", "Run", "Report", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "fixtures/BedCommand", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
