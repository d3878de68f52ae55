import PostgresConfig
import Testing

/// Files as they are met: what packages and old releases leave behind, and what editors make of it.
@Suite("Samples of settings files") struct SettingsSampleTests {
    /// As Debian's cluster has it: places outside the data directory, everything else commented out behind tabs.
    static let debian = """
        # ---------------------------------
        # Settings of the cluster 15 "main"
        # ---------------------------------
        #
        #   name = value
        #
        data_directory = '/var/lib/postgresql/15/main'\t\t# elsewhere
        \t\t\t\t\t# (needs a restart)
        hba_file = '/etc/postgresql/15/main/pg_hba.conf'\t# rules
        external_pid_file = '/var/run/postgresql/15-main.pid'\t\t\t# one more
        #listen_addresses = 'localhost'\t\t# on which addresses
        port = 5432\t\t\t\t# (needs a restart)
        unix_socket_directories = '/var/run/postgresql'\t# commas between
        ssl_key_file = '/etc/ssl/private/ssl-cert-snakeoil.key'
        #ssl_ciphers = 'HIGH:MEDIUM:+3DES:!aNULL'
        log_line_prefix = '%m [%p] %q%u@%d '\t\t# special:
        \t\t\t\t\t#   %m = when
        lc_messages = 'en_US.UTF-8'\t\t\t# of the server
        default_text_search_config = 'pg_catalog.english'
        include_dir = 'conf.d'\t\t\t# ours
        #include_if_exists = '...'

        """
    /// Names and values that only older releases know, without equals signs here and there.
    static let old = """
        #port 5433
        max_connections 100
        unix_socket_directory '/tmp'
        checkpoint_segments = 16
        wal_level = hot_standby
        replication_timeout = 60s
        custom_variable_classes = 'plpgsql,pg_stat_statements'
        archive_command = 'test ! -f /a/%f && cp "%p" /a/%f'
        client_min_messages = notice
        datestyle = 'iso, mdy'
        vacuum_cost_delay = 0ms
        bgwriter_lru_multiplier 2.0

        """
    /// Settings and units that came with later releases.
    static let new = """
        io_method = worker
        io_max_combine_limit = 128kB\t\t# MB, kB, or blocks of 8kB
        log_connections = 'receipt,authentication'
        autovacuum_vacuum_cost_delay = '0.5ms'
        idle_replication_slot_timeout = '1d'
        shared_preload_libraries = 'pg_stat_statements, "my lib"'
        synchronous_standby_names = 'ANY 2 (n2, n3, "n-4")'
        recovery_target_time = '2026-01-01 00:00:00+00'
        primary_conninfo = 'host=n1 password=''it\\'s'' application_name=n2'

        """

    /// Named apart from what is in it: a megabyte is no name.
    struct Sample: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        var testDescription: String { name }
    }

    static let all: [Sample] = {
        let whole = debian + old + new, large = (0..<8000).map { "#line\($0) = 'x'\t# \(String(repeating: "y", count: 100))\nx.n\($0) = \($0)\n" }.joined()
        let samples: [(String, [UInt8])] = [
            ("Debian", Array(debian.utf8)), ("old", Array(old.utf8)), ("new", Array(new.utf8)), ("no final line end", Array(whole.utf8.dropLast())),
            ("CRLF", Array(whole.utf8.flatMap { $0 == 0x0A ? [0x0D, 0x0A] : [$0] })), ("1 MB", Array(large.utf8)),
            ("mixed ends", Array("a = 1\r\nb = 2\nc = 3\r\r\n\r".utf8)), ("mark of UTF-8", [0xEF, 0xBB, 0xBF] + Array(whole.utf8)),
            ("Latin-1", Array("# Gr".utf8) + [0xFC, 0xDF, 0x65, 0x0A] + Array("x.a = 'caf".utf8) + [0xE9] + Array("' # ".utf8) + [0xFF, 0x0A]),
            ("zero bytes", [0x23, 0, 0x0A] + Array("x.a = 'b\0c'\n".utf8)), ("every byte", Array(0...255) + Array(0...255)), ("nothing", []),
        ]
        return samples.map(Sample.init)
    }()

    @Test("come out as they went in", arguments: all)
    func roundTrip(sample: Sample) { #expect(SettingsFile(sample.bytes).render() == sample.bytes) }

    @Test("change in one line", arguments: all)
    func change(sample: Sample) {
        let bytes = sample.bytes
        let original = SettingsFile(bytes)
        for setting in ["port", "x.a", "x.n7777"] {
            var file = original
            let old = file.value(of: setting)
            file.set(setting, to: "new'\\")
            #expect(file.value(of: setting) == "new'\\")
            // Back again, all that differs is how the value is quoted, or a line more.
            if let old { file.set(setting, to: old) } else { file.remove(setting) }
            let (before, after) = (bytes.split(separator: 0x0A), file.render().split(separator: 0x0A))
            #expect(before.count == after.count)
            #expect(zip(before, after).filter { $0 != $1 }.count <= 1)
        }
    }

    @Test("have the values that are in them")
    func values() {
        #expect(SettingsFile(Self.all[0].bytes).value(of: "log_line_prefix") == "%m [%p] %q%u@%d ")
        #expect(SettingsFile(Self.old).value(of: "max_connections") == "100")
        #expect(SettingsFile(Self.new).value(of: "primary_conninfo") == "host=n1 password='it's' application_name=n2")
        #expect(SettingsFile(Self.all[5].bytes).settings.count == 8000)
        for sample in Self.all[..<6] { #expect(SettingsFile(sample.bytes).syntaxErrors.isEmpty) }
    }
}
