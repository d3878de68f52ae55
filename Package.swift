// swift-tools-version:6.1
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
        .systemLibrary(name: "CEpoll"),

        layer("EventLoop", below: ["CEpoll"]),
        .testTarget(name: "EventLoopTests", dependencies: ["EventLoop"], swiftSettings: settings),
        layer("RemoteHost", below: ["EventLoop", "CLibSSH2", "CEpoll"]),
        .testTarget(name: "RemoteHostTests", dependencies: ["RemoteHost", "EventLoop"], swiftSettings: settings),
        layer("PostgresClient", below: ["EventLoop", "CLibPQ"]),
        .testTarget(
            name: "PostgresClientTests", dependencies: ["PostgresClient", "EventLoop"],
            resources: [.copy("Support/tls-records.py")], swiftSettings: settings),
        layer("PostgresConfig"),
        layer("Run", below: ["EventLoop"]),
        layer("Playbook", below: [.product(name: "Yams", package: "Yams")]),
        layer("Instance", below: ["PostgresConfig", "RemoteHost", "PostgresClient", "EventLoop"]),
        layer("PgBackRest", below: ["Instance", "RemoteHost", "EventLoop"]),
        layer("Spock", below: ["PostgresClient", "EventLoop"]),
        layer("Procedures", below: ["Spock", "PgBackRest", "Instance", "PostgresConfig", "Playbook", "Run", "RemoteHost", "PostgresClient", "EventLoop"]),
        .executableTarget(name: "pggraft", dependencies: [
            "Procedures", "Run", "Playbook", "RemoteHost", "PostgresClient", "EventLoop",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "Logging", package: "swift-log"),
        ], swiftSettings: settings),

        .testTarget(name: "PostgresConfigTests", dependencies: ["PostgresConfig"], swiftSettings: settings),
        .testTarget(name: "InstanceTests", dependencies: ["Instance", "PostgresConfig", "RemoteHost", "PostgresClient", "EventLoop"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
