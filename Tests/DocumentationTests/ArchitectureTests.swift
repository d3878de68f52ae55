import Foundation
import Testing

@Suite("The architecture")
struct ArchitectureTests {
    /// What each target of `Sources/` may know, as Package.swift says it.
    private static func targets() throws -> [String: Set<String>] {
        let package = try Checkout.read("Package.swift")
        var known: [String: Set<String>] = [:]
        for layer in package.matches(of: #/layer\(\s*"(\w+)"(?:,\s*below:\s*\[(.*?)\])?\)/#.dotMatchesNewlines()) {
            known[String(layer.1)] = Set(names(in: layer.2 ?? ""))
        }
        let program = try #require(package.firstMatch(of: #/executableTarget\(\s*name: "pggraft",\s*dependencies: \[(.*?)\], swiftSettings/#.dotMatchesNewlines()))
        known["pggraft"] = Set(names(in: program.1))
        let ours = Set(known.keys)
        return known.mapValues { $0.intersection(ours) }
    }

    /// Targets by name; products of other packages are left out.
    private static func names(in list: Substring) -> [String] {
        String(list).replacing(#/\.product\([^)]*\)/#, with: "").matches(of: #/"([\w-]+)"/#).map { String($0.1).replacing("-", with: "_") }
    }

    /// The table of docs/architecture.md, from its top.
    private static func table() throws -> [(target: String, below: Set<String>)] {
        let rows = try Checkout.rows(of: "docs/architecture.md").filter { $0.count == 3 }
        return rows.compactMap { row in row[0].quoted.first.map { ($0, Set(row[1].quoted)) } }
    }

    /// Everything that is reached from `target` by arrows.
    private static func reached(from target: String, by arrows: [String: Set<String>]) -> Set<String> {
        (arrows[target] ?? []).reduce(into: []) { all, next in all.formUnion(reached(from: next, by: arrows).union([next])) }
    }

    @Test func `the page names every target, and arrows point down`() throws {
        let table = try Self.table()
        #expect(Set(table.map(\.target)) == Set(try Self.targets().keys))
        for (place, row) in table.enumerated() {
            let lower = Set(table.dropFirst(place + 1).map(\.target))
            #expect(row.below.isSubset(of: lower), "\(row.target) stands on \(row.below.subtracting(lower)), which is not below it")
        }
    }

    @Test func `the page's arrows lead where Package.swift's do`() throws {
        let package = try Self.targets(), page = Dictionary(try Self.table().map { ($0.target, $0.below) }, uniquingKeysWith: { $0.union($1) })
        for target in package.keys.sorted() {
            #expect(Self.reached(from: target, by: page) == Self.reached(from: target, by: package), "\(target)")
        }
    }

    @Test func `what procedures share knows nothing of Spock, and Run nothing of PostgreSQL`() throws {
        let package = try Self.targets()
        #expect(!Self.reached(from: "ProcedureKit", by: package).contains("Spock"))
        #expect(Self.reached(from: "Run", by: package).isDisjoint(with: ["PostgresClient", "PostgresConfig", "Server", "RemoteHost"]))
    }

    /// The folder of each target outside of `Sources/`, and what it may know.
    private static func besides() throws -> [(folder: String, known: Set<String>)] {
        let package = try Checkout.read("Package.swift")
        let tests = package.matches(of: #/\btests\(\s*"(\w+)"(?:,\s*\[(.*?)\])?/#.dotMatchesNewlines()).map { target in
            (folder: "Tests/\(target.1)Tests", known: Set(names(in: target.2 ?? "") + [String(target.1), "Report"]))
        }
        let others = package.matches(
            of:
                #/\.(?:target|executableTarget|testTarget)\(\s*name: "([\w-]+)",(?:\s*dependencies: \[([^\]]*)\],)?(?:\s*exclude: \[[^\]]*\],)?(?:\s*path: "([^"]+)",)?\s*swiftSettings/#
        )
        return tests
            + others.filter { $0.1 != "pggraft" }.map { target in
                (folder: target.3.map(String.init) ?? "Tests/\(target.1)", known: Set(names(in: target.2 ?? "")))
            }
    }

    @Test func `no file knows more than its target may`() throws {
        let targets = try Self.targets(), besides = try Self.besides()
        #expect(besides.count > 20)
        let system = try Checkout.read("Package.swift").matches(of: #/systemLibrary\(name: "(\w+)"/#).map { String($0.1) }
        let ours = Set(targets.keys).union(besides.flatMap(\.known)).subtracting(system)
        for (folder, known) in targets.map({ (folder: "Sources/\($0.key)", known: $0.value) }) + besides {
            let files = try #require(FileManager.default.enumerator(atPath: "\(Checkout.root)/\(folder)")).compactMap { $0 as? String }
            for file in files where file.hasSuffix(".swift") {
                let imports = try Checkout.read("\(folder)/\(file)").matches(of: #/(?m)^(?:@?\w+ )?import (\w+)/#).map { String($0.1) }
                #expect(Set(imports).intersection(ours).isSubset(of: known), "\(folder)/\(file)")
            }
            #expect(files.contains { $0.hasSuffix(".swift") || $0.hasSuffix(".c") }, "\(folder)")
        }
    }
}
