import Glibc

/// What the environment may say about a connection: where passwords are, and nothing else.
///
/// libpq takes whatever a connection string leaves open from `PGHOST`, `PGPORT`, `PGOPTIONS` and some thirty more
/// variables. A value given explicitly does not help against all of them: an empty one counts as not given (`PGHOSTADDR`
/// would redirect a connection that names a host), and `PGTZ`, `PGDATESTYLE`, `PGGEQO` have no keyword. So the variables go.
public enum LibpqEnvironment {
    /// Password sources, and where `service=` is looked up.
    public static let kept: Set<String> = ["PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR"]

    /// Removed besides those that libpq lists: it reads them without a keyword.
    private static let unlisted = ["PGDATESTYLE", "PGTZ", "PGGEQO", "PGREQUIRESSL", "PGLOCALEDIR"]

    /// Removes every variable that libpq reads, except ``kept``, from this process's environment.
    ///
    /// The first connection does it. A program with threads of its own calls it first thing in `main`: another thread
    /// that reads the environment at the same moment may miss a variable.
    public static func clear() { _ = cleared }

    private static let cleared: Void = {
        for variable in LibpqOption.variables.union(unlisted).subtracting(kept) { unsetenv(variable) }
    }()
}
