extension Playbook.Procedure {
    /// Every procedure: its name in a playbook, and what reads its part of the file.
    private static var readers: KeyValuePairs<String, (Section) -> Playbook.Procedure?> {
        [
            "add-spock-node": { Playbook.AddSpockNode($0).map(Playbook.Procedure.addSpockNode) },
            "add-spock-node-logical": { Playbook.AddSpockNodeLogical($0).map(Playbook.Procedure.addSpockNodeLogical) },
            "datanode-drop-slave": { Playbook.DatanodeDropSlave($0).map(Playbook.Procedure.datanodeDropSlave) },
            "datanode-failover": { Playbook.DatanodeFailover($0).map(Playbook.Procedure.datanodeFailover) },
            "datanode-rejoin": { Playbook.DatanodeRejoin($0).map(Playbook.Procedure.datanodeRejoin) },
            "datanode-standby": { Playbook.DatanodeStandby($0).map(Playbook.Procedure.datanodeStandby) },
            "drop-standby": { Playbook.DropStandby($0).map(Playbook.Procedure.dropStandby) },
            "hot-standby": { Playbook.HotStandby($0).map(Playbook.Procedure.hotStandby) },
            "synchronous": { Playbook.Synchronous($0).map(Playbook.Procedure.synchronous) },
            "failover": { Playbook.Failover($0).map(Playbook.Procedure.failover) },
            "remove-spock-node": { Playbook.RemoveSpockNode($0).map(Playbook.Procedure.removeSpockNode) },
            "rejoin": { Playbook.Rejoin($0).map(Playbook.Procedure.rejoin) },
            "switchover": { Playbook.Switchover($0).map(Playbook.Procedure.switchover) },
        ]
    }

    /// What each is called in a playbook.
    public static var names: [String] { readers.map(\.key) }

    init?(_ section: Section) {
        let name = section.required("procedure", .choice(Self.readers.map { ($0.key, $0.key) }), example: "add-spock-node")
        guard let name, let reader = Self.readers.first(where: { $0.key == name.wrappedValue }) else {
            // Which keys belong in the file depends on the procedure: without one, nothing can be said about them.
            section.ignoreOtherKeys()
            return nil
        }
        guard let procedure = reader.value(section) else { return nil }
        self = procedure
    }
}

extension Playbook {
    static func read(_ source: SourceText) throws(PlaybookErrors) -> Playbook {
        Playbook(name: source.name, text: source.text, procedure: try read(source, as: Procedure.init))
    }

    /// What `form` makes of the whole of a file.
    static func read<Form>(_ source: SourceText, as form: (Section) -> Form?) throws(PlaybookErrors) -> Form {
        let findings = Findings(source)
        let read = findings.compose().flatMap { Section.read(root: $0, findings, form) }
        guard let read, findings.errors.isEmpty else { throw PlaybookErrors(file: source.name, errors: findings.errors) }
        return read
    }
}
