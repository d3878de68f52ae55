import PostgresClient
import PostgresConfig
import Scratch
import Testing

@testable import Server

@Suite("Roles", .serialized) struct RoleTests {
    @Test(
        arguments: [
            ("search_path=app, public", "\"search_path\" = 'app', 'public'"), ("search_path=\"$user\", \"Sales, old\"", "\"search_path\" = '$user', 'Sales, old'"),
            ("search_path=\"\"", "\"search_path\" = ''"), ("search_path=", "\"search_path\" = ''"), ("temp_tablespaces=fast, slow", "\"temp_tablespaces\" = 'fast', 'slow'"),
            ("session_preload_libraries=auto_explain, \"$libdir/x, y\"", "\"session_preload_libraries\" = 'auto_explain', '$libdir/x, y'"),
            ("DateStyle=ISO, DMY", "\"DateStyle\" = 'ISO, DMY'"), ("app.hosts=a, b", "\"app\".\"hosts\" = 'a, b'"), ("work_mem=8MB", "\"work_mem\" = '8MB'"),
        ])
    func `a setting is given as the server will keep it`(setting: String, words: String) throws {
        #expect(Role.set(setting, of: "reader", try StatementTests.features("15"))?.description == "ALTER ROLE \"reader\" SET \(words)")
    }

    @Test(arguments: ScratchArea.versions)
    func `a role that is made anew has the settings that it had`(binaries: String) async throws {
        let session = try await (try await TestPair.of(binaries)).session()
        try await session.run("CREATE ROLE listed LOGIN")
        try await session.run("ALTER ROLE listed SET search_path = '$user', app, 'Sales, old'")
        try await session.run("ALTER ROLE listed SET temp_tablespaces = ''")
        try await session.run("ALTER ROLE listed SET session_preload_libraries = 'auto_explain', 'auto_explain'")
        try await session.run("ALTER ROLE listed SET DateStyle = 'ISO, DMY'")
        let role = try #require(try await session.roles(deadline: soon).first { $0.name == "listed" })
        #expect(role.settings.count == 4)
        try await session.dropRole("listed", deadline: soon)
        try await session.createRoles([role], deadline: soon)
        #expect(try await session.roles(deadline: soon).first { $0.name == "listed" } == role)
        try await session.dropRole("listed", deadline: soon)
        await session.connection.close()
    }
}
