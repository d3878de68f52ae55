import Bed
import Testing

/// `check` finds what keeps a repository from being used, in pgBackRest's own words, and says what to do.
@Suite("Repositories that are not to be had", .serialized)
struct RepositoryRefusalTests {
    /// Whose CA and certificate nobody has heard of, under the name of the host that it is made on.
    private static let stranger = """
        cd /etc/pggraft-bed && name=$(hostname) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$name" \
            -keyout other.key -out other.crt 2>/dev/null && chown postgres:postgres other.key && chmod 600 other.key && chmod 644 other.crt
        """

    /// Checks the playbook of `each` with `new` for `old`, and expects it to say this; nothing where all is met.
    private func expect(
        _ says: String..., of each: RepositoryCase, with new: String = "", for old: String = "", _ someone: Operator, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try write(each, with: new, for: old, someone)
        let output = try await someone.pggraft("check", someone.playbook), text = output.standardOutput + output.standardError
        #expect(output.status == (says.isEmpty ? 0 : 1), "\(text)", sourceLocation: sourceLocation)
        for words in says { #expect(text.contains(words), "\(words)\n\(text)", sourceLocation: sourceLocation) }
        #expect(!text.contains(RepositoryCase.secret), sourceLocation: sourceLocation)
    }

    private func write(_ each: RepositoryCase, with new: String, for old: String, _ someone: Operator) throws {
        try someone.write(playbook: each.playbook)
        let text = try readFile(someone.playbook)
        try #require(old.isEmpty || text.contains(old))
        try writeFile(old.isEmpty ? text : text.replacing(old, with: new), to: someone.playbook)
    }

    @Test func `a bucket, its authority and its key; a TLS server that does not accept a certificate, or who shows it`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let bucket = RepositoryCase(place: .s3, stanza: .new), server = RepositoryCase(place: .tls, stanza: .new)
            try await bucket.prepare(bed)
            try await server.prepare(bed)
            for host in ["n1", "n4"] { try await bed.host(host).run(Self.stranger) }
            var someone = try Operator(of: bed)
            func refused(_ host: String) -> String { "\(host): the repository of stanza 'app' is not to be had: " }

            let noBucket = "[ProtocolError] HTTP request failed with 404", noTrust = "[CryptoError] unable to verify certificate presented by 'repo:9443'"
            try await expect(
                "\(refused("n1"))\(noBucket)", "\(refused("n4"))\(noBucket)", "NoSuchBucket", "HINT: make the bucket, which pgBackRest does not", of: bucket,
                with: "bucket: nowhere", for: "bucket: backups", someone)
            try await expect(
                "\(refused("n1"))\(noTrust)", "\(refused("n4"))\(noTrust)", "HINT: name the authority that signed the certificate: ca_file.", of: bucket,
                with: "ca_file: /etc/pggraft-bed/other.crt", for: "ca_file: /etc/pggraft-bed/ca.crt", someone)

            // The key: from nowhere, from the environment, typed.
            let file = "credentials: \(RepositoryCase.credentials)\n      profile: backup"
            try await expect(
                "the environment has no AWS_ACCESS_KEY_ID, and the key of bucket backups is to come from there", "HINT: export it", of: bucket,
                with: "credentials: environment", for: file, someone)
            someone.variables = ["AWS_ACCESS_KEY_ID": RepositoryCase.key, "AWS_SECRET_ACCESS_KEY": RepositoryCase.secret]
            try await expect(of: bucket, with: "credentials: environment", for: file, someone)
            someone.variables = [:]
            try await expect("nobody is here to be asked for the key of bucket backups", of: bucket, with: "credentials: prompt", for: file, someone)
            try await PseudoTerminal.running([try programBesideThis("pggraft"), "check", someone.playbook], environment: someone.environment) { terminal in
                var shown = try await terminal.shows("Access key ID of bucket backups: ", within: .seconds(60))
                try await terminal.type("\(RepositoryCase.key)\r")
                shown += try await terminal.shows("Secret access key of bucket backups: ", within: .seconds(20))
                try await terminal.type("\(RepositoryCase.secret)\r")
                let (status, rest) = try await terminal.ends(within: .seconds(120))
                shown += rest
                #expect(status == 0 && rest.contains("requirements are met"), "\(shown)")
                #expect(!shown.contains(RepositoryCase.key) && !shown.contains(RepositoryCase.secret), "\(shown)")
            }

            // A certificate that nobody has signed, then names that are not let in.
            let n4 = try bed.host("n4")
            try await n4.run("cd /etc/pggraft-bed && for f in crt key; do cp -p host.$f ours.$f && cp -p other.$f host.$f; done")
            try await expect(
                "\(refused("n4"))[ServiceError] TLS error", "alert unknown ca", "HINT: the host that was asked does not accept this host's certificate (cert_file)", of: server,
                someone)
            try await n4.run("cd /etc/pggraft-bed && for f in crt key; do mv ours.$f host.$f; done")
            for (place, name, says) in [("repo", "n4", refused("n4")), ("n1", "repo", "repo: pgBackRest's server at 10.77.0.11 port 8432 is not to be had: ")] {
                let host = try bed.host(place), reload = "pkill -HUP -x pgbackrest"
                try await host.run("cd /etc/pggraft-bed && cp -p server.conf ours.conf && sed -i '/^tls-server-auth=\(name)=/d' server.conf && \(reload)")
                try await expect(
                    "\(says)[AccessError]", "access denied", "HINT: let the certificate's name in, on the host that was asked: tls-server-auth=NAME=STANZA", of: server, someone)
                try await host.run("cd /etc/pggraft-bed && mv ours.conf server.conf && \(reload)")
            }
            try await expect(of: server, someone)
            #expect(try someone.journals().isEmpty)
        }
    }
}
