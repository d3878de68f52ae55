import Foundation

/// Writes configuration: plausible and nasty pieces, put together at random.
struct SettingsGenerator {
    var random: SeededGenerator

    /// Settings of the server with values that it takes.
    private static let taken = [
        "work_mem": ["4MB", "64kB", "'1 GB'", "1024", "0x1000", "'1.5MB'", "070000"], "maintenance_work_mem": ["64MB", "2048"],
        "sort_mem": ["4MB"], "vacuum_mem": ["'64 MB'"], "log_line_prefix": ["'%m [%p] '", "''", "x", "'it''s'"],
        "archive_command": ["''", "'cp \"%p\" /x/%f'", "true"], "enable_seqscan": ["on", "of", "TRUE", "0"],
        "random_page_cost": ["4.0", "1", "'1e1'", ".5"], "log_min_messages": ["warning", "'Error'"], "checkpoint_timeout": ["5min", "300", "'1h'"],
    ]
    private static let spelled = [
        "x.a", "x.b", "x.c", "X.A", "x._d9", "y.a", "y.b", "Y.b", "größe.ä", "my_ext.setting", "Z1.z_1", "é.x",
    ]
    private static let odd: [[UInt8]] =
        [
            "x", "1x.y", "x.", "x.y.z", "x-y.z", ".y", "'x.y'", "\u{FEFF}x.a", "=", "x.$y", "x.y$", "\"x.y\"", "x..y", "x .y", "-x.y", "unknown_setting", "x.1",
        ].map { Array($0.utf8) } + [[0xE9, 0x2E, 0xFF], [0x78, 0x2E, 0xC3], [0xC3, 0x28, 0x2E, 0x61]]

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    // MARK: Whole files

    /// A few lines; with `isValid` all of them such that the server takes the file.
    mutating func file(lines: ClosedRange<Int>, isValid: Bool, line other: ((inout SettingsGenerator) -> [UInt8])? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        let isCRLF = random.chance(12), count = random.number(lines)
        for index in 0..<count {
            bytes += other.map { $0(&self) } ?? line(isValid: isValid)
            if index < count - 1 || !random.chance(25) { bytes += isCRLF ? [0x0D, 0x0A] : [0x0A] }
        }
        if !isValid, random.chance(6) { mutate(&bytes) }
        return bytes
    }

    mutating func line(isValid: Bool) -> [UInt8] {
        switch random.number(0...99) {
        case 0..<6: return blank()
        case 6..<14: return blank() + Array("#".utf8) + (random.chance(50) ? Array("x.a = 1".utf8) : bytes(0...20, without: [0x0A]))
        case 14..<20 where !isValid: return bytes(1...12, without: [0x0A, 0])
        default: break
        }
        if isValid {
            let equals = random.one(of: ["=", " = ", " =", "= ", " ", "\t=\t", "\r = ", "  "])
            if random.chance(35), let (name, values) = Self.taken.sorted(by: { $0.key < $1.key }).randomElement(using: &random) {
                return blank() + spelling(name) + Array((equals + random.one(of: values)).utf8) + end(isValid: true)
            }
            let value = value(isValid: true), canTouch = value.first == UInt8(ascii: "'") || value.first == UInt8(ascii: "+")
            let between = canTouch && random.chance(10) ? "" : equals
            return blank() + spelling(random.one(of: Self.spelled)) + Array(between.utf8) + value + end(isValid: true)
        }
        let name = random.chance(12) ? random.one(of: Self.odd) : spelling(random.chance(80) ? random.one(of: Self.spelled) : random.one(of: Self.taken.keys.sorted()))
        let equals = random.one(of: ["=", "=", " = ", " = ", " = ", " ", " ", "\t", " =", "= ", "", " == ", " = = ", "\r=\r", "=\u{0C}", "\u{0B}= ", "  =\t", ":"])
        return blank() + name + Array(equals.utf8) + value(isValid: false) + end(isValid: false)
    }

    private mutating func blank() -> [UInt8] { Array(random.one(of: ["", "", "", "", " ", "\t", "  ", "\r", " \t\r "]).utf8) }

    private mutating func end(isValid: Bool) -> [UInt8] {
        let good = ["", "", "", "", " ", "\t", "# c", " # comment 'x'", "#", "\r", " #\u{0} ü"]
        return Array(random.one(of: isValid || random.chance(85) ? good : [";", " 2", " = 3", "'c'", " 'c' ", "\u{0C}", ",", "\\", " x", "\"", "\u{0}", "."]).utf8)
    }

    /// `name` with letters large and small at random, now and then.
    private mutating func spelling(_ name: String) -> [UInt8] {
        guard random.chance(15) else { return Array(name.utf8) }
        return name.utf8.map { byte in (0x61...0x7A).contains(byte) && random.chance(40) ? byte & 0xDF : byte }
    }

    // MARK: Values

    private mutating func value(isValid: Bool) -> [UInt8] {
        switch random.number(0...9) {
        case 0..<4: return quoted(isValid: isValid)
        case 4: return plain("abcXYZ_\u{E4}0123456789", from: "abcxyz_\u{E4}Z", 0...8)
        case 5: return plain("abc09-._:/\u{FC}", from: "abcz_", 0...10)
        case 6: return number()
        case 7 where !isValid: return plain("0123456789abcxXeE.+-kMGBms'\"\\#,$@/:_ ", from: "0123456789+-.ex'\"/$", 0...8)
        case 8 where !isValid:
            return Array(
                random.one(of: [
                    "", "''", "'", "\"a\"", "a.b", "a.b.c", "a.1", "1,2", "$x", "on", "/tmp", "a/b", "*", "a b", "1.5GB", "0x", "0xG", "--1", "1e5", "1.e5", "1.5e", ".",
                ]).utf8)
        default: return random.chance(97) ? number() : [UInt8](repeating: 0x61, count: random.number(1000...20000))
        }
    }

    private mutating func plain(_ rest: String, from first: String, _ count: ClosedRange<Int>) -> [UInt8] {
        let characters = Array(rest)
        return Array((String(random.one(of: Array(first))) + String((0..<random.number(count)).map { _ in random.one(of: characters) })).utf8)
    }

    mutating func number() -> [UInt8] {
        func digits(_ set: String) -> String { String((0..<random.number(1...6)).map { _ in random.one(of: Array(set)) }) }
        let sign = random.one(of: ["", "", "", "+", "-"])
        let body =
            switch random.number(0...5) {
            case 0: "0x" + digits("0123456789abcdefABCDEF")
            case 1: digits("0123456789") + "." + digits("0123456789")
            case 2: "." + digits("0123456789") + random.one(of: ["", "e5", "E-3", "e+1"])
            case 3: digits("0123456789") + "." + random.one(of: ["", "e5"])
            case 4: "0" + digits("01234567")
            default: digits("0123456789") + random.one(of: ["", "", "kB", "MB", "ms", "s", "min", "d", "xyz"])
            }
        return Array((sign + body).utf8)
    }

    mutating func quoted(isValid: Bool) -> [UInt8] {
        var bytes = Array("'".utf8)
        for _ in 0..<random.number(0...6) {
            switch random.number(0...13) {
            case 0: bytes += Array("''".utf8)
            case 1: bytes += Array("\\".utf8) + Array(random.one(of: ["n", "t", "r", "b", "f", "\\", "'", "q", "\"", "#", " ", "x41"]).utf8)
            case 2: bytes += Array("\\".utf8) + Array(random.one(of: ["1", "12", "101", "1018", "777", "400", "8", "08", "377", "351", "60"]).utf8)
            case 3: bytes += Array(random.one(of: ["#", " # ", "\t", "\r", "=", "\"", ";", "\u{0C}", "\u{7F}", "\u{1}"]).utf8)
            case 4: bytes += [random.one(of: [0xE9, 0xFF, 0xC3, 0x80])]
            case 5 where random.chance(10): bytes += Array("\\0".utf8)
            case 6 where !isValid && random.chance(10): bytes += Array("x\u{0}".utf8)
            default: bytes += Array(random.one(of: ["a", "b c", "%m", "ü", "1", "/x", "Z", "€"]).utf8)
            }
        }
        if !isValid, random.chance(4) { bytes += Array("\\".utf8) }
        return isValid || !random.chance(4) ? bytes + Array("'".utf8) : bytes
    }

    /// What an edit writes: anything that is text.
    mutating func text() -> String {
        (0..<random.number(0...8)).map { _ in
            random.one(of: ["a", "B", "'", "\\", "\"", "\n", "\r", "\t", "\u{1}", "\u{7F}", "\u{1B}", "ü", "#", " ", "=", "1", "-", ".", "/", "\\n", "''", "\r\n", "\u{0C}"])
        }.joined()
    }

    /// The value of a setting: numbers in all notations with all units, and what is nearly one of the `choices`.
    mutating func settingValue(choices: [String], unit own: String?) -> String {
        if !choices.isEmpty, random.chance(90) {
            let words = choices + ["true", "yes", "1", "0", "no", "false", "on", "off", "debug", "archive", "hot_standby", "o", "", "2", " on", "on "]
            let word = random.one(of: words)
            return switch random.number(0...4) {
            case 0: String(word.prefix(random.number(0...max(word.count, 1))))
            case 1: word.uppercased()
            case 2: word + random.one(of: ["", "", "x", " "])
            default: word
            }
        }
        let number = random.chance(70) ? "\(random.number(0...random.one(of: [1, 20, 2000, 200_000])))" : String(decoding: self.number(), as: UTF8.self)
        let odd = ["1e3", "0x1.8p3", "1e400", "1e-400", "inf", "nan", "-0", "99999999999", "9223372036854775808", "0b1", "1_000", "5e-1", "2147483647.4", "2.5", "3.5"]
        let memory = ["", "kB", "MB", "GB", "TB", "B"], time = ["", "ms", "s", "min", "h", "d", "us"]
        let unit = random.one(of: random.chance(15) ? memory + time + ["KB", "m", "minx", "kB MB"] : own == nil ? [""] : own?.last == "B" ? memory : time)
        return random.one(of: ["", "", "", " ", "\t"]) + (random.chance(15) ? random.one(of: odd) : number) + random.one(of: ["", "", " ", "\n"]) + unit
            + random.one(of: ["", "", "", "", "", "", " ", " ", "x"])
    }

    /// A list of `names`, quoted or not, with blanks and mistakes.
    mutating func list(of names: [String]) -> String {
        let blanks = ["", "", " ", "  ", "\t", "\n"]
        let separators = [","] + (random.chance(20) ? [",", ",", " ", ",,", ";"] : [])
        var text = random.one(of: blanks)
        for index in 0..<random.number(0...4) {
            let name = random.one(of: names), style = random.number(0...9)
            if index > 0 { text += random.one(of: separators) + random.one(of: blanks) }
            text += style < 4 ? name : style < 9 ? "\"" + name.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : name.uppercased()
            text += random.one(of: blanks)
        }
        return text + (random.chance(4) ? random.one(of: [",", "\"", " x", "("]) : "")
    }

    /// `synchronous_standby_names`, nearly.
    mutating func standbys() -> String {
        let names = ["n2", "N2", "n_3$", "n-4", "a b", "*", "any", "FIRST", "7", "x\"y", "ü", ""]
        let list = list(of: random.chance(60) ? ["n2", "n3", "N_4", "*", "7"] : names)
        let method = random.one(of: ["", "ANY", "any ", "FIRST", "First\n", "some"]), number = random.one(of: ["1", "2", "02", "0", "-1", "99999999999", "2147483648", "", "x"])
        return switch random.number(0...5) {
        case 0: list
        case 1: method + " " + number + (random.chance(90) ? "(" : "") + list + (random.chance(90) ? ")" : "") + random.one(of: ["", "", " ", "x", ")"])
        default: random.one(of: ["", "ANY ", "FIRST ", "first "]) + random.one(of: ["1", "2 ", "3\t"]) + "(" + list + ")"
        }
    }

    private mutating func bytes(_ count: ClosedRange<Int>, without left: Set<UInt8>) -> [UInt8] {
        (0..<random.number(count)).map { _ in
            let byte = random.chance(70) ? random.one(of: Array("aZ09 '\\\"#=._-+$\t\r".utf8)) : UInt8(random.number(0...255))
            return left.contains(byte) ? UInt8(ascii: "x") : byte
        }
    }

    /// Changes, adds or takes out a byte or two. A zero byte never opens a string: the server would write in front of its memory.
    private mutating func mutate(_ bytes: inout [UInt8]) {
        for _ in 0..<random.number(1...2) where !bytes.isEmpty {
            let place = random.number(0...bytes.count - 1)
            switch random.number(0...2) {
            case 0: bytes[place] = UInt8(random.number(0...255))
            case 1: bytes.remove(at: place)
            default: bytes.insert(random.one(of: Array("'\\#=\n\r x.\u{0}".utf8)), at: place)
            }
        }
        for index in bytes.indices.dropFirst() where bytes[index] == 0 && bytes[index - 1] == UInt8(ascii: "'") { bytes[index] = 0x20 }
    }

    // MARK: What refers to other files

    mutating func include(_ kind: String, _ path: String) -> [UInt8] {
        let name = random.chance(10) ? String(kind.map { random.chance(50) ? Character($0.uppercased()) : $0 }) : kind
        return Array((name + random.one(of: [" ", " = ", "="]) + "'" + path + "'" + random.one(of: ["", " # why", "\r"])).utf8)
    }

    /// A whole configuration below `root`, each file by its path from there: files that include each other, errors now and then.
    mutating func tree(own: [UInt8], root: String) -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        let isBroken = random.chance(30)
        // What a file refers to comes later, as a rule: the number of readings doubles with each level otherwise.
        let order = ["postgresql.conf", "a.conf", "sub/c.conf", "sub/d.conf", "b.conf"]
        for (index, path) in order.enumerated() where index == 0 || random.chance(75) {
            var includes = 0
            files[path] =
                (index == 0 ? own : [])
                + file(lines: index == 0 ? 2...8 : 1...5, isValid: true) { generator in
                    guard includes < 2, generator.random.chance(25) else { return generator.treeLine(isBroken: isBroken) }
                    includes += 1
                    let base = path.hasPrefix("sub/") ? "../" : "", later = order.dropFirst(index + 1)
                    if generator.random.chance(25) { return generator.include("include_dir", base + generator.random.one(of: ["conf.d", "./conf.d/", "empty"])) }
                    let target = later.isEmpty || isBroken && generator.random.chance(20) ? generator.random.one(of: order) : generator.random.one(of: Array(later))
                    if isBroken, generator.random.chance(25) { return generator.brokenInclude(root: root) }
                    let written = generator.random.one(of: [base + target, "\(root)/\(target)", "\(root)//sub/../\(target)", "./\(base)sub/../\(target)"])
                    return generator.include(files[target] == nil && generator.random.chance(90) ? "include_if_exists" : "include", written)
                }
        }
        for name in ["1.conf", "2.conf", "B.conf", "a.conf", "ü.conf", "10.conf", ".hidden.conf", "x.txt", ".conf"] where random.chance(40) {
            files["conf.d/\(name)"] = file(lines: 1...3, isValid: true) { $0.treeLine(isBroken: isBroken) }
        }
        if random.chance(20) { files["conf.d/z.conf"] = include("include", isBroken ? random.one(of: ["../a.conf", "z.conf", "../b.conf"]) : "../b.conf") }
        // b.conf is the last of them and may be included by anyone.
        if files["b.conf"] == nil { files["b.conf"] = file(lines: 0...3, isValid: true) { $0.treeLine(isBroken: isBroken) } }
        if random.chance(80) { files["postgresql.auto.conf"] = file(lines: 1...4, isValid: true) { $0.treeLine(isBroken: isBroken) } }
        return files
    }

    private mutating func treeLine(isBroken: Bool) -> [UInt8] {
        isBroken && random.chance(4) ? Array(random.one(of: ["x.a = =", "nonsense", "y.b = 'open", "x.a"]).utf8) : line(isValid: true)
    }

    private mutating func brokenInclude(root: String) -> [UInt8] {
        let path = random.one(of: ["", " ", "\\t", "none.conf", "sub", ".", "..", "conf.d/dir.conf", "none/x.conf", "\(root)/none", "a.conf/x", String(repeating: "a", count: 300)])
        return include(random.one(of: ["include", "include_if_exists", "include_dir"]), path)
    }
}
