import Report

extension Playbook.AddSpockNode {
    /// How the new node stops being a standby of the source and becomes a member of the mesh.
    public struct Handover: Sendable {
        @Located public var mode: Mode
        /// In which nobody writes.
        public let window: Playbook.Window

        public enum Mode: String, Sendable, Hashable {
            /// All nodes refuse writes for the length of the window.
            case readOnly = "read-only"
        }

        init?(_ section: Section) {
            let mode = section.required("mode", .mode, example: "read-only")
            guard let window = Playbook.Window(section), let mode else { return nil }
            (_mode, self.window) = (mode, window)
        }
    }
}

extension Scalar<Playbook.AddSpockNode.Handover.Mode> {
    fileprivate static let mode = Scalar("read-only") { text in
        switch text {
        case "read-only": .value(.readOnly)
        case "live":
            .refused("the mode \"live\" is not in this version", hint: "use read-only: writes pause for the length of the window")
        default: .malformed(hint: Spelling.nearest(to: text, among: ["read-only"]).map { "did you mean \"\($0)\"?" })
        }
    }
}
