import Testing

@testable import Instance

@Suite("A server's command line") struct ServerArgumentsTests {
    @Test(
        "says which settings it decides",
        arguments: [
            (["-D", "/data", "-c", "config_file=/etc/x.conf", "-p", "5433"], "data_directory=/data config_file=/etc/x.conf port=5433"),
            (["-D/data", "-cwork_mem=1MB", "--log-statement=all", "--wal_level=logical"], "data_directory=/data work_mem=1MB log_statement=all wal_level=logical"),
            (["-F", "-i", "-h", "127.0.0.1", "-k", "/tmp", "-N", "5"], "fsync=off listen_addresses=* listen_addresses=127.0.0.1 unix_socket_directories=/tmp max_connections=5"),
            (["--datanode", "-c", "search_path=a=b", "-c", "nonsense", "-c"], "search_path=a=b"),
            ([], ""),
        ])
    func words(words: [String], expected: String) {
        #expect(ServerArguments(words).settings.map { "\($0.name)=\($0.value)" }.joined(separator: " ") == expected)
    }

    @Test("is kept in postmaster.opts")
    func optsFile() {
        let arguments = ServerArguments(optsFile: #"/usr/lib/postgresql/15/bin/postgres "-D" "/var/lib/my data" "-c" "config_file=/etc/postgresql/15/main/postgresql.conf""# + "\n")
        #expect(arguments?.value(of: "config_file") == "/etc/postgresql/15/main/postgresql.conf")
        #expect(arguments?.value(of: "DATA_DIRECTORY") == "/var/lib/my data")
        #expect(ServerArguments(optsFile: "") == nil)
        #expect(ServerArguments(optsFile: "/bin/postgres\n") == nil)
        #expect(ServerArguments(optsFile: "/bin/postgres \"-D\n") == nil)
    }

    @Test("and in the process")
    func process() {
        #expect(ServerArguments(processCommandLine: Array("postgres\0-D\0/data\0-c\0work_mem=\0".utf8)).value(of: "work_mem") == "")
    }
}
