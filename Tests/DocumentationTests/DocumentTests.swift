import Foundation
import Testing

@Suite("The documents")
struct DocumentTests {
    @Test func `every link leads to a file that is there`() throws {
        var links = 0
        for document in try Checkout.documents() {
            let folder = ("\(Checkout.root)/\(document)" as NSString).deletingLastPathComponent
            for link in try Checkout.read(document).matches(of: #/\]\(([^)#]+)(?:#[^)]*)?\)/#) where !link.1.contains("://") {
                links += 1
                #expect(FileManager.default.fileExists(atPath: "\(folder)/\(link.1)"), "\(document): \(link.1)")
            }
        }
        #expect(links > 10)
    }

    @Test func `what they tell the reader to make, the Makefile knows`() throws {
        let targets = Set(try Checkout.read("Makefile").matches(of: #/(?m)^([a-z-]+):/#).map { String($0.1) })
        var commands = 0
        for document in try Checkout.documents() {
            for command in try Checkout.read(document).matches(of: #/(?m)(?:^|`)make ([a-z-]+)/#) {
                commands += 1
                #expect(targets.contains(String(command.1)), "\(document): make \(command.1)")
            }
        }
        #expect(commands > 10)
    }

    @Test func `they ask for the Swift that the package asks for`() throws {
        let package = try Checkout.read("Package.swift"), version = try #require(package.firstMatch(of: #/swift-tools-version: ([0-9.]+)/#)).1
        for document in ["README.md", "CONTRIBUTING.md"] { #expect(try Checkout.read(document).contains("Swift \(version) or newer"), "\(document)") }
    }

    @Test func `the lines of the worked example are counted right`() throws {
        let folder = "Tests/ProceduresTests/Example", document = try Checkout.read("CONTRIBUTING.md")
        let rows = try Checkout.rows(of: "CONTRIBUTING.md").filter { $0.count == 3 && Int($0[2]) != nil }
        var sum = 0, files: Set<String> = []
        for row in rows {
            let count = try #require(Int(row[2]))
            sum += count
            guard let path = row[1].quoted.first else { continue }
            files.insert(path)
            #expect(try Checkout.read(path).split(separator: "\n", omittingEmptySubsequences: false).count - 1 == count, "\(path)")
        }
        #expect(try files == Set(FileManager.default.contentsOfDirectory(atPath: "\(Checkout.root)/\(folder)").map { "\(folder)/\($0)" }))
        #expect(document.contains("All that it\ncosts is \(sum) lines:"), "\(sum) lines in all")
    }
}
