import Foundation
import PostgresConfig
import Testing

@Suite("Values of settings, judged by servers", .serialized) struct SettingValueServerTests {
    /// A row of `pg_settings`.
    struct Known: Decodable {
        var name: String, vartype: String, unit: String?, enumvals: [String]?, min_val: String?, max_val: String?

        static let query = "SELECT json_agg(json_build_object('name', name, 'vartype', vartype, 'unit', unit, 'enumvals', enumvals, 'min_val', min_val, 'max_val', max_val))"

        var choices: [String] { enumvals ?? (vartype == "bool" ? ["on", "off"] : []) }

        func kind(_ version: MajorVersion) throws -> SettingKind {
            try #require(SettingKind(vartype: vartype, unit: unit, enumvals: enumvals, version: version), "\(self)")
        }

        /// Whether the setting's limits allow `value`.
        func allows(_ value: SettingValue) -> Bool {
            func within(_ number: Double) -> Bool { (Double(min_val ?? "") ?? -.infinity) <= number && number <= (Double(max_val ?? "") ?? .infinity) }
            return switch value {
            case .integer(let number): within(Double(number))
            case .real(let number): within(number)
            default: true
            }
        }
    }

    /// Settings that anyone may set in a session without harm, of every type and of the units there are.
    static let settable = [
        "enable_seqscan", "geqo_threshold", "extra_float_digits", "work_mem", "temp_buffers", "effective_cache_size", "wal_skip_threshold",
        "min_parallel_table_scan_size", "idle_in_transaction_session_timeout", "log_min_duration_statement", "log_parameter_max_length",
        "random_page_cost", "seq_page_cost", "vacuum_cost_delay", "cursor_tuple_fraction", "log_min_error_statement", "synchronous_commit", "wal_compression",
        "constraint_exclusion", "bytea_output", "backslash_quote", "log_error_verbosity", "session_replication_role", "compute_query_id",
    ]

    @Test("every value is taken or refused, and shown, as the server does it", arguments: Programs.judges.indices)
    func values(judge: Int) throws {
        try SettingsTreeServerTests.withBench(judge) { bench in
            _ = try bench.session.rows(
                """
                SET client_min_messages = error; CREATE FUNCTION given(name text, value text) RETURNS text LANGUAGE plpgsql AS $$
                BEGIN RETURN current_setting(name) || ',' || (SELECT setting FROM pg_settings s WHERE s.name = given.name) FROM set_config(name, value, true);
                EXCEPTION WHEN invalid_parameter_value THEN RETURN '-'; END $$
                """)
            let known: [Known] = try bench.server.json("\(Known.query) FROM pg_settings")
            var generator = SettingsGenerator(seed: Fuzz.seed &+ 2000 &+ UInt64(judge))
            let wanted = Fuzz.count(usual: 1500, part: 2)
            var count = 0, taken = 0
            while count < wanted {
                let asked = try (0..<200).map { _ in
                    let name = generator.random.one(of: Self.settable)
                    let setting = try #require(known.first { $0.name == name })
                    return (setting, generator.settingValue(choices: setting.choices, unit: setting.unit))
                }
                // One row each: what is asked about is text of this file and of the generator, in dollar quotes.
                let list = asked.enumerated().map { "(\($0), $q$\($1.0.name)$q$, $q$\($1.1)$q$)" }.joined(separator: ",")
                let theirs = try bench.session.rows("SELECT given(name, value) FROM (VALUES \(list)) AS asked(place, name, value) ORDER BY place")
                try #require(theirs.count == asked.count)
                for ((setting, text), answer) in zip(asked, theirs) {
                    let kind = try setting.kind(bench.version), value = SettingValue(text, kind: kind).flatMap { setting.allows($0) ? $0 : nil }
                    let fields = String(decoding: answer, as: UTF8.self).split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                    taken += value == nil ? 0 : 1
                    let isRight = value.map { fields.count == 2 && $0.text(kind) == fields[0] && $0.isShown(as: fields[1], kind: kind) } ?? (fields == ["-"])
                    guard isRight else {
                        Issue.record("\(bench.version), seed \(Fuzz.seed): \(setting.name) = \(String(reflecting: text)): ours \(value.map { "\($0)" } ?? "-"), theirs \(fields)")
                        return
                    }
                }
                count += asked.count
            }
            #expect(taken > count / 10)
            print("values judged by \(bench.version): \(count) values, \(taken) of them taken, seed \(Fuzz.seed)")
        }
    }

    /// Settings of units that no session may set.
    static let others = [
        "max_wal_size", "wal_keep_size", "checkpoint_timeout", "log_rotation_age", "shared_buffers", "wal_receiver_status_interval",
        "autovacuum_naptime", "max_connections", "wal_level", "archive_mode", "checkpoint_completion_target", "bgwriter_delay", "fsync",
    ]

    @Test("what postgres -C says of a file", arguments: Programs.judges.indices)
    func program(judge: Int) throws {
        try SettingsTreeServerTests.withBench(judge) { bench in
            let known: [Known] = try bench.server.json("\(Known.query) FROM pg_settings")
            var generator = SettingsGenerator(seed: Fuzz.seed &+ 3000 &+ UInt64(judge)), compared = 0, taken = 0
            for _ in 0..<Fuzz.count(usual: 30, part: 200) {
                let name = generator.random.one(of: Self.others), setting = try #require(known.first { $0.name == name })
                let kind = try setting.kind(bench.version), text = generator.settingValue(choices: setting.choices, unit: setting.unit)
                var file = SettingsFile(bench.own)
                file.set(setting.name, to: text)
                try Disk.write(file.render(), to: bench.configFile)
                let shown = try Programs.run(
                    ["\(bench.server.bin)/postgres", "-C", setting.name, "-D", bench.server.data], asPostgres: true, accepting: [0, 1], isQuiet: true)
                let value = SettingValue(text, kind: kind).flatMap { setting.allows($0) ? $0 : nil }
                (compared, taken) = (compared + 1, taken + (value == nil ? 0 : 1))
                let isRight = value.map { !shown.isEmpty && $0.isShown(as: String(shown.dropLast()), kind: kind) } ?? shown.isEmpty
                guard isRight else {
                    Issue.record("\(bench.version), seed \(Fuzz.seed): \(setting.name) = \(String(reflecting: text)): ours \(value.map { "\($0)" } ?? "-"), theirs \(shown)")
                    break
                }
            }
            try Disk.write(bench.own, to: bench.configFile)
            #expect(taken > 0)
            print("values judged by postgres -C of \(bench.version): \(compared) values, \(taken) of them taken, seed \(Fuzz.seed)")
        }
    }
}
