// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "pggraft",
    targets: [
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),

        // What tests need from outside: several hosts on this machine, and an oracle for lost and doubled rows.
        .target(name: "CBedEnter", path: "fixtures/CBedEnter"),
        .target(name: "Bed", dependencies: ["CBedEnter"], path: "fixtures/Bed", swiftSettings: settings),
        .executableTarget(name: "ledger-writer", dependencies: ["CLibPQ"], path: "fixtures/LedgerWriter", swiftSettings: settings),
        .testTarget(name: "BedTests", dependencies: ["Bed", "ledger-writer"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
