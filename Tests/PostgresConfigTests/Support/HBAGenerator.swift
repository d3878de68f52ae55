import PostgresConfig

/// Writes `pg_hba.conf` files: plausible ones, and what can go wrong in them.
struct HBAGenerator {
    var random: SeededGenerator
    let version: MajorVersion

    /// Files that the generated ones refer to, by their names in the data directory.
    static func auxiliary(_ version: MajorVersion) -> [String: String] {
        var files = [
            "fz_words": "app\nother, \"c d\"  third # not this\n\n\"all\"\n", "fz_nested": "first @fz_words last\n", "fz a": "one\ttwo\r\n",
            "fz_empty": "", "fz_comment": "# nothing\n\n  \t\n", "fz_keywords": "all\nreplication,sameuser\n+group /^re\n",
            "fz_error": "a\nb @fz_absent c\nd\n", "fz_continued": "a \\\n b\\\n\\\nc\n", "fz_option": "map=x", "fz_type": "host\n",
            "fz_up/fz_back": "@../fz_words\n",
        ]
        if version >= .postgres(16) {
            files["fz_self"] = "x @fz_self\n"
            files["fz_including"] = "include fz_words\nb\n"
            files["fz_rules.conf"] = "local all all peer\nhost @fz_words all all reject\n\nnonsense here too\n"
            files["fz_loop.conf"] = "local one all trust\ninclude fz_loop.conf\n"
            files["fz.d/10.conf"] = "# ten\nlocal ten all trust\n"
            files["fz.d/9.conf"] = "local nine all trust\ninclude \"../fz_rules.conf\"\n"
            files["fz.d/.hidden.conf"] = "local hidden all trust\n"
            files["fz.d/a.txt"] = "local txt all trust\n"
            files["fz.d/sub.conf/x.conf"] = "local sub all trust\n"
            files["fz_bad.d/a.conf"] = "include_dir ../fz.d\n"
            files["fz_bad.d/b.conf"] = "include fz_absent.conf\nlocal b all trust\n"
            files["fz_none.d/readme"] = "nothing\n"
        }
        return files
    }

    private static let types = ["local", "host", "host", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"]
    private static let databases = [
        "all", "all", "all", "replication", "sameuser", "samerole", "samegroup", "app", "app", "\"all\"", "\"my db\"", "@fz_words", "@fz_nested",
        "@\"fz a\"", "@fz_empty", "@fz_keywords", "\"@fz_words\"", "@", "/^app", "/a.b$", "\"/a b\"", "größe", "\u{65E5}\u{672C}", "ALL", "\"\"",
        "+x",
    ]
    private static let users = [
        "all", "all", "postgres", "app", "+group", "\"+group\"", "+\"gr oup\"", "+", "@fz_words", "@fz_comment", "@fz_continued", "@fz_up/fz_back",
        "\"a\"\"b\"", "x\"y z\"w", "/^(a|b)$", "/", "müller", "sameuser", "replication", "@fz_nested",
    ]
    private static let addresses = [
        "all", "all", "samehost", "samenet", "\"all\"", "10.0.0.0/8", "10.77.0.12/32", "127.0.0.1/32", "0.0.0.0/0", "127.0.0.1/0", "1.2.3.4/33",
        "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+8", "\"1.2.3.4/ 8\"", "\"1.2.3.4/8 \"", "1.2.3.4/8/8", "1.2.3.4/x", "1.2.3.4/00008",
        "1.2.3.4/99999999999999999999", "::1/128", "::/0", "fe80::/10", "fe80::1%1/64", "::1%7/128", "::1%x/128", "2001:DB8::1/129",
        "::ffff:1.2.3.4/96", "1:2:3:4:5:6:7:8/127", "1::2::3/8", "db.example.org", ".example.org", "db/8", "\"\"", "10.1/8", "0x7f.1/8",
        "010.0.0.1/8", "08.0.0.1/8", "0+1/8", "0x-0/8", "0X1F.1/8", "1.2.3.4.5/8", "256.1.1.1/8", "4294967295/32", "4294967296/32", "1.2.3./8", "0x/8", "1.2.3.4",
        "10.0.0.0 255.0.0.0", "10.0.0.0 255.0.255.0", "10.0.0.0 ffff::", "fd00:: ff00::", "fd00:: 255.0.0.0", "10.0.0.0 255", "10.1 0xff.0",
        "10.0.0.0 all", "10.0.0.0 a,b", "a,b", "10.0.0.0 \"\"", "localhost",
    ]
    private static let methods = [
        "trust", "reject", "md5", "md5", "scram-sha-256", "scram-sha-256", "password", "ident", "peer", "gss", "sspi", "pam", "bsd", "ldap", "cert",
        "radius", "oauth", "krb5", "SCRAM-SHA-256", "implicit", "\"md5\"", "md5,trust",
    ]
    private static let options = [
        "map=x", "map=", "clientcert=verify-ca", "clientcert=verify-full", "clientcert=1", "clientcert=no-verify", "clientname=CN", "clientname=DN",
        "clientname=cn", "pamservice=postgresql", "pam_use_hostname=1", "ldapserver=a", "ldapserver=\"a b\"", "ldapport=389", "ldapport=0",
        "ldapport=x", "ldapport=4294967296", "ldapport=389x", "ldaptls=1", "ldaptls=0", "ldapscheme=ldaps", "ldapscheme=http",
        "ldapbinddn=\"cn=a,dc=b\"", "ldapbindpasswd=x", "ldapsearchattribute=uid", "\"ldapsearchfilter=(uid=$username)\"",
        "ldapbasedn=\"dc=example\"", "ldapprefix=\"uid=\"", "ldapsuffix=\",dc=b\"", "krb_realm=EX", "include_realm=1", "include_realm=0",
        "compat_realm=1", "upn_username=1", "radiusservers=10.0.0.1", "radiusservers=\"10.0.0.1,10.0.0.2\"",
        "\"radiusservers=\"\"1.2.3.4\"\" , ::1\"", "radiusservers=", "radiussecrets=s", "radiussecrets=\"a,b\"", "radiussecrets=\"a,\"",
        "radiussecrets=\"a b\"", "radiusports=1812", "radiusports=\"1812,0\"", "radiusports=\"1,,2\"", "radiusidentifiers=x",
        "radiusidentifiers=\"x,y,z\"", "issuer=https://i", "scope=openid", "validator=val_a", "validator=val_x", "delegate_ident_mapping=1",
        "unknown=1", "noequals", "=x", "@fz_option", "MAP=x", "map=a=b",
    ]
    private static let fullMethods = [
        "ldap ldapserver=a ldapprefix=\"cn=\" ldapsuffix=x", "ldap ldapserver=a ldapbasedn=\"dc=x\" ldapsearchattribute=uid",
        "ldap ldapbasedn=x ldapport=636", "radius radiusservers=10.0.0.1 radiussecrets=s",
        "radius radiusservers=\"10.0.0.1,::1\" radiussecrets=\"a,b\" radiusports=\"1,2\"", "oauth issuer=https://i scope=openid",
        "oauth issuer=i scope=s validator=val_a", "oauth issuer=i scope=s validator=val_b map=x delegate_ident_mapping=1", "cert map=x",
        "gss include_realm=0 krb_realm=EX", "pam pamservice=x", "ident map=x", "peer map=\"a b\"",
    ]
    private static let references = [
        "@fz_absent", "@fz_error", "@fz_self", "@fz_including", "@fz.d", "a,@fz_empty,b", "@fz_empty", "@./fz_words", "@fz_up/../fz_words",
    ]
    private static let directives = [
        "include fz_rules.conf", "include fz_absent.conf", "include_if_exists fz_absent.conf", "include_if_exists \"fz_rules.conf\"",
        "include_dir fz.d", "include_dir fz_bad.d", "include_dir fz_absent.d", "include_dir \"\"", "include_dir \" \"", "include_dir fz_none.d",
        "include fz_loop.conf", "include a b", "include", "include fz_rules.conf,x", "\"include\" ./fz_rules.conf", "INCLUDE fz_rules.conf",
        "include fz.d/../fz_rules.conf", "include @fz_words", "include fz.d", "include \"\"",
    ]

    mutating func file() -> [UInt8] {
        var bytes: [UInt8] = []
        let end = random.chance(20) ? "\r\n" : "\n"
        for _ in 0..<random.number(1...30) {
            let line = line()
            // Names of hosts and of interfaces are known to the machine, not to the file: they stay as they are.
            let isSolid = line.contains("radiusservers") || line.contains("%")
            // What C drops behind a zero byte depends on its buffer, when there is more than fits.
            let fits = line.utf8.count < 500 && !bytes.suffix(3).contains(UInt8(ascii: "\\"))
            bytes += random.chance(17) && !isSolid ? mutated(Array(line.utf8), zero: fits) : Array(line.utf8)
            bytes += (isSolid ? end : random.chance(5) ? "\\" + end : random.chance(2) ? "\r\r\n" : end).utf8
        }
        if random.chance(25) { bytes.removeLast() }
        return bytes
    }

    private mutating func line() -> String {
        switch random.number(0...39) {
        case 0: return ""
        case 1: return random.one(of: ["# comment", "  # \"open", "#\\", "\t", "   ,, ,", "# a \\"])
        case 2: return random.one(of: Self.types)
        case 3, 4: return random.one(of: Self.directives)
        case 5: return rule().split(separator: " ").prefix(random.number(1...4)).joined(separator: " ")
        case 6: return "\(random.one(of: ["@fz_type", "@fz_words", "\"host\"", "host,local", "HOST", "nonsense"])) " + rule()
        case 7 where random.chance(10):
            let long = String(repeating: "x", count: 10_230 + random.number(0...14))
            return "local \(long)\(random.one(of: [" all trust", ",b all trust", "\" all trust", "#"]))"
        case 8: return "host \(random.one(of: Self.references)) all all reject"
        default: return rule()
        }
    }

    private mutating func rule() -> String {
        let type = random.one(of: Self.types)
        var fields = [type, words(Self.databases), words(Self.users)]
        if type != "local" || random.chance(3) { fields.append(random.one(of: Self.addresses)) }
        if random.chance(17) {
            fields.append(random.one(of: Self.fullMethods))
        } else {
            fields.append(random.one(of: Self.methods))
            while random.chance(33) { fields.append(random.one(of: Self.options)) }
        }
        if random.chance(8) { fields.append(random.one(of: Self.options)) }
        if random.chance(10) { fields.append(random.one(of: ["# why", "#", "#\"x", "# pggraft 1"])) }
        if random.chance(5) { fields[random.number(0...fields.count - 1)] = odd(random.one(of: fields)) }
        return fields.joined(separator: random.one(of: [" ", " ", " ", "\t", "   \t ", "\r", " \\\n  "]))
    }

    private mutating func words(_ from: [String]) -> String {
        var words = [random.one(of: from)]
        while random.chance(25) { words.append(random.one(of: from)) }
        return words.joined(separator: random.one(of: [",", ",", ", ", " ,", ",,"]))
    }

    /// Quotes where nobody would put them.
    private mutating func odd(_ word: String) -> String {
        guard !word.contains("radiusservers") else { return word }
        var characters = Array(word)
        for _ in 0..<random.number(1...3) { characters.insert("\"", at: random.number(0...characters.count)) }
        return String(characters)
    }

    private mutating func mutated(_ line: [UInt8], zero: Bool) -> [UInt8] {
        var line = line
        for _ in 0..<random.number(1...3) {
            let place = random.number(0...line.count)
            switch random.number(0...3) {
            case 0 where place < line.count: line.remove(at: place)
            case 1 where place < line.count: line.insert(line[place], at: place)
            default: line.insert(zero && random.chance(3) ? 0 : random.one(of: Array("\"\",# \t\r@+=\\x1:.%".utf8) + [0x80, 0xFF, 0xC3, 0x0B, 0x0C]), at: place)
            }
        }
        return line
    }
}
