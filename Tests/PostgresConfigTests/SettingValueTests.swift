import Foundation
import PostgresConfig
import Testing

@Suite("The value of a setting") struct SettingValueTests {
    static func kind(_ type: SettingKind.ValueType, _ unit: String? = nil, version: Int = 15) -> SettingKind {
        SettingKind(type, unit: unit.flatMap { SettingUnit($0) }, version: .postgres(version))
    }

    @Test(
        "is read in the setting's unit",
        arguments: [
            ("1GB", "8kB", 131072), ("131072", "8kB", 131072), ("1048576kB", "8kB", 131072), ("100kB", "8kB", 12), ("60kB", "8kB", 8), ("0x10", "kB", 16),
            ("010", "kB", 8), (" 7 MB ", "kB", 7168), ("1.5GB", "MB", 1536), ("90s", "min", 2), ("1e3", "ms", 1000), ("2.5", "s", 2), ("1d", "min", 1440),
        ] as [(String, String, Int)])
    func integer(text: String, unit: String, expected: Int) {
        #expect(SettingValue(text, kind: Self.kind(.integer, unit)) == .integer(expected))
    }

    @Test(
        "is refused where the server refuses it",
        arguments: [
            ("1gb", "8kB"), ("1 G", "kB"), ("", "kB"), ("x", "kB"), ("1 GB x", "kB"), ("3TB", "B"), ("5s", "kB"), ("08", "ms"), ("nan", "s"),
        ])
    func refused(text: String, unit: String) {
        #expect(SettingValue(text, kind: Self.kind(.integer, unit)) == nil)
        #expect(SettingValue(text, kind: Self.kind(.integer)) == nil)
    }

    @Test("until 11 has no fraction, and is cut off rather than rounded")
    func older() {
        #expect(SettingValue("1.5GB", kind: Self.kind(.integer, "MB", version: 11)) == nil)
        #expect(SettingValue("60kB", kind: Self.kind(.integer, "8kB", version: 11)) == .integer(7))
        #expect(SettingValue("5ms", kind: Self.kind(.real, "ms", version: 11)) == nil)
    }

    @Test(
        "is written for people",
        arguments: [
            ("131072", "8kB", "1GB"), ("16384", "8kB", "128MB"), ("1", "8kB", "8kB"), ("1025", "kB", "1025kB"), ("-1", "ms", "-1"), ("0", "s", "0"),
            ("300", "s", "5min"), ("86400000", "ms", "1d"), ("1", "16MB", "16MB"),
        ])
    func people(text: String, unit: String, expected: String) {
        let kind = Self.kind(.integer, unit)
        #expect(SettingValue(text, kind: kind)?.text(kind) == expected)
    }

    @Test("is what pg_settings shows of it")
    func shown() {
        let real = Self.kind(.real), memory = Self.kind(.integer, "8kB"), mode = Self.kind(.integer), switched = Self.kind(.bool)
        #expect(SettingValue("0.123456789", kind: real)?.isShown(as: "0.123457", kind: real) == true)
        #expect(SettingValue("1GB", kind: memory)?.isShown(as: "131072", kind: memory) == true)
        #expect(SettingValue("511", kind: mode)?.isShown(as: "0777", kind: mode) == true)
        #expect(SettingValue("TR", kind: switched)?.isShown(as: "on", kind: switched) == true)
        #expect(SettingValue("o", kind: switched) == nil)
        #expect(SettingValue("no", kind: switched)?.isShown(as: "on", kind: switched) == false)
        let level = SettingKind(.enumeration, choices: ["minimal", "replica", "logical"], version: .postgres(15))
        #expect(SettingValue("Hot_Standby", kind: level)?.isShown(as: "replica", kind: level) == true)
        #expect(SettingKind(vartype: "integer", unit: "parsec", enumvals: nil, version: .postgres(15)) == nil)
    }
}
