import Foundation
import PostgresConfig
import Testing

@Suite("Lists in settings, judged by servers", .serialized) struct SettingListServerTests {
    /// Names that are hard to write in a list, and easy ones.
    static let schemas = [
        "a", "B", "c d", "e,f", "g\"h", "\"", " i", "j ", "ü", "k.l", "m'n", "_o", "9p", "$q", "r$", String(repeating: "x", count: 63), "tab\there", "#", "s-t",
    ]

    private static func quoted(_ text: String, by quote: String) -> String { quote + text.replacingOccurrences(of: quote, with: quote + quote) + quote }

    @Test("search_path has the schemas that the server finds in it", arguments: Programs.judges.indices)
    func searchPath(judge: Int) throws {
        try SettingsTreeServerTests.withBench(judge) { bench in
            let create = Self.schemas.map { "CREATE SCHEMA \(Self.quoted($0, by: "\""));" }.joined(separator: "\n")
            _ = try bench.session.rows(
                """
                \(create)
                CREATE FUNCTION public.schemas(value text) RETURNS text LANGUAGE plpgsql AS $$
                DECLARE found text;
                BEGIN
                    PERFORM set_config('search_path', value, true);
                    SELECT string_agg(encode(convert_to(name, 'SQL_ASCII'), 'hex'), ',' ORDER BY place) INTO found
                    FROM unnest(current_schemas(false)) WITH ORDINALITY AS x(name, place);
                    RETURN '=' || coalesce(found, '');
                EXCEPTION WHEN invalid_parameter_value THEN RETURN '-'; END $$
                """)
            var generator = SettingsGenerator(seed: Fuzz.seed &+ 4000 &+ UInt64(judge)), count = 0, taken = 0
            let wanted = Fuzz.count(usual: 1000, part: 4)
            while count < wanted {
                let lists = (0..<200).map { _ in generator.list(of: Self.schemas + ["X" + String(repeating: "x", count: 70)]) }
                let asked = lists.enumerated().map { "(\($0), \(Self.quoted($1, by: "'")))" }.joined(separator: ",")
                let theirs = try bench.session.rows("SELECT public.schemas(value) FROM (VALUES \(asked)) AS asked(place, value) ORDER BY place")
                try #require(theirs.count == lists.count)
                for (text, answer) in zip(lists, theirs) {
                    let list = SettingList(text, syntax: .identifiers)
                    var there: [String] = []
                    for name in list?.names ?? [] where Self.schemas.contains(name) && !there.contains(name) { there.append(name) }
                    let ours = list == nil ? "-" : "=" + there.map { $0.utf8.map { String(format: "%02x", $0) }.joined() }.joined(separator: ",")
                    guard ours == String(decoding: answer, as: UTF8.self) else {
                        Issue.record("\(bench.version), seed \(Fuzz.seed): \(String(reflecting: text)): \(list?.names ?? []), theirs \(String(decoding: answer, as: UTF8.self))")
                        return
                    }
                    if let list { #expect(list.names.reduce(SettingList(.identifiers)) { $0.adding($1) }.names.allSatisfy(list.contains)) }
                    taken += there.isEmpty ? 0 : 1
                }
                count += lists.count
            }
            #expect(taken > count / 10)
            print("search paths judged by \(bench.version): \(count) lists, \(taken) of them with schemas, seed \(Fuzz.seed)")
        }
    }

    @Test("synchronous_standby_names is taken or refused as the server does it", arguments: Programs.judges.indices)
    func standbyNames(judge: Int) throws {
        try SettingsTreeServerTests.withBench(judge, isQuiet: true) { bench in
            var generator = SettingsGenerator(seed: Fuzz.seed &+ 5000 &+ UInt64(judge)), count = 0, taken = 0
            let wanted = Fuzz.count(usual: 500, part: 10)
            while count < wanted {
                // What we write is asked about, too, with a name more.
                let values = (0..<100).flatMap { _ in
                    let text = generator.standbys()
                    return [text, StandbyNames(text, version: bench.version)?.adding(generator.random.one(of: Self.schemas)).description ?? "n2"]
                }
                let codes = try bench.session.codes(values.map { "ALTER SYSTEM SET synchronous_standby_names = \(Self.quoted($0, by: "'"))" })
                try #require(codes.count == values.count)
                for (text, code) in zip(values, codes) {
                    let names = StandbyNames(text, version: bench.version)
                    // Neither a line end nor anything wrong in the value is the statement's fault otherwise.
                    let isTaken = code == "00000" || (code == "22023" && text.contains("\n") && names != nil)
                    guard isTaken == (names != nil) else {
                        Issue.record("\(bench.version), seed \(Fuzz.seed): \(String(reflecting: text)): \(names.map { "\($0)" } ?? "-"), theirs \(code)")
                        return
                    }
                    if let names { #expect(StandbyNames(names.description, version: bench.version) == names) }
                    taken += names == nil ? 0 : 1
                }
                count += values.count
            }
            #expect(taken > count / 10)
            print("standby names judged by \(bench.version): \(count) values, \(taken) of them taken, seed \(Fuzz.seed)")
        }
    }

    @Test("the table of lists is the server's", arguments: Programs.judges.indices)
    func table(judge: Int) throws {
        try SettingsTreeServerTests.withBench(judge) { bench in
            // A setting that is no list takes one argument only.
            let lists = Set(
                try bench.session.rows(
                    """
                    CREATE TEMP TABLE lists(name text);
                    DO $$ DECLARE setting text; BEGIN
                        FOR setting IN SELECT name FROM pg_settings LOOP
                            BEGIN
                                EXECUTE format('SET LOCAL %I = ''a'', ''b''', setting);
                                INSERT INTO lists VALUES (setting);
                            EXCEPTION WHEN OTHERS THEN
                                IF SQLERRM NOT LIKE '%takes only one argument%' THEN INSERT INTO lists VALUES (setting); END IF;
                            END;
                        END LOOP;
                    END $$;
                    SELECT name FROM lists
                    """
                ).map { String(decoding: $0, as: UTF8.self) })
            let names: [String] = try bench.server.json("SELECT json_agg(name) FROM pg_settings")
            for name in names { #expect((ListSetting.of(name, in: bench.version) != nil) == lists.contains(name), "\(name) in \(bench.version)") }
            #expect(lists.count > 10)
        }
    }
}
