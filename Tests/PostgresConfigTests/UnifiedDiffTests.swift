import Foundation
import PostgresConfig
import Testing

@Suite("A unified diff") struct UnifiedDiffTests {
    static let numbers = (1...30).map { "line \($0)\n" }

    static func edited(_ edit: (inout [String]) -> Void) -> String {
        var lines = numbers
        edit(&lines)
        return lines.joined()
    }

    static let original = numbers.joined()

    /// What `diff -u` prints, under the same headings.
    static func real(_ old: String, _ new: String) throws -> String {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: directory) } }
        let (a, b) = (directory.appendingPathComponent("a"), directory.appendingPathComponent("b"))
        try Data(old.utf8).write(to: a)
        try Data(new.utf8).write(to: b)
        return try Programs.run(["diff", "-u", "--label", "f", "--label", "f", a.path, b.path], accepting: [0, 1])
    }

    @Test(
        "is what diff -u prints",
        arguments: [
            (original, original),
            (original, edited { $0[14] = "changed\n" }),
            (original, edited { $0[0] = "changed\n" }),
            (original, edited { $0[29] = "changed" }),
            (original, edited { $0.removeFirst(2) }),
            (original, edited { $0.removeLast(2) }),
            (original, edited { $0.insert("new\n", at: 0) }),
            (original, edited { $0.append("new\n") }),
            (
                original,
                edited {
                    $0[3] = "x\n"
                    $0[10] = "y\n"
                }
            ),
            (
                original,
                edited {
                    $0[3] = "x\n"
                    $0[11] = "y\n"
                }
            ),
            (
                original,
                edited {
                    $0[3] = "x\n"
                    $0[10] = "y\n"
                    $0.insert("z\n", at: 25)
                }
            ),
            (original, ""),
            ("", original),
            ("a\n", "a"),
            ("a", "a\n"),
            ("a", "b"),
            ("a\n\nb\n", "a\n\n\nb\n"),
            ("{\n x\n}\n", "{\n x\n}\n{\n x\n}\n"),
            ("a\nb\na\nb\na\n", "a\nb\na\n"),
            ("port = 5432\nwal_level = replica\n", "port = 5433\nwal_level = replica\nshared_preload_libraries = ''\n"),
        ])
    func likeDiff(old: String, new: String) throws {
        #expect(UnifiedDiff(old: old, new: new, path: "f").description == (try Self.real(old, new)))
    }

    @Test("of a file that comes or goes")
    func comesAndGoes() {
        #expect(UnifiedDiff(old: nil, new: "a\n", path: "/etc/x").description == "--- /dev/null\n+++ /etc/x\n@@ -0,0 +1 @@\n+a\n")
        #expect(UnifiedDiff(old: "a\n", new: nil, path: "/etc/x").description == "--- /etc/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n")
        #expect(UnifiedDiff(old: nil, new: "", path: "/standby.signal").description == "--- /dev/null\n+++ /standby.signal\n")
        #expect(UnifiedDiff(old: nil, new: nil as String?, path: "/x").description == "")
    }

    @Test("is applied by patch to what it was made for, however the files differ", arguments: 0..<40)
    func patch(seed: Int) throws {
        var state = UInt64(seed) &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let old = (0..<random(60)).map { _ in "w\(random(9))\n" }
        var new = old
        for _ in 0..<random(8) {
            if random(2) == 0, !new.isEmpty { new.remove(at: random(new.count)) } else { new.insert("w\(random(9))\n", at: random(new.count + 1)) }
        }
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: directory) } }
        let file = directory.appendingPathComponent("f"), diff = directory.appendingPathComponent("d")
        try Data(old.joined().utf8).write(to: file)
        let ours = UnifiedDiff(old: old.joined(), new: new.joined(), path: "f").description
        guard !ours.isEmpty else {
            #expect(old == new)
            return
        }
        try Data(ours.utf8).write(to: diff)
        try Programs.run(["patch", "--quiet", "--fuzz=0", file.path, diff.path])
        let patched = FileManager.default.fileExists(atPath: file.path) ? try String(contentsOf: file, encoding: .utf8) : ""
        #expect(patched == new.joined())
    }
}
