public import EventLoop
import PostgresConfig
public import RemoteHost

/// The configuration files that a node has in its data directory, which are kept elsewhere while that becomes another node's, and put back.
enum OwnFiles {
    // For $data, $kept, $mark and $says. A mark that is there already, or files that are kept already, stay what they are.
    static let functions = #"""
        mark() { printf '%s' "$says" >"$data/$mark.pggraft" && mv -f "$data/$mark.pggraft" "$data/$mark"; }
        keep() {
          [ ! -d "$kept" ] || return 0
          rm -rf "$kept.pggraft" && mkdir -m 0700 "$kept.pggraft" && cd "$data" && for file in *.conf *.crt *.key *.pem *.crl; do
            case $file in recovery.conf) continue ;; esac
            [ ! -f "$file" ] || cp -p "$file" "$kept.pggraft/" || return 1
          done && mv "$kept.pggraft" "$kept"
        }
        put_back() {
          cd "$kept" && for file in *; do
            case $file in output | done | '*') continue ;; esac
            cp -p "$file" "$data/$file.pggraft" && mv -f "$data/$file.pggraft" "$data/$file" || return 1
          done
        }
        """#

    // $1 data directory, $2 where files are kept, $3 the mark, $4 what it says.
    private static let words = "data=$1 kept=$2 mark=$3 says=$4\n"
    static let keeping = words + functions + "\nkeep"
    static let puttingBack = words + functions + "\nmark && put_back"
}

extension Instance {
    func ownFiles(keptIn kept: HostPath) -> [String] { [dataDirectory.path, kept.path, Seal.file(features).rawValue, Seal.content(features)] }

    /// Keeps the configuration files that are in the data directory; those that are kept already stay as they are.
    /// - Parameter kept: where; outside of the data directory.
    public func keepOwnFiles(in kept: HostPath, deadline: Deadline) async throws {
        try await host.require(Command(words: ["sh", "-c", OwnFiles.keeping, "sh"] + ownFiles(keptIn: kept), user: user), deadline: deadline)
    }

    /// Puts them back into the data directory, which is another one by now, behind the mark of a standby.
    public func putBackOwnFiles(from kept: HostPath, deadline: Deadline) async throws {
        try await host.require(Command(words: ["sh", "-c", OwnFiles.puttingBack, "sh"] + ownFiles(keptIn: kept), user: user), deadline: deadline)
    }

    /// Where the parts of the data directory are that are outside of it: by the names of their links, `pg_wal` and `pg_tblspc/16401`.
    public func placesElsewhere(deadline: Deadline) async throws -> [String: HostPath] {
        let output = try await host.require(.script(Usage.places, dataDirectory.path).as(user), deadline: deadline).text
        return lines(of: output).reduce(into: [:]) { places, line in
            let fields = line.split(separator: "\t", maxSplits: 1).map(String.init)
            if fields.count == 2 { places[fields[0]] = HostPath(fields[1]) }
        }
    }
}
